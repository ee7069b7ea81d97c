"""The way to the user's terminal: all that the commands print goes through here.

Names of files, classes, layers and models, and what a server says, come from strangers. A
terminal would obey the control characters in them: move the cursor, change its title, hide
text. Here they become visible, whoever prints them.
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

# Where nobody's terminal sets a width, lines are left whole.
_WIDTH_OF_FILES = 240
_PICTURE_WIDTH = 80
# The characters that control a terminal, those that turn the direction of writing, and the bytes
# of file names that are no text; line breaks and tabs, which the commands write, apart.
_OTHER_CONTROLS = r"\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff"
_CONTROL = re.compile(f"[{_OTHER_CONTROLS}]")
_CONTROL_IN_LINE = re.compile(f"[\\t\\n{_OTHER_CONTROLS}]")


def visible(text: str) -> str:
    """Writes what controls a terminal as escapes: ``\\x1b``, ``\\u202e``.

    Args:
        text: A name, or anything else that has no line breaks and tabs of ours.
    """
    return _CONTROL_IN_LINE.sub(_escape, text)


def say(text: str = "", err: bool = False) -> None:
    """Prints text with line breaks and tabs, and nothing else that controls a terminal.

    Args:
        text: The text, without the last line break.
        err: Print it on standard error.
    """
    click.echo(_CONTROL.sub(_escape, text), err=err)  # noqa: TID251, the one place for it


def say_error(error: BaseException, console: Console | None = None) -> None:
    """Prints what went wrong, in red where standard error is a terminal.

    Args:
        error: What went wrong.
        console: The console for standard error, where a progress bar has one.
    """
    text = Text(describe_error(error), style="red")
    (console or stderr_console()).print(text, soft_wrap=True)


def say_warning(text: str) -> None:
    """Prints on standard error what a user should know, though the run goes on."""
    say(f"Warning: {visible(text)}", err=True)


def describe_error(error: BaseException) -> str:
    """Says what went wrong: a line, and what it lists below."""
    if not isinstance(error, GradcamError):
        return f"Error: {visible(str(error))}"
    below = (f"  {visible(line)}" for line in error.first_details())
    return "\n".join([f"Error: {visible(error.message)}", *below])


def to_json(record: dict[str, Any]) -> str:
    """Writes an object as a line of JSON, with escapes for what controls a terminal.

    Whoever reads it gets the exact values.
    """
    return _CONTROL.sub(_json_escape, json.dumps(record, ensure_ascii=False))


def stdout_console() -> Console:
    """Makes the console for results."""
    return _console(stderr=False)


def picture_console() -> Console:
    """Makes the console for pictures, which are nothing without their colours.

    It has them in a file too, and where somebody asked for colours in spite of NO_COLOR.
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
    """Says whether pictures on standard output may have colours.

    NO_COLOR says no, and so does a terminal that has none.
    """
    console = stdout_console()
    return not console.no_color and not (console.is_terminal and console.color_system is None)


def stderr_console() -> Console:
    """Makes the console for progress and for what went wrong."""
    return _console(stderr=True)


def plain_table(*columns: tuple[str, Literal["left", "right"]]) -> Table:
    """Makes a table without lines from headings and their alignments."""
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
            renderable = _with_escapes(renderable, _CONTROL)
        elif isinstance(renderable, str):
            renderable = _CONTROL.sub(_escape, renderable)
        return super().render(renderable, options)


class _Table(Table):
    """Has to know early how wide its cells are."""

    def add_row(
        self,
        *renderables: RenderableType | None,
        style: StyleType | None = None,
        end_section: bool = False,
    ) -> None:
        cells = (
            _with_escapes(cell, _CONTROL_IN_LINE)
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
        copy.append_text(text[place : found.start()]).append(_escape(found))
        place = found.end()
    return copy.append_text(text[place:])


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


def _json_escape(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"
