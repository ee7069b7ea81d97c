import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from gradcam_cli.errors import DarkPictureWarning, ImageError
from gradcam_cli.files.finding import find_pictures
from gradcam_cli.pictures.reading import read_picture
from gradcam_cli.pictures.stacks.animation import open_animation
from gradcam_cli.pictures.stacks.stack import FrameChoice

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


@pytest.fixture(scope="module")
def quarters():
    """24×16 pixels; red, green, blue, white from the upper left, by rows."""
    pixels = np.zeros((16, 24, 3), np.uint8)
    pixels[:8, :12], pixels[:8, 12:], pixels[8:, :12], pixels[8:, 12:] = RED, GREEN, BLUE, WHITE
    return Image.fromarray(pixels)


def middles(picture):
    """The colour in the middle of each quarter."""
    width, height = picture.size
    return [
        picture.getpixel((x, y))
        for y in (height // 4, 3 * height // 4)
        for x in (width // 4, 3 * width // 4)
    ]


def assert_looks_like(picture, colors, tolerance=2):
    assert picture.mode == "RGB"
    np.testing.assert_allclose(np.array(middles(picture), int), colors, atol=tolerance)


@pytest.mark.parametrize(
    ("ending", "options"),
    [
        ("jpg", {"quality": 95, "subsampling": 0}),
        ("jpg", {"quality": 95, "progressive": True, "subsampling": 0}),
        ("png", {}),
        ("webp", {"lossless": True}),
        ("bmp", {}),
        ("tiff", {}),
        ("tif", {"compression": "tiff_lzw"}),
        ("gif", {}),
    ],
)
def test_reads_every_format(tmp_path, quarters, ending, options):
    path = tmp_path / f"picture.{ending}"
    quarters.save(path, **options)
    picture = read_picture(path)
    assert picture.size == (24, 16)
    assert_looks_like(picture, [RED, GREEN, BLUE, WHITE], tolerance=4)


def test_the_content_counts_not_the_ending(tmp_path, quarters):
    path = tmp_path / "picture.jpg"
    quarters.save(path, "PNG")
    assert_looks_like(read_picture(path), [RED, GREEN, BLUE, WHITE])


@pytest.mark.parametrize("ending", ["gif", "webp", "tiff", "png"])
def test_takes_the_first_frame(tmp_path, quarters, ending):
    path = tmp_path / f"animated.{ending}"
    other = Image.new("RGB", quarters.size, (9, 9, 9))
    options = {"lossless": True} if ending == "webp" else {}
    quarters.save(path, save_all=True, append_images=[other, other], **options)
    assert_looks_like(read_picture(path), [RED, GREEN, BLUE, WHITE], tolerance=4)


def test_palette(tmp_path, quarters):
    quarters.convert("P", palette=Image.Palette.ADAPTIVE).save(tmp_path / "p.png")
    assert_looks_like(read_picture(tmp_path / "p.png"), [RED, GREEN, BLUE, WHITE])


def test_grey_and_bilevel(tmp_path, quarters):
    quarters.convert("L").save(tmp_path / "grey.png")
    greys = [(76,) * 3, (150,) * 3, (29,) * 3, WHITE]
    assert_looks_like(read_picture(tmp_path / "grey.png"), greys)
    quarters.convert("L").point(lambda v: 255 * (v > 100)).convert("1").save(tmp_path / "1.png")
    assert_looks_like(read_picture(tmp_path / "1.png"), [(0,) * 3, WHITE, (0,) * 3, WHITE])


def test_transparent_pixels_are_laid_on_white(tmp_path, quarters):
    clear = quarters.convert("RGBA")
    alpha = np.full((16, 24), 255, np.uint8)
    alpha[:8, :12], alpha[:8, 12:] = 0, 128
    clear.putalpha(Image.fromarray(alpha))
    clear.save(tmp_path / "rgba.png")
    half_green = (127, 255, 127)
    assert_looks_like(read_picture(tmp_path / "rgba.png"), [WHITE, half_green, BLUE, WHITE])
    clear.save(tmp_path / "rgba.webp", lossless=True)
    assert_looks_like(read_picture(tmp_path / "rgba.webp"), [WHITE, half_green, BLUE, WHITE])

    grey = Image.merge("LA", [Image.new("L", (24, 16), 40), Image.fromarray(alpha)])
    grey.save(tmp_path / "la.png")
    assert_looks_like(read_picture(tmp_path / "la.png"), [WHITE, (147,) * 3, (40,) * 3, (40,) * 3])


def test_a_transparent_colour_of_a_palette_is_laid_on_white(tmp_path):
    picture = Image.new("P", (8, 8), 1)
    picture.putpalette([0, 0, 0, 200, 10, 10])
    picture.paste(0, (0, 0, 4, 8))
    picture.save(tmp_path / "p.png", transparency=0)
    picture.save(tmp_path / "p.gif", transparency=0)
    for ending in ("png", "gif"):
        read = read_picture(tmp_path / f"p.{ending}")
        assert read.getpixel((1, 1)) == WHITE
        assert read.getpixel((6, 6)) == (200, 10, 10)


def test_cmyk(tmp_path):
    cyan_half = Image.new("CMYK", (16, 16), (128, 0, 0, 0))
    for ending, options in (("jpg", {"quality": 95}), ("tiff", {})):
        path = tmp_path / f"cmyk.{ending}"
        cyan_half.save(path, **options)
        assert_looks_like(read_picture(path), [(127, 255, 255)] * 4, tolerance=3)


@pytest.mark.parametrize("ending", ["png", "tiff"])
def test_sixteen_bit_grey_keeps_its_scale(tmp_path, ending):
    values = np.zeros((16, 24), np.uint16)
    values[:8, :12], values[:8, 12:], values[8:, :12] = 65535, 32768, 257
    path = tmp_path / f"deep.{ending}"
    Image.fromarray(values).save(path)
    assert_looks_like(read_picture(path), [(255,) * 3, (128,) * 3, (1,) * 3, (0,) * 3], tolerance=0)


@pytest.mark.parametrize("highest", [4095, 4096])
def test_sixteen_bits_of_which_twelve_are_used_get_a_warning(tmp_path, recwarn, highest):
    page = Image.fromarray(np.linspace(0, highest, 384).astype(np.uint16).reshape(16, 24))
    page.save(tmp_path / "one.tiff")
    empty = Image.fromarray(np.zeros((16, 24), np.uint16))
    page.save(tmp_path / "two.tiff", save_all=True, append_images=[empty])
    read_picture(tmp_path / "one.tiff")
    list(open_animation(tmp_path / "two.tiff").frames(FrameChoice()))
    told = [str(one.message) for one in recwarn if one.category is DarkPictureWarning]
    if highest > 4095:
        assert told == []
    else:
        assert ["4,095 of 65,535, so the network gets it nearly black" in one for one in told] == [
            True,
            True,
        ]


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_measurements_are_scaled_from_minimum_to_maximum(tmp_path, dtype):
    values = np.full((16, 24), -500, dtype)
    values[:8, :12], values[8:, 12:] = 1500, 500
    Image.fromarray(values).save(tmp_path / "f.tiff")
    black, white, grey = (0,) * 3, (255,) * 3, (128,) * 3
    assert_looks_like(read_picture(tmp_path / "f.tiff"), [white, black, black, grey], tolerance=1)
    Image.fromarray(np.full((16, 24), 7, dtype)).save(tmp_path / "flat.tiff")
    assert_looks_like(read_picture(tmp_path / "flat.tiff"), [black] * 4)


def test_measurements_without_a_number_do_not_spread(tmp_path, recwarn):
    values = np.zeros((16, 24), np.float32)
    values[:8, :12], values[:8, 12:], values[8:, :12] = 1, np.nan, 0.5
    Image.fromarray(values).save(tmp_path / "nan.tiff")
    picture = read_picture(tmp_path / "nan.tiff")
    assert_looks_like(picture, [(255,) * 3, (0,) * 3, (128,) * 3, (0,) * 3], tolerance=1)
    assert not [warning for warning in recwarn if warning.category is RuntimeWarning]


# What a camera does to an upright picture before it stores it with this orientation.
STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tiff"])
def test_turns_every_orientation_upright(tmp_path, quarters, orientation, ending):
    transposition = STORED[orientation]
    stored = quarters if transposition is None else quarters.transpose(transposition)
    exif = Image.Exif()
    exif[274] = orientation
    path = tmp_path / f"camera.{ending}"
    options = {"jpg": {"quality": 95, "subsampling": 0}, "webp": {"lossless": True}}
    stored.save(path, exif=exif, **options.get(ending, {}))
    picture = read_picture(path)
    assert picture.size == (24, 16)
    assert_looks_like(picture, [RED, GREEN, BLUE, WHITE], tolerance=4)
    assert not picture.getexif().get(274)


@pytest.mark.parametrize("exif", [b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif"])
def test_damaged_exif_does_not_cost_the_picture(tmp_path, quarters, exif):
    quarters.save(tmp_path / "odd.jpg", quality=95, subsampling=0, exif=exif)
    assert_looks_like(read_picture(tmp_path / "odd.jpg"), [RED, GREEN, BLUE, WHITE], tolerance=4)


def test_keeps_the_colour_profile_of_rgb_only(tmp_path, quarters):
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    quarters.save(tmp_path / "rgb.png", icc_profile=profile)
    assert read_picture(tmp_path / "rgb.png").info == {"icc_profile": profile}
    quarters.convert("CMYK").save(tmp_path / "cmyk.jpg", icc_profile=profile)
    assert read_picture(tmp_path / "cmyk.jpg").info == {}


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "bmp", "tiff", "gif"])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9])
def test_refuses_truncated_files(tmp_path, save_picture, ending, kept):
    path = save_picture(tmp_path / f"whole.{ending}", size=(200, 150))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(ImageError, match=f"whole.{ending}: "):
        read_picture(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.jpg", b"", "not a supported picture"),
        ("text.png", b"hello, this is text\n", "not a supported picture"),
        ("page.jpg", b"<html></html>", "not a supported picture"),
        ("vector.png", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a supported picture"),
        (
            "script.jpg",
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
            "not a supported picture",
        ),
    ],
)
def test_refuses_what_is_no_picture(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ImageError, match=message) as error:
        read_picture(path)
    assert name in str(error.value)
    assert "\n" not in str(error.value)


