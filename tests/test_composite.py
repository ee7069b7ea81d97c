"""Several classes in one picture: who owns which part."""

import numpy as np
from PIL import Image

from gradcam_cli.models.labels import Prediction
from gradcam_cli.rendering.composite import HUES, draw_composite

GREY = Image.new("RGB", (120, 60), (128, 128, 128))


def entry(name, heat, probability=0.5):
    return Prediction(0, name, None, probability), heat.astype(np.float32)


def nearest_hue(pixel):
    distances = np.abs(np.subtract(HUES, pixel)).sum(axis=1)
    return int(distances.argmin())


def test_each_class_owns_the_part_where_its_map_is_highest():
    heats = np.zeros((3, 60, 120))
    heats[0, :, :40] = 1
    heats[1, :, 40:80] = 1
    heats[1, :, :40] = 0.3
    composite = draw_composite(GREY, [entry(f"class {n}", heats[n]) for n in range(3)])
    assert composite.width == 120
    assert nearest_hue(composite.getpixel((20, 30))) == 0
    assert nearest_hue(composite.getpixel((60, 30))) == 1
    assert composite.getpixel((100, 30)) == (128, 128, 128)


def test_maps_of_a_part_of_the_picture_are_put_in_their_place():
    heat = np.ones((20, 30))
    composite = draw_composite(GREY, [entry("one", heat)], position=(50, 10))
    assert nearest_hue(composite.getpixel((65, 20))) == 0
    assert composite.getpixel((45, 20)) == composite.getpixel((85, 20)) == (128, 128, 128)


def test_legend_shows_the_hue_of_each_class_below_the_picture():
    heat = np.zeros((60, 120))
    names = ["first", "a class with quite a long name", "third $x$ <b>"]
    composite = draw_composite(GREY, [entry(name, heat) for name in names])
    legend = np.asarray(composite.crop((0, 60, *composite.size))).reshape(-1, 3)
    for hue in HUES[:3]:
        assert (legend == hue).all(axis=1).sum() > 20
    assert not (legend == HUES[3]).all(axis=1).any()


def test_a_less_probable_class_has_less_colour():
    left, right = np.zeros((2, 60, 120))
    left[:, :60] = right[:, 60:] = 1
    classes = [entry("orange", left, 0.56), entry("tray", right, 0.01)]
    composite = np.asarray(draw_composite(GREY, classes)).astype(int)
    strength = np.abs(composite[:60] - 128).sum(axis=2)
    assert 0 < strength[:, 60:].max() < strength[:, :60].min() / 3
    both = draw_composite(GREY, [entry("orange", left, 0.56), entry("tray", left, 0.01)])
    assert nearest_hue(both.getpixel((20, 30))) == 0


def test_classes_without_any_probability_are_drawn_alike():
    heat = np.ones((60, 120))
    composite = draw_composite(GREY, [entry("one", heat, 0.0)])
    assert nearest_hue(composite.getpixel((20, 30))) == 0
