"""What libtiff and Pillow have to say of odd pictures stays off the terminal."""

import io
import struct
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image


def _tiff(mode, compression):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).convert(mode).save(file, "TIFF", compression=compression)
    return bytearray(file.getvalue())


def _with_damaged_pixels(content):
    with Image.open(io.BytesIO(content)) as image:
        (start,), (length,) = image.tag_v2[273], image.tag_v2[279]
    for place in np.random.default_rng(1).integers(start + 2, start + length - 2, 40):
        content[place] ^= 0xFF
    return content


def _with_many_samples(content):
    tag = struct.pack("<HHI", 277, 3, 1)
    return content.replace(tag + struct.pack("<H", 3), tag + struct.pack("<H", 60_000))


def _jpeg_with_damaged_exif():
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x8769] = {0x9003: "x" * 2000}
    file = io.BytesIO()
    Image.new("RGB", (64, 48)).save(file, "JPEG", exif=exif.tobytes())
    content = bytearray(file.getvalue())
    start = content.find(b"Exif\0\0")
    for place in range(start + 14, start + 60, 3):
        content[place] ^= 0x5A
    return content


@pytest.fixture
def odd_pictures(tmp_path):
    """A folder of pictures that Pillow and libtiff remark on."""
    folder = tmp_path / "odd"
    folder.mkdir()
    for name, content in {
        "exif.jpg": _jpeg_with_damaged_exif(),
        # What may be a result is looked into before anything else.
        "exif_gradcam.jpg": _jpeg_with_damaged_exif(),
        "fax.tif": _with_damaged_pixels(_tiff("1", "group4")),
        "lzw.tif": _with_damaged_pixels(_tiff("RGB", "tiff_lzw")),
        "samples.tif": _with_many_samples(_tiff("RGB", None)),
    }.items():
        (folder / name).write_bytes(content)
    return folder


def test_odd_pictures_are_told_of_in_our_own_lines_only(odd_pictures, run_gradcam):
    ran = run_gradcam("odd", "--out", "out")
    assert ran.returncode == 1
    *errors, summary = ran.stderr.splitlines()
    assert [line.split(": ")[:2] for line in errors] == [
        ["Error", "odd/lzw.tif"],
        ["Error", "odd/samples.tif"],
    ]
    assert summary.startswith("3 pictures explained, 2 failed")


def test_the_libraries_do_remark_on_them(odd_pictures):
    # Otherwise the test above says nothing.
    code = """
import sys
from PIL import Image
for path in sys.argv[1:]:
    try:
        with Image.open(path) as image:
            image.load()
            image.getexif().get_ifd(0x8769)
    except Exception:
        pass
"""
    for path in odd_pictures.iterdir():
        ran = subprocess.run([sys.executable, "-c", code, path], capture_output=True, check=True)
        assert ran.stderr, path


def test_only_what_python_writes_passes_while_any_thread_wants_silence():
    code = """
import os, sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from gradcam_cli.runtime.stderr import separate_stderr, without_library_messages

begun, ended = Barrier(2), Barrier(2)

def first():
    with without_library_messages():
        begun.wait()
        os.write(2, b"C of the first\\n")
    ended.wait()

def second():
    with without_library_messages():
        begun.wait()
        ended.wait()
        os.write(2, b"C of the second\\n")
        print("Python", file=sys.stderr)

separate_stderr()
os.write(2, b"before\\n")
with ThreadPoolExecutor(2) as pool:
    for done in [pool.submit(first), pool.submit(second)]:
        done.result()
os.write(2, b"after\\n")
"""
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert ran.stderr.split() == ["before", "Python", "after"]
