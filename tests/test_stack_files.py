"""Tests of reading and writing videos, animations and pages, and of their marks."""

import io
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import av
import numpy as np
import pytest
import tifffile
from moving_squares import (
    ANIMATIONS,
    ENCODERS,
    NUMBER,
    SIZE,
    place,
    place_of,
    save_squares,
    save_video,
    square,
)
from PIL import Image, TiffImagePlugin

from gradcam_cli.errors import GradcamWarning, ImageError, UsageError
from gradcam_cli.files.finding import SUFFIXES, WITH_VIDEOS, find_pictures
from gradcam_cli.files.marks import is_marked, is_own_result, is_result_of, mark
from gradcam_cli.pictures.reading import read_picture
from gradcam_cli.pictures.stacks.opening import open_stack
from gradcam_cli.pictures.stacks.stack import FrameChoice
from gradcam_cli.rendering.overlay import draw_overlay
from gradcam_cli.rendering.stacks.animation import GifWriter, PngWriter, TiffWriter, WebPWriter
from gradcam_cli.rendering.stacks.writer import written_stack

ALL = FrameChoice()
KINDS = [*ENCODERS, *ANIMATIONS, ".tif"]
TIMED = [*ENCODERS, *ANIMATIONS]


def frames_of(path, choice=ALL):
    return list(open_stack(path).frames(choice))


def write(source, path, choice=ALL, draw=lambda frame: frame.image):
    stack = open_stack(source)
    with written_stack(stack, path, mark(source, path.parent, "a title")) as writer:
        for frame in stack.frames(choice):
            heat = np.zeros(frame.image.size[::-1], np.float32)
            writer.add(frame, draw(frame), heat)
    return path


def collect(frames):
    """What a stack yields, and the error at its end."""
    got = []
    while True:
        try:
            got.append(next(frames))
        except StopIteration:
            return got, None
        except ImageError as error:
            return got, error


# Reading


@pytest.mark.parametrize("suffix", KINDS)
def test_every_picture_of_a_file_is_read(suffix, tmp_path):
    stack = open_stack(save_squares(tmp_path / f"a{suffix}"))
    frames = list(stack.frames(ALL))
    assert [frame.number for frame in frames] == list(range(NUMBER))
    for frame in frames:
        assert frame.image.mode == "RGB"
        assert frame.image.size == SIZE
        assert place(frame.image) == pytest.approx(place_of(frame.number), abs=1)
    # A second time, from the beginning.
    assert place(next(iter(stack.frames(ALL))).image) == pytest.approx(place_of(0), abs=1)


@pytest.mark.parametrize("suffix", TIMED)
def test_a_frame_is_shown_until_the_next(suffix, tmp_path):
    frames = frames_of(save_squares(tmp_path / f"a{suffix}"))
    assert [frame.seconds for frame in frames] == pytest.approx([k / 10 for k in range(NUMBER)])
    assert [frame.duration for frame in frames] == pytest.approx([0.1] * NUMBER)


@pytest.mark.parametrize("suffix", KINDS)
def test_chosen_pictures(suffix, tmp_path):
    path = save_squares(tmp_path / f"a{suffix}")
    some = frames_of(path, FrameChoice(slice(2, 9), 3))
    assert [frame.number for frame in some] == [2, 5, 8]
    assert [place(frame.image)[0] for frame in some] == pytest.approx(
        [place_of(k)[0] for k in (2, 5, 8)], abs=1
    )
    assert [frame.number for frame in frames_of(path, FrameChoice(slice(-2, None)))] == [10, 11]
    for nothing in (slice(50, 60), slice(3, 3), slice(0, -50)):
        with pytest.raises(UsageError, match=r"has 12 (frames|pages)"):
            frames_of(path, FrameChoice(nothing))


@pytest.mark.parametrize("suffix", TIMED)
def test_a_frame_of_many_is_shown_for_all_of_them(suffix, tmp_path):
    path = save_squares(tmp_path / f"a{suffix}")
    some = frames_of(path, FrameChoice(slice(0, 10), 4))
    assert [frame.seconds for frame in some] == pytest.approx([0, 0.4, 0.8])
    # The last would be followed by number 12, where the file ends.
    assert [frame.duration for frame in some] == pytest.approx([0.4, 0.4, 0.4])


