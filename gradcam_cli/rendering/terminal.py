"""Shows pictures in a terminal."""

from __future__ import annotations

import base64
import io
import logging
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from PIL import Image

from gradcam_cli.rendering.characters import draw_half_blocks

if TYPE_CHECKING:
    from rich.console import Console

# The protocols by which terminals show pictures, then coloured half blocks, then characters alone.
TERMINAL_KINDS = ("kitty", "iterm2", "sixel", "blocks", "text")
# Between two pictures, in percent of their width.
_SPACE = 2


def detect_terminal() -> str:
    """Detects which graphics protocol the terminal supports.

    iTerm2 identifies itself. Other terminals are queried, which takes a few tenths of a
    second if no answer comes.

    Returns:
        One of `TERMINAL_KINDS`; "blocks" if standard input or output isn't a terminal.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return "blocks"
    if "iTerm" in os.environ.get("TERM_PROGRAM", "") + os.environ.get("LC_TERMINAL", ""):
        return "iterm2"
    _quiet_textual_image()
    from textual_image import renderable

    kinds = {renderable.SixelImage: "sixel", renderable.TGPImage: "kitty"}
    return kinds.get(renderable.Image, "blocks")


def print_picture(console: Console, picture: Image.Image, kind: str, lines: int) -> None:
    """Prints a picture as large as there is room.

    Args:
        console: The console of the terminal.
        picture: Mode "RGB".
        kind: One of `TERMINAL_KINDS` except "text". With "blocks", each character shows two
            pixels, one above the other.
        lines: How many lines of the terminal it may take.
    """
    if kind == "iterm2":
        console.file.write(_iterm2_sequence(picture, lines))
        return
    if kind == "blocks":
        console.print(draw_half_blocks(picture, console.width, lines))
        return
    _quiet_textual_image()
    from textual_image.renderable import SixelImage, TGPImage

    image_type = {"kitty": TGPImage, "sixel": SixelImage}[kind]
    console.print(image_type(picture, width="auto", height="auto"), height=lines)


def side_by_side(pictures: Sequence[Image.Image]) -> Image.Image:
    """Joins pictures of one height, with a gap between them.

    Args:
        pictures: Mode "RGB".
    """
    gap = round(_SPACE / 100 * sum(picture.width for picture in pictures))
    width = sum(picture.width + gap for picture in pictures) - gap
    joined = Image.new("RGB", (width, pictures[0].height))
    left = 0
    for picture in pictures:
        joined.paste(picture, (left, 0))
        left += picture.width + gap
    return joined


def _iterm2_sequence(picture: Image.Image, lines: int) -> str:
    """Encodes a picture in iTerm2's own escape sequence, which all its versions support."""
    file = io.BytesIO()
    picture.save(file, "PNG")
    data = base64.b64encode(file.getvalue()).decode("ascii")
    return f"\x1b]1337;File=inline=1;width=100%;height={lines};size={file.tell()}:{data}\a\n"


def _quiet_textual_image() -> None:
    # It warns when a terminal doesn't report its cell size, but its guess is good.
    logging.getLogger("textual_image").setLevel(logging.ERROR)
