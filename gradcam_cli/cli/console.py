"""The two consoles, and the look of tables."""

from __future__ import annotations

from typing import Literal

from rich.console import Console
from rich.table import Table

# Where nobody's terminal sets a width, lines are left whole.
_WIDTH_OF_FILES = 240
_PICTURE_WIDTH = 80


def stdout_console() -> Console:
    """Makes the console for results."""
    return _console(stderr=False)


def picture_console() -> Console:
    """Makes the console for pictures, which are nothing without their colours."""
    console = stdout_console()
    if console.is_terminal:
        return console
    return Console(
        force_terminal=True, color_system="truecolor", width=_PICTURE_WIDTH, height=_PICTURE_WIDTH
    )


def stderr_console() -> Console:
    """Makes the console for progress and for what went wrong."""
    return _console(stderr=True)


def plain_table(*columns: tuple[str, Literal["left", "right"]]) -> Table:
    """Makes a table without lines from headings and their alignments."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for heading, alignment in columns:
        table.add_column(heading, justify=alignment, no_wrap=True)
    return table


def _console(stderr: bool) -> Console:
    console = Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = _WIDTH_OF_FILES
    return console