def test_frames_of_different_lengths(tmp_path):
    times = [0, 0.04, 0.1, 0.5, 1.5, 1.54]
    pictures = [square(k) for k in range(len(times))]
    for suffix in (".mp4", ".webm", ".mkv"):
        frames = frames_of(save_video(tmp_path / f"a{suffix}", pictures, times))
        assert [frame.seconds for frame in frames] == pytest.approx(times, abs=1e-3)
    for suffix in ANIMATIONS:
        path = tmp_path / f"a{suffix}"
        pictures[0].save(
            path, save_all=True, append_images=pictures[1:], duration=[40, 60, 400, 1000, 40, 0]
        )
        frames = frames_of(path)
        assert [frame.seconds for frame in frames] == pytest.approx(times)
        # No length at all: browsers take a tenth of a second.
        assert frames[-1].duration == pytest.approx(0.1)


@pytest.mark.parametrize(
    "numbers",
    [
        *[(1, 0, 0, 1), (-1, 0, 0, 1), (1, 0, 0, -1), (-1, 0, 0, -1)],
        *[(0, 1, 1, 0), (0, 1, -1, 0), (0, -1, 1, 0), (0, -1, -1, 0)],
    ],
)
def test_a_video_is_turned_as_it_says(numbers, tmp_path):
    path = save_video(tmp_path / "a.mp4", [square(1)] * 2, [0, 0.1])
    content = path.read_bytes()

    def matrix(a, b, c, d):
        return struct.pack(">9i", *(65536 * n for n in (a, b, 0, c, d, 0, 0, 0)), 1 << 30)

    # ISO/IEC 14496-12, 8.3.2: the matrix of a track.
    start = content.index(matrix(1, 0, 0, 1), content.index(b"tkhd"))
    path.write_bytes(content[:start] + matrix(*numbers) + content[start + 36 :])
    # (x, y) goes to (a x + c y, b x + d y), and then into the frame.
    a, b, c, d = numbers
    x, y = place_of(1)
    width, height = SIZE if a else SIZE[::-1]
    expected = (a * x + c * y) % (width - 1), (b * x + d * y) % (height - 1)
    image = frames_of(path)[0].image
    assert image.size == (width, height)
    assert place(image) == pytest.approx(expected, abs=1)


def test_pixels_of_a_video_become_square(tmp_path):
    def widen(file, stream):
        stream.codec_context.sample_aspect_ratio = 2

    path = save_video(tmp_path / "a.mp4", [square(3)] * 2, [0, 0.1], prepare=widen)
    image = frames_of(path)[0].image
    assert image.size == (2 * SIZE[0], SIZE[1])
    assert place(image)[0] == pytest.approx(2 * place_of(3)[0], abs=2)


@pytest.mark.parametrize(
    ("encoder", "pixels", "matrix", "reach"),
    [
        ("libx264", "yuv420p", 1, 1),
        ("libx264", "yuv420p", 6, 1),
        ("libx264", "yuv420p", 1, 2),
        ("libx264", "yuv420p10le", 1, 1),
        ("libx264", "yuv444p", 6, 1),
        ("libx264", "yuv420p", None, None),
        ("prores", "yuv422p10le", 1, 1),
        ("png", "rgb24", None, None),
    ],
)
def test_colors_of_a_video(encoder, pixels, matrix, reach, tmp_path):
    """BT.709 and BT.601, limited and full range, more bits, and no word about it."""
    color = 40, 160, 220

    def describe(file, stream):
        if matrix is not None:
            stream.codec_context.colorspace, stream.codec_context.color_range = matrix, reach

    pictures = [square(0, color=color)] * 3
    frames = [np.asarray(one).copy() for one in pictures]
    for frame in frames:
        frame[:] = color
    path = tmp_path / "a.mov"
    with av.open(str(path), "w") as file:
        stream = file.add_stream(encoder, rate=10)
        stream.width, stream.height = SIZE
        stream.pix_fmt = pixels
        describe(file, stream)
        reformatter = av.video.reformatter.VideoReformatter()
        for pixels_of_one in frames:
            one = reformatter.reformat(
                av.VideoFrame.from_ndarray(pixels_of_one, format="rgb24"),
                format=pixels,
                dst_colorspace="ITU709" if matrix == 1 else "ITU601",
                dst_color_range=reach,
            )
            file.mux(stream.encode(one))
        file.mux(stream.encode(None))
    image = frames_of(path)[1].image
    assert np.asarray(image)[20, 30] == pytest.approx(color, abs=5)


