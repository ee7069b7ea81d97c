"""The labelled figure: what it shows, and that it is the same file everywhere."""

import io
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gradcam_cli.errors import UsageError
from gradcam_cli.rendering.encoding import save_figure
from gradcam_cli.rendering.figure import (
    PRINT,
    Panel,
    arrange,
    draw_figure,
    render_figure,
)

ROOT = Path(__file__).resolve().parent.parent
RED, GREEN, BLUE = ((200, 30, 30), (30, 160, 60), (40, 60, 210))


def panel(color, title="title", size=(300, 200)):
    return Panel(Image.new("RGB", size, color), title)


def written(figure, format_, **options):
    file = io.BytesIO()
    save_figure(figure, file, format_, **options)
    return file.getvalue()


def two_panels(title="tabby · 93.1 %", colormap="jet", dots=PRINT):
    rows = [[panel(RED, "Original"), panel(GREEN)]]
    return draw_figure(title, "Grad-CAM · net · layer top", rows, colormap, dots)


def test_original_is_left_of_the_overlay_and_the_colour_bar_right_of_both():
    picture = np.asarray(render_figure(two_panels(dots=60))).astype(int)
    centres = {}
    for name, color in (("original", RED), ("overlay", GREEN), ("hot", (128, 0, 0))):
        where = np.abs(picture - color).max(axis=-1) < 12
        assert where.any(), name
        centres[name] = np.nonzero(where)[1].mean()
    assert centres["original"] < centres["overlay"] < centres["hot"]


def test_png_is_sharp_at_print_size():
    with Image.open(io.BytesIO(written(two_panels(), "png"))) as image:
        assert image.info["dpi"][0] == pytest.approx(300, abs=1)
        assert image.width > 1800


def test_svg_has_all_the_panels_and_the_pdf_is_one():
    svg = written(two_panels(), "svg").decode()
    # Two panels and a colour bar; their colours are kept pixel by pixel.
    assert len(re.findall("<image ", svg)) == 3
    assert written(two_panels(), "pdf").startswith(b"%PDF-")


@pytest.mark.parametrize("format_", ["png", "pdf"])
def test_same_figure_is_the_same_file(format_):
    assert written(two_panels(), format_) == written(two_panels(), format_)


def test_panels_are_broken_into_even_rows():
    panels = [panel(RED)] * 5
    assert [len(row) for row in arrange(panels)] == [3, 2]
    assert [len(row) for row in arrange(panels[:4])] == [4]
    assert [len(row) for row in arrange(panels[:1])] == [1]


def test_grid_has_a_row_for_each_row():
    first = [panel(RED), panel(GREEN)]
    one = render_figure(draw_figure("a", "b", [first], dots_per_inch=40))
    two = render_figure(draw_figure("a", "b", [first, [panel(BLUE)]], dots_per_inch=40))
    assert two.width == one.width
    assert two.height > 1.6 * one.height
    blue = np.abs(np.asarray(two).astype(int) - BLUE).max(axis=-1) < 12
    rows, columns = np.nonzero(blue)
    assert rows.min() > two.height / 2
    assert columns.max() < two.width / 2


def test_names_with_dollar_signs_are_text():
    figure = two_panels(title=r"$\frac{x}$ and _that_ 100 %")
    assert written(figure, "png").startswith(b"\x89PNG")


def test_long_names_stay_inside_the_figure():
    picture = np.asarray(render_figure(two_panels(title="wide " * 60, dots=60)))
    assert (picture[:, -4:] == 255).all()


def test_unknown_colour_map_is_named():
    with pytest.raises(UsageError, match="no colour map 'rainbows'"):
        two_panels(colormap="rainbows")


def test_figures_are_drawn_in_threads():
    def draw(number):
        return written(two_panels(title=f"class {number}"), "png")

    alone = [draw(number) for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(draw, range(4))) == alone


def test_figures_need_neither_pyplot_nor_a_display():
    code = (
        "import io, sys; from PIL import Image; from gradcam_cli.rendering.figure import *;"
        "from gradcam_cli.rendering.encoding import FIGURE_FORMATS, save_figure;"
        "figure = draw_figure('a', 'b', [[Panel(Image.new('RGB', (30, 20)), 'c')]]);"
        "[save_figure(figure, io.BytesIO(), format_) for format_ in FIGURE_FORMATS];"
        "assert not {'matplotlib.pyplot', 'tensorflow', 'tkinter'} & set(sys.modules)"
    )
    environment = {key: value for key, value in os.environ.items() if "DISPLAY" not in key}
    subprocess.run([sys.executable, "-c", code], env=environment, cwd=ROOT, check=True)
