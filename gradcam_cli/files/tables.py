"""Tables (CSV) that spreadsheets open, and that hold names from strangers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

# What spreadsheets take for the beginning of a formula, some of them full-width signs too. The
# apostrophes before it are those of an escape, or of a name that looks like one.
_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")
# Python's writer leaves some of them as they are, and what follows would be a cell of its own:
# after a carriage return, and in countries whose spreadsheets part cells by semicolons.
_BREAKS = re.compile(r'[",;\t\r\n]')
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)


def write_table(rows: Iterable[Sequence[Any]]) -> bytes:
    """Makes a table in which no cell is a formula.

    A name that would be one gets an apostrophe before it, as spreadsheets escape text;
    `read_cell` takes it off. Numbers stay numbers.

    Args:
        rows: The cells; None is an empty one.

    Returns:
        UTF-8, but for bytes of file names that are no text.
    """
    lines = [",".join("" if cell is None else _written(str(cell)) for cell in row) for row in rows]
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")


def read_cell(cell: str) -> str:
    """Gives the text of a cell that `write_table` may have written."""
    return cell[1:] if cell[:1] == "'" and _is_formula(cell[1:]) else cell


def _written(cell: str) -> str:
    if _is_formula(cell):
        cell = f"'{cell}"
    doubled = cell.replace('"', '""')
    return f'"{doubled}"' if _BREAKS.search(cell) else cell


def _is_formula(cell: str) -> bool:
    return _FORMULA.match(cell) is not None and _NUMBER.fullmatch(cell) is None