def test_the_colors_of_hdr_videos_are_warned_of(tmp_path):
    def describe(file, stream):
        stream.codec_context.color_trc = 16

    with pytest.warns(GradcamWarning, match=r"hdr\.mp4: is an HDR video"):
        open_stack(save_squares(tmp_path / "hdr.mp4", prepare=describe))


@pytest.mark.parametrize("suffix", [".webm", ".mov", ".gif", ".png", ".webp"])
def test_transparent_parts_become_white(suffix, tmp_path):
    path = tmp_path / f"a{suffix}"
    pictures = [square(k, opacity=0) for k in range(4)]
    if suffix in ENCODERS:
        encoder, pixels = {".webm": ("libvpx-vp9", "yuva420p"), ".mov": ("png", "rgba")}[suffix]
        save_video(
            path,
            pictures,
            [k / 10 for k in range(4)],
            encoder,
            pixels,
            prepare=lambda _file, stream: stream.metadata.update(alpha_mode="1"),
        )
    else:
        pictures[0].save(
            path, save_all=True, append_images=pictures[1:], duration=100, disposal=2, lossless=True
        )
    for frame in frames_of(path):
        assert frame.image.getpixel((60, 40)) == (255, 255, 255)
        assert place(frame.image) == pytest.approx(place_of(frame.number), abs=1)
        assert frame.image.info["rgba"].getpixel((60, 40))[3] == 0


def test_gif_frames_are_drawn_over_those_before(tmp_path):
    """Pillow stores only what changes."""
    path = save_squares(tmp_path / "a.gif")
    with av.open(str(path)) as file:
        by_ffmpeg = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    for frame, other in zip(frames_of(path), by_ffmpeg, strict=True):
        assert np.array_equal(np.asarray(frame.image), other)


def test_a_picture_for_old_viewers_is_no_frame(tmp_path):
    pictures = [square(k) for k in range(4)]
    path = tmp_path / "a.png"
    pictures[0].save(path, save_all=True, append_images=pictures[1:], default_image=True)
    frames = frames_of(path)
    assert len(frames) == 3
    assert place(frames[0].image) == pytest.approx(place_of(1))


def test_pages_may_differ(tmp_path):
    pages = [
        Image.new("RGB", (30, 20), "red"),
        Image.new("L", (50, 40), 100),
        Image.fromarray(np.full((10, 15), 40000, np.uint16)),
        Image.new("1", (20, 20), 1),
    ]
    path = tmp_path / "a.tif"
    pages[0].save(path, save_all=True, append_images=pages[1:])
    frames = frames_of(path)
    assert [frame.image.size for frame in frames] == [page.size for page in pages]
    colors = [frame.image.getpixel((1, 1)) for frame in frames]
    assert colors == [(255, 0, 0), (100, 100, 100), (156, 156, 156), (255, 255, 255)]
    assert {frame.seconds for frame in frames} == {None}


def test_pages_of_numbers_have_one_scale(tmp_path):
    ramp = np.linspace(0, 1, 600, dtype=np.float32).reshape(20, 30)
    path = tmp_path / "a.tif"
    Image.fromarray(ramp).save(
        path, save_all=True, append_images=[Image.fromarray(4 * ramp), Image.fromarray(2 * ramp)]
    )
    brightest = [np.asarray(frame.image).max() for frame in frames_of(path)]
    assert brightest == pytest.approx([64, 255, 128], abs=1)