def test_a_pipe_keeps_nobody_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    (picture,) = find_pictures([tmp_path])
    with pytest.raises(ImageError, match="is a pipe"):
        read_picture(picture.path)


def test_refuses_missing_files_and_folders(tmp_path):
    with pytest.raises(ImageError, match="no such file"):
        read_picture(tmp_path / "missing.jpg")
    with pytest.raises(ImageError, match="is a folder"):
        read_picture(tmp_path)


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def test_refuses_decompression_bombs(tmp_path):
    # Two thousand million pixels of one bit in a file of a few bytes.
    header = struct.pack(">IIBBBBB", 50_000, 40_000, 1, 0, 0, 0, 0)
    path = tmp_path / "bomb.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + png_chunk(b"IDAT", zlib.compress(b"\0" * 100))
        + png_chunk(b"IEND", b"")
    )
    with pytest.raises(ImageError, match="million pixels"):
        read_picture(path)


def test_refuses_bombs_in_text_chunks(tmp_path, quarters):
    quarters.save(tmp_path / "plain.png")
    content = (tmp_path / "plain.png").read_bytes()
    text = b"comment\0\0" + zlib.compress(b"a" * 100_000_000)
    path = tmp_path / "text.png"
    path.write_bytes(content[:33] + png_chunk(b"zTXt", text) + content[33:])
    with pytest.raises(ImageError, match=r"text\.png"):
        read_picture(path)


def test_the_smallest_picture(tmp_path):
    Image.new("RGB", (1, 1), RED).save(tmp_path / "one.png")
    picture = read_picture(tmp_path / "one.png")
    assert picture.size == (1, 1)
    assert picture.getpixel((0, 0)) == RED
