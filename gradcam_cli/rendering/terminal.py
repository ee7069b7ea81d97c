"""Pictures in a terminal."""

from __future__ import annotations

import base64
import io
import logging
import os
import sys
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from rich.console import Console

_LEAST_HEIGHT = 8
# The protocols by which terminals show pictures, and text that does without any.
TERMINAL_KINDS = ("kitty", "iterm2", "sixel", "blocks")


def detect_terminal() -> str:
    """Finds out how the terminal shows pictures.

    iTerm2 names itself. Others are asked, which takes a few tenths of a second where no
    answer comes.

    Returns:
        One of `TERMINAL_KINDS`; "blocks" where standard input or output is no terminal.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return "blocks"
    if "iTerm" in os.environ.get("TERM_PROGRAM", "") + os.environ.get("LC_TERMINAL", ""):
        return "iterm2"
    _quiet_textual_image()
    from textual_image import renderable

    kinds = {renderable.SixelImage: "sixel", renderable.TGPImage: "kitty"}
    return kinds.get(renderable.Image, "blocks")


def print_picture(console: Console, picture: Image.Image, kind: str) -> None:
    """Prints a picture as large as the terminal allows.

    Args:
        console: Of the terminal.
        picture: Mode "RGB".
        kind: One of `TERMINAL_KINDS`. As "blocks" each character is two pixels, one above
            the other.
    """
    if kind == "iterm2":
        console.file.write(_iterm2_sequence(picture))
        return
    _quiet_textual_image()
    from textual_image.renderable import HalfcellImage, SixelImage, TGPImage

    image_type = {"kitty": TGPImage, "sixel": SixelImage, "blocks": HalfcellImage}[kind]
    # The prompt that follows takes a line too.
    height = max(_LEAST_HEIGHT, console.height - 2)
    console.print(image_type(picture, width="auto", height="auto"), height=height)


def _iterm2_sequence(picture: Image.Image) -> str:
    """Writes iTerm2's own escape sequence, which it has had longer than any other."""
    file = io.BytesIO()
    picture.save(file, "PNG")
    data = base64.b64encode(file.getvalue()).decode("ascii")
    return f"\x1b]1337;File=inline=1;width=100%;size={file.tell()}:{data}\a\n"


def _quiet_textual_image() -> None:
    # It warns where a terminal doesn't tell the size of its cells; its guess is good.
    logging.getLogger("textual_image").setLevel(logging.ERROR)