def test_values_that_are_no_numbers_dont_change_the_scale(tmp_path):
    ramp = np.linspace(100, 200, 600, dtype=np.float32).reshape(20, 30)
    holed = 2 * ramp
    holed[0, 0], holed[0, 1], holed[0, 2] = np.nan, np.inf, -np.inf
    path = tmp_path / "a.tif"
    Image.fromarray(ramp).save(path, save_all=True, append_images=[Image.fromarray(holed)])
    first, second = (np.asarray(frame.image)[..., 0] for frame in frames_of(path))
    assert (first.min(), first.max()) == pytest.approx((0, 85), abs=1)
    assert second[0, :3].tolist() == [0, 255, 0]
    assert int(second[0, 3]) == pytest.approx(86, abs=1)
    Image.fromarray(holed).save(path)
    alone = np.asarray(read_picture(path))[..., 0]
    assert alone[0, :3].tolist() == [0, 255, 0]
    assert alone[0, 3] < 5


def test_bytes_with_signs_are_refused(tmp_path):
    signed = np.array([[-100, 0, 100]], np.int8).repeat(3, axis=0)
    tifffile.imwrite(tmp_path / "one.tif", signed, photometric="minisblack")
    tifffile.imwrite(tmp_path / "two.tif", np.stack([signed] * 2), photometric="minisblack")
    with pytest.raises(ImageError, match=r"one\.tif: has values of 8 bits with signs"):
        read_picture(tmp_path / "one.tif")
    with pytest.raises(ImageError, match=r"two\.tif: has values of 8 bits with signs"):
        frames_of(tmp_path / "two.tif")


def test_each_page_is_turned_as_it_says(tmp_path):
    path = tmp_path / "a.tif"
    with TiffImagePlugin.AppendingTiffWriter(str(path), True) as file:
        for orientation in (1, 6):
            square(0).save(file, "TIFF", tiffinfo={274: orientation})
            file.newFrame()
    first, second = frames_of(path)
    assert first.image.size == SIZE
    assert second.image.size == SIZE[::-1]
    assert np.array_equal(second.image, first.image.transpose(Image.Transpose.ROTATE_270))


# One picture or several


def test_files_of_one_picture_are_no_stacks(tmp_path):
    for suffix in (".jpg", ".png", ".gif", ".webp", ".bmp", ".tif"):
        path = tmp_path / f"a{suffix}"
        square(0).save(path)
        assert open_stack(path) is None
    several = tmp_path / "several.jpg"
    square(0).save(several, "MPO", save_all=True, append_images=[square(1)])
    assert open_stack(several) is None
    smaller = tmp_path / "smaller.tif"
    square(0).save(
        smaller,
        save_all=True,
        append_images=[square(0).resize((16, 12))],
    )
    assert open_stack(smaller).count == 2
    with TiffImagePlugin.AppendingTiffWriter(str(smaller), True) as file:
        square(0).save(file, "TIFF")
        file.newFrame()
        square(0).resize((16, 12)).save(file, "TIFF", tiffinfo={254: 1})
        file.newFrame()
    assert open_stack(smaller) is None


@pytest.mark.parametrize("suffix", [*ANIMATIONS, ".tif"])
def test_the_first_picture_is_read_as_before(suffix, tmp_path):
    path = save_squares(tmp_path / f"a{suffix}")
    assert place(read_picture(path)) == pytest.approx(place_of(0), abs=1)


# Damaged and hostile files


