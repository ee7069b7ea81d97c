"""Output to the user's terminal. Everything that the commands print goes through here.

Names of files, classes, layers and models, and the messages of servers, come from strangers. A
terminal would obey control characters in them: move the cursor, change its title or hide text.
This module replaces them with visible escapes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, Literal

import click
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.style import StyleType
from rich.table import Table
from rich.text import Text

from gradcam_cli.errors import GradcamError
from gradcam_cli.files.control_characters import CONTROL, CONTROL_IN_LINE, escape

# The commands take it from here, with what prints.
from gradcam_cli.files.control_characters import visible as visible

# Keeps lines whole in files and pipes, which have no width.
_WIDTH_OF_FILES = 240
_PICTURE_WIDTH = 80


def say(text: str = "", err: bool = False) -> None:
    """Prints text, with escapes for control characters other than line breaks and tabs.

    Args:
        text: The text, without the final line break.
        err: Whether to print to standard error.
    """
    click.echo(CONTROL.sub(escape, text), err=err)  # noqa: TID251, the one place for it


def say_error(error: BaseException, console: Console | None = None) -> None:
    """Prints an error, in red if standard error is a terminal.

    Args:
        error: The error.
        console: The console for standard error, if a progress bar uses one.
    """
    text = Text(describe_error(error), style="red")
    (console or stderr_console()).print(text, soft_wrap=True)


def say_warning(text: str) -> None:
    """Prints a warning to standard error."""
    say(f"Warning: {visible(text)}", err=True)


def describe_error(error: BaseException) -> str:
    """Returns the message of an error: a line, with its details below."""
    if not isinstance(error, GradcamError):
        return f"Error: {visible(str(error))}"
    below = (f"  {visible(line)}" for line in error.first_details())
    return "\n".join([f"Error: {visible(error.message)}", *below])


def to_json(record: dict[str, Any]) -> str:
    """Converts an object to a line of JSON, with JSON escapes for control characters.

    A JSON parser restores the exact values.
    """
    return CONTROL.sub(_json_escape, json.dumps(record, ensure_ascii=False))


def stdout_console() -> Console:
    """Makes the console for results."""
    return _console(stderr=False)


def picture_console() -> Console:
    """Makes the console for pictures, which need colours.

    It has colours in files too, and despite NO_COLOR if the user asked for a picture in colours.
    """
    console = stdout_console()
    if not console.is_terminal:
        console = Console(
            force_terminal=True,
            color_system="truecolor",
            width=_PICTURE_WIDTH,
            height=_PICTURE_WIDTH,
        )
    console.no_color = False
    return console


def has_colors() -> bool:
    """Returns whether pictures on standard output may have colours.

    They may not with NO_COLOR, or in a terminal without colours.
    """
    console = stdout_console()
    return not console.no_color and not (console.is_terminal and console.color_system is None)


def stderr_console() -> Console:
    """Makes the console for progress and errors."""
    return _console(stderr=True)


def plain_table(*columns: tuple[str, Literal["left", "right"]]) -> Table:
    """Makes a table without lines, from the heading and alignment of each column."""
    table = _Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for heading, alignment in columns:
        table.add_column(heading, justify=alignment, no_wrap=True)
    return table


def _console(stderr: bool) -> Console:
    console = _Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = _WIDTH_OF_FILES
    return console


class _Console(Console):
    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        if isinstance(renderable, Text):
            renderable = _with_escapes(renderable, CONTROL)
        elif isinstance(renderable, str):
            renderable = CONTROL.sub(escape, renderable)
        return super().render(renderable, options)


class _Table(Table):
    """Escapes cells when they are added, because their width depends on it."""

    def add_row(
        self,
        *renderables: RenderableType | None,
        style: StyleType | None = None,
        end_section: bool = False,
    ) -> None:
        cells = (
            _with_escapes(cell, CONTROL_IN_LINE)
            if isinstance(cell, Text)
            else visible(cell)
            if isinstance(cell, str)
            else cell
            for cell in renderables
        )
        super().add_row(*cells, style=style, end_section=end_section)


def _with_escapes(text: Text, controls: re.Pattern[str]) -> Text:
    if not controls.search(text.plain):
        return text
    copy = text.blank_copy()
    place = 0
    for found in controls.finditer(text.plain):
        copy.append_text(text[place : found.start()]).append(escape(found))
        place = found.end()
    return copy.append_text(text[place:])


def _json_escape(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"
