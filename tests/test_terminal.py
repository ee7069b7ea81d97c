"""Pictures in terminals of each kind."""

import base64
import io
import re

import numpy as np
from PIL import Image
from rich.console import Console

from gradcam_cli.rendering.characters import SHADES, draw_side_by_side
from gradcam_cli.rendering.terminal import detect_terminal, print_picture, side_by_side


def gradient(width=120, height=80):
    rows, columns = np.mgrid[0:height, 0:width]
    pixels = np.stack([columns * 2, rows * 3, np.full_like(rows, 90)], axis=-1)
    return Image.fromarray(pixels.astype(np.uint8))


def printed(kind, width=40, height=30):
    file = io.StringIO()
    console = Console(
        file=file, force_terminal=True, color_system="truecolor", width=width, height=height
    )
    print_picture(console, gradient(), kind, height - 2)
    return file.getvalue()


def test_half_blocks_fill_the_width():
    lines = printed("blocks").splitlines()
    assert {line.count("▀") for line in lines} == {40}
    # Cells are about twice as high as wide: 40 columns of a 3:2 picture are 13 lines.
    assert len(lines) in (13, 14)


def test_half_blocks_leave_room_for_the_prompt():
    assert len(printed("blocks", width=200, height=20).splitlines()) <= 18


def test_pictures_of_several_classes_stand_side_by_side():
    joined = np.asarray(side_by_side([gradient(), gradient()]))
    assert joined.shape[0] == 80
    assert joined.shape[1] > 240
    assert (joined[:, :120] == joined[:, -120:]).all()


def test_without_colours_bright_is_dense_and_hot_is_dark():
    rows, columns = np.mgrid[0:80, 0:120]
    heat = (rows / 79 * (columns < 60)).astype(np.float32)
    picture = Image.fromarray(np.broadcast_to(columns[..., None] * 2, (80, 120, 3)).astype("u1"))
    lines = draw_side_by_side(picture, [heat], columns=62, lines=20).splitlines()
    assert len(lines) == 10
    assert all(len(line) <= 62 for line in lines)
    dots = np.array([[(ord(c) - 0x2800).bit_count() for c in line[:30]] for line in lines])
    assert (np.abs(dots.mean(0) - np.linspace(0, 8, 30)) < 1.5).all()
    shades = np.array([[SHADES.index(c) for c in line[32:].ljust(30)] for line in lines])
    assert not shades[:, 15:].any()
    assert (np.abs(shades[:, :15] - np.linspace(0, 4, 10)[:, None]) <= 1).all()


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