@pytest.mark.parametrize("suffix", KINDS)
def test_a_truncated_file_gives_what_it_has(suffix, tmp_path):
    path = tmp_path / f"a{suffix}"
    options = {}
    if suffix in (".mp4", ".mov", ".m4v"):
        options = {"container": {"movflags": "faststart"}}
    content = save_squares(path, noise=60, **options).read_bytes()
    path.write_bytes(content[: len(content) * 9 // 10])
    if suffix == ".webp":
        # Pillow's decoder needs the whole file.
        with pytest.raises(ImageError, match="damaged or truncated"):
            open_stack(path)
        return
    stack = open_stack(path)
    frames, error = collect(stack.frames(ALL))
    assert 0 < len(frames) < NUMBER
    for frame in frames:
        assert place(frame.image) == pytest.approx(place_of(frame.number), abs=1)
    assert f"damaged or truncated after {stack.noun} {len(frames) - 1}" in error.message
    assert "\n" not in str(error)


def test_a_video_without_its_index_is_refused(tmp_path):
    path = save_squares(tmp_path / "a.mp4")
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(ImageError, match=r"a\.mp4: damaged or truncated"):
        open_stack(path)


def test_a_video_that_ends_within_its_index_is_called_truncated(tmp_path):
    path = save_squares(tmp_path / "a.mp4", container={"movflags": "faststart"})
    content = path.read_bytes()
    # Before the part that says what the stream holds.
    path.write_bytes(content[: content.index(b"mdia")])
    with pytest.raises(ImageError, match=r"a\.mp4: damaged or truncated"):
        open_stack(path)


def test_a_video_without_frames_is_no_mistake_of_the_user(tmp_path):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as file:
        pictures, sound = file.add_stream("libx264", rate=10), file.add_stream("aac", rate=8000)
        pictures.width, pictures.height = SIZE
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), "fltp", "mono")
        frame.sample_rate = 8000
        file.mux(sound.encode(frame))
        file.mux(sound.encode(None))
    with pytest.raises(ImageError, match=r"a\.mkv: has no frames"):
        frames_of(path)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "not a supported video"),
        (b"plain text", "not a supported video"),
        # FFmpeg would read the files that these name.
        (b"#EXTM3U\n#EXTINF:1,\nsecret.mp4\n", "not a supported video"),
        (b"ffconcat version 1.0\nfile secret.mp4\n", "not a supported video"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "Git LFS"),
        (b"\0\0\0\x18ftypmp42" + bytes(90), "damaged or truncated"),
        (b"\x1a\x45\xdf\xa3" + bytes(90), "damaged or truncated"),
    ],
)
@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_what_is_no_video(content, why, suffix, tmp_path, capfd):
    save_squares(tmp_path / "secret.mp4")
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=why) as caught:
        open_stack(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert capfd.readouterr() == ("", "")


def test_a_name_may_lie_about_the_kind_of_a_video(tmp_path):
    path = save_squares(tmp_path / "a.avi").rename(tmp_path / "a.mp4")
    stack = open_stack(path)
    assert len(list(stack.frames(ALL))) == NUMBER
    assert stack.ending == "avi"


def test_sound_alone_is_no_video(tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), "fltp", "mono")
        frame.sample_rate = 8000
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    with pytest.raises(ImageError, match="no moving pictures"):
        open_stack(path)


def test_gigantic_frames_are_refused(tmp_path):
    gif = save_squares(tmp_path / "a.gif")
    content = bytearray(gif.read_bytes())
    content[6:10] = b"\xff\xff\xff\xff"
    gif.write_bytes(content)
    tif = tmp_path / "a.tif"
    square(0).save(tif, save_all=True, append_images=[square(1)])
    content = bytearray(tif.read_bytes())
    with Image.open(tif) as image:
        image.seek(1)
        second = image._frame_pos[1]
    width = content.index(b"\x00\x01", second)
    content[width + 8 : width + 12] = (60000).to_bytes(4, "little")
    height = content.index(b"\x01\x01", width)
    content[height + 8 : height + 12] = (60000).to_bytes(4, "little")
    tif.write_bytes(content)
    for path in (gif, tif):
        with pytest.raises(ImageError, match=r"million pixels|damaged or truncated"):
            frames_of(path)
    video = save_squares(tmp_path / "a.mkv", encoder="ffv1", pixels="bgr0")
    content = video.read_bytes()
    # The widths and heights of the track: elements B0 and BA, of one byte each.
    content = content.replace(
        b"\xb0\x81\x40\xba\x81\x30", b"\xb0\x83\xff\xff\xff\xba\x83\xff\xff\xff"
    )
    video.write_bytes(content)
    with pytest.raises(ImageError, match=r"million pixels|damaged or truncated"):
        frames_of(video)


def test_an_animation_that_claims_millions_of_frames_is_refused(tmp_path):
    path = save_squares(tmp_path / "a.png")
    content = bytearray(path.read_bytes())
    start = content.index(b"acTL")
    content[start + 4 : start + 8] = b"\x0f\xff\xff\xff"
    content[start + 12 : start + 16] = zlib.crc32(content[start : start + 12]).to_bytes(4, "big")
    path.write_bytes(content)
    with pytest.raises(ImageError, match="more than 100,000 pictures"):
        open_stack(path)


