"""Write the tables of options in docs/reference.md from the docstrings: ``python docs/make_options.py``."""

from __future__ import annotations

import inspect
import re
from dataclasses import MISSING, fields
from pathlib import Path

from pictag.options import PipelineOptions, ScoringOptions

PAGE = Path(__file__).with_name("reference.md")
TABLES = {"pipeline": PipelineOptions, "call": ScoringOptions}


def read_arguments(options: type) -> dict[str, str]:
    """Each field's text in the ``Args`` section of the docstring, as one line of Markdown."""
    section = re.search(r"^Args:\n(.*?)(?:^\S|\Z)", inspect.getdoc(options) or "", re.S | re.M)
    assert section, f"{options.__name__} has no section Args"
    entries = re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", section[1], re.M)
    return {name: " ".join(text.split()).replace("``", "`") for name, text in entries}


def make_table(options: type) -> str:
    """One row per field: its name, its text, and its default."""
    texts = read_arguments(options)
    rows = ["| option | meaning | default |", "|---|---|---|"]
    for option in fields(options):
        if option.name == "scoring":  # its fields have a table of their own
            continue
        default = "" if option.default in (None, MISSING) else f"`{option.default!r}`".replace("'", '"')
        rows.append(f"| `{option.name}` | {texts[option.name]} | {default} |")
    return "\n".join(rows)


def make_page(page: str) -> str:
    """The page with its tables written again."""
    for name, options in TABLES.items():
        begin, end = f"<!-- options of {name}: make_options.py -->\n", "\n<!-- end -->"
        before, rest = page.split(begin)
        _, after = rest.split(end, 1)
        page = f"{before}{begin}{make_table(options)}{end}{after}"
    return page


if __name__ == "__main__":
    PAGE.write_text(make_page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
