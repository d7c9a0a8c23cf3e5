"""The unattended job: one revised, checked and published plan a month; nothing is lost on the way."""