def test_videos_need_a_package(tmp_path):
    """As with an installation that lacks it."""
    path = save_squares(tmp_path / "a.mp4")
    (tmp_path / "av.py").write_text("raise ImportError('No module named av')")
    code = (
        "from gradcam_cli.pictures.stacks.opening import open_stack\n"
        "from gradcam_cli.files.marks import is_marked\n"
        "from pathlib import Path\n"
        f"path = Path({str(path)!r})\n"
        "assert not is_marked(path)\n"
        "try:\n    open_stack(path)\nexcept Exception as error:\n    print(error)\n"
    )
    paths = os.pathsep.join([str(tmp_path), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.count("\n") == 1
    assert "pip install 'gradcam-cli[video]'" in done.stdout


# Writing


@pytest.mark.parametrize("suffix", KINDS)
def test_a_result_is_of_the_same_kind(suffix, tmp_path):
    source = save_squares(tmp_path / f"a{suffix}")
    stack = open_stack(source)
    path = write(source, tmp_path / f"a_gradcam.{stack.ending}")
    frames = frames_of(path)
    assert open_stack(path).ending == stack.ending
    assert len(frames) == NUMBER
    for frame, before in zip(frames, stack.frames(ALL), strict=True):
        assert frame.image.size == SIZE
        assert place(frame.image) == pytest.approx(place_of(frame.number), abs=1)
        assert frame.seconds == pytest.approx(before.seconds, abs=1e-3)
        assert frame.duration == pytest.approx(before.duration, abs=1e-3)
        error = np.asarray(frame.image, float) - np.asarray(before.image, float)
        assert np.sqrt((error**2).mean()) < 8


@pytest.mark.parametrize("suffix", [one for one in TIMED if one != ".webm"])
def test_one_frame_in_many_keeps_the_length(suffix, tmp_path):
    source = save_squares(tmp_path / f"a{suffix}")
    path = write(source, tmp_path / f"b{suffix.replace('.m4v', '.mp4')}", FrameChoice(None, 4))
    frames = frames_of(path)
    assert [frame.seconds for frame in frames] == pytest.approx([0, 0.4, 0.8], abs=1e-3)
    assert frames[-1].seconds + frames[-1].duration == pytest.approx(1.2, abs=1e-3)


def test_times_of_different_lengths_are_kept(tmp_path):
    times = [0, 0.04, 0.1, 0.5, 1.5, 1.54]
    pictures = [square(k) for k in range(len(times))]
    for suffix in (".mp4", ".webm"):
        source = save_video(tmp_path / f"a{suffix}", pictures, times)
        frames = frames_of(write(source, tmp_path / f"b{suffix}"))
        assert [frame.seconds for frame in frames] == pytest.approx(times, abs=1e-3)


def test_odd_sides_are_padded(tmp_path):
    picture = square(2).crop((0, 0, 63, 47))
    source = save_video(tmp_path / "a.mp4", [picture] * 3, [0, 0.1, 0.2], pixels="yuv444p")
    assert frames_of(source)[0].image.size == (63, 47)
    image = frames_of(write(source, tmp_path / "b.mp4"))[0].image
    assert image.size == (64, 48)
    assert place(image) == pytest.approx(place_of(2), abs=1)


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".avi", ".gif", ".webp"])
def test_colors_of_a_map_survive(suffix, tmp_path):
    source = save_squares(tmp_path / f"a{suffix}")
    ys, xs = np.mgrid[: SIZE[1], : SIZE[0]]
    heat = np.exp(-((ys - 24) ** 2 + (xs - 30) ** 2) / 200).astype(np.float32)

    def draw(frame):
        return draw_overlay(frame.image, heat)

    path = write(source, tmp_path / f"b{suffix}", draw=draw)
    for frame, before in zip(frames_of(path), frames_of(source), strict=True):
        difference = np.asarray(frame.image, float) - np.asarray(draw(before), float)
        assert np.abs(difference.mean((0, 1))).max() < 3
        assert np.sqrt((difference**2).mean()) < 14


