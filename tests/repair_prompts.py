"""Whatever is known to make Excel offer to repair a workbook, looked for in the file itself.

Excel cannot be tried here; these are its documented limits (support.microsoft.com, "Excel specifications and limits")
and the rules of ECMA-376 whose breach it answers with a repair.
"""

from __future__ import annotations

import posixpath
import re
import xml.etree.ElementTree as ElementTree
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_REL = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_CELL = re.compile(r"\$?([A-Z]{1,3})\$?(\d{1,7})")
_NAME = re.compile(r"[A-Za-z_\\\u0080-\uffff][\w.\\?\u0080-\uffff]*")
_SHEET_OF = re.compile(r"(?:'((?:[^']|'')+)'|([\w.]+))!")
_LAST_ROW, _LAST_COLUMN = 1_048_576, 16_384


def repair_reasons(path: Path) -> list[str]:
    """Why Excel would offer to repair the workbook; none where it opens it as it is."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    return [*_of_package(parts), *_of_workbook(parts)]


def _of_package(parts: dict[str, bytes]) -> Iterator[str]:
    """Parts without a type, and relationships that lead nowhere."""
    types = ElementTree.fromstring(parts["[Content_Types].xml"])
    defaults = {node.get("Extension") for node in types if node.tag.endswith("Default")}
    overrides = [str(node.get("PartName")).lstrip("/") for node in types if node.tag.endswith("Override")]
    for name in overrides:
        if name not in parts:
            yield f"a type for {name}, which is not there"
    for name in parts:
        if (
            name != "[Content_Types].xml"
            and name not in overrides
            and name.rpartition(".")[2] not in defaults
        ):
            yield f"{name} has no type"
        if name.endswith(".rels"):
            for target in _targets(parts, name).values():
                if target not in parts:
                    yield f"{name} leads to {target}, which is not there"
        elif name.endswith((".xml", ".vml")):
            ElementTree.fromstring(parts[name])  # well-formed, or this raises


def _targets(parts: dict[str, bytes], rels: str) -> dict[str, str]:
    """Parts that a part is related to, by id; what lies outside is left aside."""
    if rels not in parts:
        return {}
    folder = posixpath.dirname(posixpath.dirname(rels))
    return {
        str(node.get("Id")): posixpath.normpath(posixpath.join("/", folder, str(node.get("Target")))).lstrip(
            "/"
        )
        for node in ElementTree.fromstring(parts[rels])
        if node.get("TargetMode") != "External"
    }


def _of_workbook(parts: dict[str, bytes]) -> Iterator[str]:
    book = ElementTree.fromstring(parts["xl/workbook.xml"])
    places = _targets(parts, "xl/_rels/workbook.xml.rels")
    sheets = {
        str(node.get("name")): places[str(node.get(f"{_REL}id"))] for node in book.iter(f"{_MAIN}sheet")
    }
    names = [str(node.get("name")) for node in book.iter(f"{_MAIN}sheet")]
    for name in names:
        if not 0 < len(name) <= 31 or re.search(r"[\[\]:*?/\\]", name) or name.strip("'") != name:
            yield f"sheet {name!r}: no name of a sheet"
        if name.lower() == "history":
            yield "a sheet is called History, which Excel keeps for itself"
    yield from _twice("sheet", [name.lower() for name in names])
    yield from _of_names(book, names)
    styles = ElementTree.fromstring(parts["xl/styles.xml"])
    num_styles = len(next(styles.iter(f"{_MAIN}cellXfs"), ()))
    num_differing = len(next(styles.iter(f"{_MAIN}dxfs"), ()))
    for node in styles.iter(f"{_MAIN}numFmt"):
        if len(str(node.get("formatCode"))) > 255:
            yield f"a number format of {len(str(node.get('formatCode')))} characters"
    yield from _twice("number format", [str(n.get("numFmtId")) for n in styles.iter(f"{_MAIN}numFmt")])
    texts = (
        list(ElementTree.fromstring(parts["xl/sharedStrings.xml"])) if "xl/sharedStrings.xml" in parts else []
    )
    for text in texts:
        if len("".join(text.itertext())) > 32_767:
            yield "a text of more than 32 767 characters"
    for name, place in sheets.items():
        for reason in _of_sheet(parts, place, names, num_styles, num_differing, len(texts)):
            yield f"sheet {name}: {reason}"
    yield from _of_charts(parts, names)


def _of_names(book: ElementTree.Element, sheets: list[str]) -> Iterator[str]:
    found = []
    for node in book.iter(f"{_MAIN}definedName"):
        name, refers = str(node.get("name")), node.text or ""
        found.append(f"{name.lower()} in {node.get('localSheetId')}")
        if not _NAME.fullmatch(name) or _CELL.fullmatch(name.upper()) or len(name) > 255:
            yield f"{name!r} is no name that can be defined"
        if "#REF!" in refers or not refers:
            yield f"the name {name} refers to nothing"
        yield from (f"the name {name}: {reason}" for reason in _strange_sheets(refers, sheets))
    yield from _twice("defined name", found)


def _of_sheet(
    parts: dict[str, bytes],
    place: str,
    sheets: list[str],
    num_styles: int,
    num_differing: int,
    num_texts: int,
) -> Iterator[str]:
    root = ElementTree.fromstring(parts[place])
    rels = _targets(
        parts, posixpath.join(posixpath.dirname(place), "_rels", posixpath.basename(place) + ".rels")
    )
    above, seen = 0, Counter[str]()
    for row in root.iter(f"{_MAIN}row"):
        number = int(str(row.get("r")))
        if not above < number <= _LAST_ROW:
            yield f"row {number} after row {above}"
        above, left = number, 0
        if float(row.get("ht", 0)) > 409.5:
            yield f"row {number} is {row.get('ht')} high"
        for cell in row:
            column, line = _position(str(cell.get("r")))
            if line != number or not left < column <= _LAST_COLUMN:
                yield f"cell {cell.get('r')} is not in its place"
            left = column
            if int(cell.get("s", 0)) >= num_styles:
                yield f"cell {cell.get('r')} has a style that is not there"
            value = cell.findtext(f"{_MAIN}v") or ""
            if cell.get("t") == "s" and int(value) >= num_texts:
                yield f"cell {cell.get('r')} has a text that is not there"
            if cell.get("t") in (None, "n") and value:
                float(value)
            formula = cell.findtext(f"{_MAIN}f") or ""
            if len(formula) > 8192 or "[" in formula or "#REF!" in formula:
                yield f"cell {cell.get('r')} has the formula {formula[:60]}"
            yield from _strange_sheets(formula, sheets)
    for column in root.iter(f"{_MAIN}col"):
        if not 0 <= float(column.get("width", 0)) <= 255:
            yield f"a column is {column.get('width')} wide"
    for kind, attribute in (("mergeCell", "ref"), ("hyperlink", "ref")):
        yield from _twice(kind, [str(node.get(attribute)) for node in root.iter(f"{_MAIN}{kind}")])
    yield from _of_validations(root, sheets)
    for rule in root.iter(f"{_MAIN}cfRule"):
        if rule.get("dxfId") is not None and int(str(rule.get("dxfId"))) >= num_differing:
            yield "a conditional format that is not there"
    for link in root.iter(f"{_MAIN}hyperlink"):
        yield from _strange_sheets(link.get("location") or "", sheets)
    for node in root.iter():
        related = node.get(f"{_REL}id")
        if related is not None and related not in rels and node.tag != f"{_MAIN}hyperlink":
            yield f"{node.tag.rpartition('}')[2]} asks for {related}, which is not there"
    if sum(1 for _ in root.iter(f"{_MAIN}autoFilter")) > 1:
        yield "two filters"
    for target in rels.values():
        if "/comments" in target:
            comments = ElementTree.fromstring(parts[target])
            seen.update(str(node.get("ref")) for node in comments.iter(f"{_MAIN}comment"))
    yield from (f"two comments at {ref}" for ref, number in seen.items() if number > 1)


def _of_validations(root: ElementTree.Element, sheets: list[str]) -> Iterator[str]:
    for node in root.iter(f"{_MAIN}dataValidation"):
        formula = node.findtext(f"{_MAIN}formula1") or ""
        if formula.startswith('"') and len(formula) - 2 > 255:
            yield f"a list of {len(formula) - 2} characters at {node.get('sqref')}"
        for attribute, most in (("promptTitle", 32), ("errorTitle", 32), ("prompt", 255), ("error", 255)):
            if len(node.get(attribute) or "") > most:
                yield f"{attribute} of {len(str(node.get(attribute)))} characters at {node.get('sqref')}"
        yield from _strange_sheets(formula, sheets)
    told = next(root.iter(f"{_MAIN}dataValidations"), None)
    if told is not None and told.get("count") is not None and int(str(told.get("count"))) != len(told):
        yield "validations are miscounted"


def _of_charts(parts: dict[str, bytes], sheets: list[str]) -> Iterator[str]:
    for name, content in parts.items():
        if name.startswith("xl/charts/chart"):
            for node in ElementTree.fromstring(content).iter():
                if node.tag.endswith("}f"):
                    yield from (f"{name}: {reason}" for reason in _strange_sheets(node.text or "", sheets))


def _strange_sheets(reference: str, sheets: list[str]) -> Iterator[str]:
    """Sheets that a reference names and that are not there; what stands in quotation marks is text."""
    for quoted, plain in _SHEET_OF.findall(re.sub(r'"[^"]*"', "", reference)):
        if (quoted.replace("''", "'") or plain) not in sheets:
            yield f"{reference[:60]} names a sheet that is not there"


def _position(reference: str) -> tuple[int, int]:
    match = _CELL.fullmatch(reference)
    assert match is not None, reference
    column = 0
    for letter in match[1]:
        column = 26 * column + ord(letter) - 64
    return column, int(match[2])


def _twice(what: str, names: list[str]) -> Iterator[str]:
    for name, number in Counter(names).items():
        if number > 1:
            yield f"{what} {name} is there {number} times"
