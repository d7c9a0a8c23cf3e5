"""The one catalogue of words: every text, number, unit and date that a reader of a report, workbook or page sees.

Message ids are the English texts; ``zh.po`` holds the Chinese.  `optimize.i18n.vocabulary` names columns, the
values of choice columns, figures and units; `optimize.i18n.words.Words` says all of it in one language.
"""
