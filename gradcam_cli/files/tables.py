"""Writes tables (CSV) for spreadsheets that may contain names from untrusted sources."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

# What spreadsheets treat as the start of a formula; some also accept full-width signs. Apostrophes
# before it come from an escape, or from a name that looks like one.
_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")
# Characters that need quotes. Python's writer doesn't quote all of them: a carriage return, and the
# semicolon that separates cells in spreadsheets of some countries.
_BREAKS = re.compile(r'[",;\t\r\n]')
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)


def write_table(rows: Iterable[Sequence[Any]]) -> bytes:
    """Makes a CSV table in which no cell is a formula.

    A name that would be one gets an apostrophe before it, the escape that spreadsheets use for
    text. `read_cell` removes it. Numbers stay numbers.

    Args:
        rows: The cells; None becomes an empty cell.

    Returns:
        UTF-8, except for bytes of file names that aren't valid text.
    """
    lines = [",".join("" if cell is None else _written(str(cell)) for cell in row) for row in rows]
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")


def read_cell(cell: str) -> str:
    """Decodes the text of a cell that `write_table` may have written."""
    return cell[1:] if cell[:1] == "'" and _is_formula(cell[1:]) else cell


def _written(cell: str) -> str:
    if _is_formula(cell):
        cell = f"'{cell}"
    doubled = cell.replace('"', '""')
    return f'"{doubled}"' if _BREAKS.search(cell) else cell


def _is_formula(cell: str) -> bool:
    return _FORMULA.match(cell) is not None and _NUMBER.fullmatch(cell) is None
