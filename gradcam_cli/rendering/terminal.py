"""Shows pictures in a terminal."""

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
# The graphics protocols of terminals, and "blocks", which needs none.
TERMINAL_KINDS = ("kitty", "iterm2", "sixel", "blocks")


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


def print_picture(console: Console, picture: Image.Image, kind: str) -> None:
    """Prints a picture as large as the terminal allows.

    Args:
        console: The console of the terminal.
        picture: Mode "RGB".
        kind: One of `TERMINAL_KINDS`. With "blocks", each character shows two pixels, one
            above the other.
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
    """Encodes a picture in iTerm2's own escape sequence, which all its versions support."""
    file = io.BytesIO()
    picture.save(file, "PNG")
    data = base64.b64encode(file.getvalue()).decode("ascii")
    return f"\x1b]1337;File=inline=1;width=100%;size={file.tell()}:{data}\a\n"


def _quiet_textual_image() -> None:
    # It warns when a terminal doesn't report its cell size, but its guess is good.
    logging.getLogger("textual_image").setLevel(logging.ERROR)