@pytest.mark.parametrize("writer_of", [GifWriter, WebPWriter, PngWriter, TiffWriter])
def test_each_picture_is_written_at_once(writer_of, tmp_path):
    """So that memory doesn't hold them all."""
    stack = open_stack(save_squares(tmp_path / "a.gif", noise=60))
    file = io.BytesIO()
    writer = writer_of(stack, file, mark(stack.path, tmp_path, "t"))
    sizes = []
    for frame in stack.frames(ALL):
        writer.add(frame, frame.image, np.zeros(SIZE[::-1], np.float32))
        sizes.append(file.tell())
    assert min(np.diff(sizes)) > 500


def interrupt(frame):
    if frame.number == 5:
        raise KeyboardInterrupt
    return frame.image


@pytest.mark.parametrize("suffix", KINDS)
def test_an_interrupted_result_leaves_nothing(suffix, tmp_path, capfd):
    source = save_squares(tmp_path / f"a{suffix}")
    path = tmp_path / "out" / f"b.{open_stack(source).ending}"
    with pytest.raises(KeyboardInterrupt):
        write(source, path, draw=interrupt)
    assert list(path.parent.iterdir()) == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("suffix", ANIMATIONS)
@pytest.mark.parametrize("loop", [0, 3])
def test_an_animation_repeats_as_often(suffix, loop, tmp_path):
    pictures = [square(k) for k in range(3)]
    source = tmp_path / f"a{suffix}"
    pictures[0].save(source, save_all=True, append_images=pictures[1:], duration=50, loop=loop)
    with Image.open(write(source, tmp_path / f"b{suffix}")) as image:
        assert image.info["loop"] == loop


# Marks


@pytest.mark.parametrize("suffix", KINDS)
def test_results_are_recognized(suffix, tmp_path):
    source = save_squares(tmp_path / f"a{suffix}")
    other = save_squares(tmp_path / f"other{suffix}")
    path = write(source, tmp_path / f"a_gradcam.{open_stack(source).ending}")
    assert is_marked(path)
    assert is_own_result(path)
    assert is_result_of(path, source)
    assert not is_result_of(path, other)
    assert not is_marked(source)
    assert not is_own_result(source)
    found = {picture.path.name for picture in find_pictures([tmp_path], WITH_VIDEOS)}
    assert found == {source.name, other.name}
    pictures_only = {picture.path.name for picture in find_pictures([tmp_path], SUFFIXES)}
    assert pictures_only == (set() if suffix in ENCODERS else found)


@pytest.mark.parametrize("suffix", KINDS)
def test_large_results_are_recognized(suffix, tmp_path):
    """The mark is neither at the start nor at the end of some of these."""
    noise = np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8)
    pictures = [Image.fromarray(np.roll(noise, 7 * k, 0)) for k in range(4)]
    source = tmp_path / f"a{suffix}"
    if suffix in ENCODERS:
        save_video(source, pictures * 3, [k / 10 for k in range(12)])
    else:
        pictures[0].save(source, save_all=True, append_images=pictures[1:])
    path = write(source, tmp_path / f"b.{open_stack(source).ending}")
    assert path.stat().st_size > 70_000
    assert is_own_result(path)


@pytest.mark.parametrize("suffix", KINDS)
def test_files_that_only_speak_of_marks_are_the_users(suffix, tmp_path):
    path = tmp_path / f"a{suffix}"
    words = "gradcam-source 0123456789abcdef"
    if suffix in ENCODERS:

        def describe(file, stream):
            file.metadata["title"] = words
            file.metadata["comment"] = f"my {words}"

        save_squares(path, prepare=describe)
    elif suffix == ".gif":
        save_squares(path, comment=f"my {words}")
    elif suffix == ".tif":
        save_squares(path, description=words)
    else:
        save_squares(path)
        path.write_bytes(path.read_bytes() + words.encode())
    assert words.encode() in path.read_bytes()
    assert not is_marked(path)
    assert not is_own_result(path)


def test_files_of_others(tmp_path):
    """Animations and icons that come with other packages."""
    import idlelib

    found = sorted(Path(idlelib.__file__).parent.glob("Icons/*.gif"))
    assert found
    for path in found:
        assert open_stack(path) is None
        assert not is_marked(path)
        assert read_picture(path).width > 5
