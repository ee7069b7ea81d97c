import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from gradcam_cli.errors import UsageError
from gradcam_cli.rendering.color_scale import color_table
from gradcam_cli.rendering.overlay import draw_heatmap, draw_overlay, heatmap_to_image


@pytest.fixture
def picture():
    pixels = np.random.default_rng(3).integers(0, 256, (20, 30, 3), np.uint8)
    return Image.fromarray(pixels)


def heat_of(values):
    return np.asarray(values, np.float32)


@pytest.fixture
def ramp():
    """All 600 values from 0 to 1, over a picture of 30×20."""
    return np.linspace(0, 1, 600, dtype=np.float32).reshape(20, 30)


@pytest.mark.parametrize(
    "colormap", ["jet", "viridis", "turbo", "gray", "tab10", "twilight", "jet_r"]
)
def test_the_colours_are_matplotlibs(colormap):
    table = np.frombuffer(color_table(colormap), np.uint8).reshape(256, 3)
    expected = mpl.colormaps[colormap](np.linspace(0, 1, 256), bytes=True)[:, :3]
    np.testing.assert_array_equal(table, expected)


def test_every_colour_map_of_matplotlib_works():
    for name in mpl.colormaps:
        assert len(color_table(name)) == 768


def test_an_unknown_colour_map_is_refused():
    with pytest.raises(UsageError, match=r"'jett'"):
        color_table("jett")


def test_alpha_one_shows_nothing_but_the_colours(picture, ramp):
    overlay = np.asarray(draw_overlay(picture, heat_of(ramp), alpha=1))
    levels = np.rint(ramp * 255).astype(int)
    expected = mpl.colormaps["jet"](np.arange(256), bytes=True)[levels][..., :3]
    np.testing.assert_array_equal(overlay, expected)
    np.testing.assert_array_equal(overlay[0, 0], [0, 0, 127])
    np.testing.assert_array_equal(overlay[-1, -1], [127, 0, 0])


def test_alpha_zero_leaves_the_picture(picture, ramp):
    np.testing.assert_array_equal(draw_overlay(picture, heat_of(ramp), alpha=0), picture)


@pytest.mark.parametrize("alpha", [0.25, 0.5, 0.8])
def test_blends_in_proportion(picture, ramp, alpha):
    full = np.asarray(draw_overlay(picture, heat_of(ramp), alpha=1), float)
    blend = np.asarray(draw_overlay(picture, heat_of(ramp), alpha=alpha), float)
    expected = alpha * full + (1 - alpha) * np.asarray(picture, float)
    assert np.abs(blend - expected).max() <= 1


def test_a_part_leaves_the_rest_untouched(picture):
    overlay = np.array(draw_overlay(picture, heat_of(np.ones((6, 8))), (5, 9), alpha=1))
    np.testing.assert_array_equal(overlay[9:15, 5:13], np.broadcast_to([127, 0, 0], (6, 8, 3)))
    rest = np.ones((20, 30), bool)
    rest[9:15, 5:13] = False
    np.testing.assert_array_equal(overlay[rest], np.asarray(picture)[rest])


def test_the_picture_itself_is_not_painted_on(picture, ramp):
    before = picture.copy()
    draw_overlay(picture, heat_of(ramp))
    draw_overlay(picture, heat_of(np.ones((6, 8))), (5, 9))
    np.testing.assert_array_equal(picture, before)


def test_the_bare_map_lies_in_the_frame_of_its_picture(ramp):
    np.testing.assert_array_equal(draw_heatmap(heat_of(ramp), (30, 20)), ramp)
    heatmap = draw_heatmap(heat_of(np.full((6, 8), 0.25)), (30, 20), (5, 9))
    assert heatmap.shape == (20, 30)
    assert heatmap.dtype == np.float32
    assert (heatmap[9:15, 5:13] == 0.25).all()
    assert heatmap.sum() == pytest.approx(0.25 * 48)


def test_the_grey_picture_has_sixteen_bits(tmp_path, ramp):
    image = heatmap_to_image(ramp)
    assert image.mode == "I;16"
    image.save(tmp_path / "map.png")
    values = np.asarray(Image.open(tmp_path / "map.png"))
    assert values.dtype == np.uint16
    assert (values.min(), values.max()) == (0, 65535)
    np.testing.assert_allclose(values / 65535, ramp, atol=0.5 / 65535 + 1e-7)
    # More levels than 8 bits could tell apart.
    assert len(np.unique(values)) == 600
