"""Pictures in terminals of each kind."""

import base64
import io
import re

import numpy as np
from PIL import Image
from rich.console import Console

from gradcam_cli.rendering.terminal import detect_terminal, print_picture


def gradient(width=120, height=80):
    rows, columns = np.mgrid[0:height, 0:width]
    pixels = np.stack([columns * 2, rows * 3, np.full_like(rows, 90)], axis=-1)
    return Image.fromarray(pixels.astype(np.uint8))


def printed(kind, width=40, height=30):
    file = io.StringIO()
    console = Console(
        file=file, force_terminal=True, color_system="truecolor", width=width, height=height
    )
    print_picture(console, gradient(), kind)
    return file.getvalue()


def test_half_blocks_fill_the_width():
    lines = printed("blocks").splitlines()
    assert {line.count("▀") for line in lines} == {40}
    # Cells are about twice as high as wide: 40 columns of a 3:2 picture are 13 lines.
    assert len(lines) in (13, 14)


def test_half_blocks_leave_room_for_the_prompt():
    assert len(printed("blocks", width=200, height=20).splitlines()) <= 18


def test_iterm2_gets_the_picture_itself():
    head, data = re.fullmatch(
        r"\x1b\]1337;File=([^:]*):([A-Za-z0-9+/=]*)\a\n", printed("iterm2")
    ).groups()
    assert "inline=1" in head
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        assert (np.asarray(image) == np.asarray(gradient())).all()


def test_sixel_names_colours_and_draws_bands():
    text = printed("sixel")
    sixel = re.search(r"\x1bP[\d;]*q(.*?)\x1b\\", text, re.DOTALL).group(1)
    assert re.search(r"#\d+;2;\d+;\d+;\d+", sixel)
    assert sixel.count("-") > 10


def test_without_a_terminal_text_is_chosen(monkeypatch):
    monkeypatch.setenv("TERM_PROGRAM", "iTerm.app")
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert detect_terminal() == "blocks"


def test_iterm2_is_known_by_its_name(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("sys.stdout", Terminal())
    monkeypatch.setenv("LC_TERMINAL", "iTerm2")
    assert detect_terminal() == "iterm2"
