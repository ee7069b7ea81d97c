import io
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageDraw

from gradcam_cli.files.marks import is_result_of, mark
from gradcam_cli.rendering.encoding import PICTURE_FORMATS, encode_picture, format_for
from gradcam_cli.rendering.overlay import draw_overlay
from gradcam_cli.rendering.png import encode_png

SAMPLES = Path(__file__).parent.parent / "sample_images"


def decode(encoded):
    image = Image.open(io.BytesIO(encoded))
    image.load()
    return image


def some_overlay(picture):
    cells = np.random.default_rng(0).random((7, 9), np.float32)
    heat = Image.fromarray(cells).resize(picture.size, Image.Resampling.BICUBIC)
    return draw_overlay(picture, np.asarray(heat).clip(0, 1))


def drawing():
    picture = Image.new("RGB", (500, 375), "white")
    pen = ImageDraw.Draw(picture)
    for line in range(25):
        pen.text((5, 15 * line), "where did the network look, and why this class? " * 2, "black")
    return picture


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (3, 2), (333, 201), (1000, 700)])
def test_png_keeps_every_pixel(size):
    noise = np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), np.uint8)
    decoded = decode(encode_png(Image.fromarray(noise)))
    assert decoded.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(decoded), noise)


def test_png_keeps_every_pixel_whatever_filter_a_row_takes():
    gradient = np.add.outer(np.arange(300), np.arange(400)) % 256
    steep = np.random.default_rng(2).integers(0, 256, (300, 400))
    planes = np.stack([gradient, gradient[::-1], np.where(gradient > 90, steep, 7)], -1)
    decoded = decode(encode_png(Image.fromarray(planes.astype(np.uint8))))
    np.testing.assert_array_equal(np.asarray(decoded), planes)


def test_png_is_built_as_the_standard_says():
    """By hand: one black and one white pixel; each row names its filter first."""
    encoded = encode_png(Image.fromarray(np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8)))
    assert encoded[:8] == b"\x89PNG\r\n\x1a\n"
    header = encoded[8:33]
    assert header == (
        b"\0\0\0\x0dIHDR" + bytes([0, 0, 0, 2, 0, 0, 0, 1, 8, 2, 0, 0, 0])
    ) + zlib.crc32(header[4:21]).to_bytes(4)
    length = int.from_bytes(encoded[33:37])
    assert encoded[37:41] == b"IDAT"
    # The second pixel less the first, by whichever filter.
    assert zlib.decompress(encoded[41 : 41 + length])[1:] == bytes([0, 0, 0, 255, 255, 255])
    assert encoded[-12:] == b"\0\0\0\0IEND\xaeB`\x82"


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.jpg")), ids=lambda path: path.stem)
def test_png_of_a_photograph_is_hardly_larger_than_pillows(path):
    with Image.open(path) as picture:
        picture.thumbnail((700, 700))
        overlay = some_overlay(picture.convert("RGB"))
    by_pillow = io.BytesIO()
    overlay.save(by_pillow, "PNG")
    assert len(encode_png(overlay)) < 1.15 * len(by_pillow.getvalue())


def test_png_of_an_overlay_on_a_drawing_is_hardly_larger_than_pillows():
    picture = some_overlay(drawing())
    by_pillow = io.BytesIO()
    picture.save(by_pillow, "PNG")
    assert len(encode_png(picture)) < 1.15 * len(by_pillow.getvalue())


@pytest.mark.parametrize("format_", PICTURE_FORMATS)
def test_every_format_shows_the_same_picture(format_):
    with Image.open(SAMPLES / "cat.jpg") as picture:
        overlay = some_overlay(picture.convert("RGB"))
    decoded = decode(encode_picture(overlay, format_))
    assert decoded.format == Image.registered_extensions()[f".{format_}"]
    difference = np.asarray(decoded, float) - np.asarray(overlay, float)
    assert np.sqrt(np.mean(difference**2)) < (1e-9 if format_ == "png" else 6)


@pytest.mark.parametrize("format_", PICTURE_FORMATS)
def test_every_format_keeps_the_colour_profile_and_the_mark(tmp_path, format_):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    source = tmp_path / "Kätzchen.jpg"
    path = tmp_path / f"Kätzchen_gradcam.{format_}"
    marked = mark(source, tmp_path, "Grad-CAM of tabby")
    path.write_bytes(encode_picture(Image.new("RGB", (8, 8)), format_, marked, profile))
    with Image.open(path) as image:
        assert image.info["icc_profile"] == profile
    assert is_result_of(path, source)
    assert not is_result_of(path, tmp_path / "dog.jpg")


def test_a_result_is_known_by_an_ending_that_says_nothing_of_its_format(tmp_path):
    source = tmp_path / "kitten.jpg"
    for ending in (".bmp", ".png", ".own", ""):
        path = tmp_path / f"kitten_gradcam{ending}"
        picture = Image.new("RGB", (8, 8))
        path.write_bytes(encode_picture(picture, format_for(path), mark(source, tmp_path, "")))
        assert is_result_of(path, source)


def test_the_ending_says_the_format():
    assert format_for(Path("a.JPEG")) == format_for(Path("a.jpg")) == "jpg"
    assert format_for(Path("a.webp")) == "webp"
    assert format_for(Path("a.png")) == format_for(Path("a")) == "png"
