import keras
import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from keras import layers
from PIL import Image

from gradcam_cli.cli import main
from gradcam_cli.errors import ImageError
from gradcam_cli.files.finding import find_pictures
from gradcam_cli.pictures.arrays import show_bands
from gradcam_cli.pictures.bands import read_bands

SIDE, BANDS, BAND = 32, 13, 8
# (rows, columns) of the place that is bright in this band only.
PLACE = slice(4, 12), slice(20, 28)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def band_network(channels=BANDS, band=BAND):
    """A network whose class 1 is a value above 1000 in one band."""
    inputs = keras.Input((SIDE, SIDE, channels))
    x = layers.Conv2D(1, 1, activation="relu", name="band")(inputs)
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, layers.Dense(2, activation="softmax", name="scores")(x))
    kernel = np.zeros((1, 1, channels, 1), np.float32)
    kernel[0, 0, band] = 1
    model.get_layer("band").set_weights([kernel, np.float32([-1000])])
    model.get_layer("scores").set_weights([np.float32([[-1, 1]]), np.float32([1, -1])])
    return model


def bands_of(channels=BANDS, band=BAND, dtype=np.uint16):
    values = np.random.default_rng(2).integers(0, 900, (SIDE, SIDE, channels)).astype(dtype)
    values[*PLACE, band] = 3000
    # Another band is bright elsewhere.
    values[20:28, 4:12, (band + 1) % channels] = 3000
    return values


def invoke(*args):
    return CliRunner().invoke(main, [*map(str, args)])


def test_the_band_that_the_network_looks_at_decides_in_every_format(folder, run_gradcam):
    band_network().save(folder / "bands.keras")
    values = bands_of()
    first = np.moveaxis(values, -1, 0)
    (folder / "in").mkdir()
    np.save(folder / "in/array.npy", values)
    np.save(folder / "in/first.npy", first.astype(np.float32))
    contiguous = {"photometric": "minisblack", "planarconfig": "contig"}
    tifffile.imwrite(folder / "contig.tif", values, compression="zstd", **contiguous)
    separate = {"photometric": "minisblack", "planarconfig": "separate"}
    tifffile.imwrite(folder / "planes.tif", first, **separate)
    tifffile.imwrite(folder / "pages.tiff", first, photometric="minisblack")
    tifffile.imwrite(folder / "float.tif", values.astype(np.float32), **contiguous)
    files = ["in", "contig.tif", "planes.tif", "pages.tiff", "float.tif"]
    done = run_gradcam(*files, "-m", "bands.keras", "-o", "out", "--heatmap", "npy")
    assert done.returncode == 0, done.stderr
    assert "preprocessing none (the values of the file as they are" in done.stdout
    said = " ".join(done.stderr.split())
    assert "first.npy: the first axis of its shape (13, 32, 32) was taken for the 13" in said
    assert said.count("Warning") == 1
    maps = [np.load(path) for path in sorted((folder / "out").glob("**/*.npy"))]
    expected = np.zeros((SIDE, SIDE), np.float32)
    expected[PLACE] = 1
    assert len(maps) == 6
    for found in maps:
        np.testing.assert_allclose(found, expected, atol=0.02)


@pytest.mark.parametrize("channels", [2, 5])
def test_other_numbers_of_bands_work_too_and_are_resized(folder, channels):
    band_network(channels, 1).save("bands.keras")
    larger = np.kron(bands_of(channels, 1), np.ones((3, 2, 1), np.uint16))
    np.save("large.npy", larger)
    done = invoke("large.npy", "-m", "bands.keras", "-o", "out", "--heatmap", "npy")
    assert done.exit_code == 0, done.output
    (path,) = (folder / "out").glob("*.npy")
    found = np.load(path)
    assert found.shape == larger.shape[:2]
    row, column = np.unravel_index(found.argmax(), found.shape)
    assert PLACE[0].start * 3 <= row < PLACE[0].stop * 3
    assert PLACE[1].start * 2 <= column < PLACE[1].stop * 2


def test_wrong_channels_are_refused_with_both_numbers_and_the_rest_goes_on(folder):
    band_network().save("bands.keras")
    np.save("right.npy", bands_of())
    np.save("five.npy", bands_of(5, 1))
    np.save("flat.npy", bands_of(3, 1)[..., 0])
    np.save("stack.npy", np.zeros((2, 3, 4, 13)))
    Image.new("RGB", (40, 30)).save("photo.png")
    pages = [Image.new("L", (8, 8), 40 * n) for n in range(4)]
    pages[0].save("pages.tif", save_all=True, append_images=pages[1:])
    names = ["five.npy", "flat.npy", "stack.npy", "photo.png", "pages.tif", "right.npy"]
    done = invoke(*names, "-m", "bands.keras", "-o", "out")
    assert done.exit_code == 1
    said = " ".join(done.stderr.split())
    assert "five.npy: has 5 channels, but the model takes 13" in said
    assert "flat.npy: has 1 channel, but the model takes 13" in said
    assert "stack.npy: has the shape (2, 3, 4, 13)" in said
    assert "photo.png: the model takes 13 channels, which only .npy and TIFF files have" in said
    assert "pages.tif: has 4 channels, but the model takes 13" in said
    assert [path.name for path in (folder / "out").iterdir()] == ["right_gradcam_bands.png"]


def test_bytes_of_an_array_are_explained_like_the_picture(folder, small_model):
    small_model().save("small.keras")
    pixels = np.random.default_rng(0).integers(0, 256, (24, 20, 3), np.uint8)
    Image.fromarray(pixels).save("picture.png")
    np.save("array.npy", pixels)
    done = invoke("picture.png", "array.npy", "-m", "small.keras", "-o", "out", "--class", "1")
    assert done.exit_code == 0, done.output
    shown = [np.asarray(Image.open(path)) for path in sorted((folder / "out").iterdir())]
    np.testing.assert_array_equal(*shown)


def test_what_the_numbers_of_an_array_mean_is_never_guessed_in_silence(folder, small_model):
    small_model().save("small.keras")
    rng = np.random.default_rng(0)
    np.save("unit.npy", rng.random((24, 20, 3), np.float32))
    np.save("high.npy", rng.integers(0, 4000, (24, 20, 3)).astype(np.uint16))
    np.save("usual.npy", rng.uniform(0, 255, (24, 20, 3)))
    done = invoke("unit.npy", "high.npy", "usual.npy", "-m", "small.keras", "-o", "out")
    said = " ".join(done.stderr.split())
    assert "and pictures go up to 255; multiply them by 255, or if the model takes them" in said
    assert "not from 0 to 255; if the model takes them as they are, add --preprocess none" in said
    assert len(list((folder / "out").iterdir())) == 1
    done = invoke("unit.npy", "-m", "small.keras", "-o", "out", "--preprocess", "none")
    assert done.exit_code == 0, done.output


def test_values_that_are_no_numbers_are_reported(folder):
    band_network().save(folder / "bands.keras")
    values = bands_of(dtype=np.float32)
    np.save("whole.npy", values)
    values[:2, :3, 0] = np.nan
    np.save("gaps.npy", values)
    done = invoke("gaps.npy", "whole.npy", "--model", "bands.keras")
    assert "gaps.npy: 6 of its 13,312 values are NaN or infinite" in done.stderr
    assert "whole.npy: " not in done.stderr


def test_metrics_that_change_pixels_refuse_bands(folder):
    band_network().save("bands.keras")
    np.save("right.npy", bands_of())
    done = invoke("evaluate", "right.npy", "-m", "bands.keras")
    assert done.exit_code == 2
    assert "takes 13 bands in units of their own" in " ".join(done.stderr.split())


@pytest.mark.parametrize("kind", ["pickle", "text", "cut", "huge", "empty"])
def test_hostile_arrays_are_refused(tmp_path, kind):
    path = tmp_path / f"{kind}.npy"
    if kind == "pickle":
        np.save(path, np.array([{"a": 1}], object), allow_pickle=True)
    elif kind == "text":
        path.write_text("no array")
    elif kind == "empty":
        np.save(path, np.zeros((0, 4, 13)))
    else:
        np.save(path, np.zeros((10, 10, 13)))
        content = path.read_bytes()
        if kind == "huge":
            content = content.replace(b"(10, 10, 13), }      ", b"(99999, 99999, 13), }")
            assert b"99999" in content
        path.write_bytes(content[:2000])
    with pytest.raises(ImageError, match=f"{kind}.npy: is"):
        read_bands(path, 13)


@pytest.mark.parametrize("kind", ["text", "cut", "huge"])
def test_hostile_tiff_files_are_refused(tmp_path, kind):
    path = tmp_path / f"{kind}.tif"
    values = bands_of()
    tifffile.imwrite(path, values, photometric="minisblack", planarconfig="contig")
    content = bytearray(path.read_bytes())
    if kind == "text":
        content = bytearray(b"no picture" * 50)
    elif kind == "cut":
        content = content[:3000]
    else:
        # The tags 256 and 257, width and height, of type SHORT or LONG with one value.
        for tag in (256, 257):
            for size, letter in ((3, "H"), (4, "I")):
                entry = np.array([tag, size], "<u2").tobytes() + np.array([1], "<u4").tobytes()
                place = bytes(content).find(entry)
                if place >= 0:
                    wide = {"H": "<u2", "I": "<u4"}[letter]
                    number = np.array([60000], wide).tobytes()
                    content[place + 8 : place + 8 + len(number)] = number
    path.write_bytes(bytes(content))
    with pytest.raises(ImageError, match=f"{kind}.tif: (refused|damaged)"):
        read_bands(path, BANDS)


def test_bands_are_shown_as_colours_with_their_own_scales():
    values = bands_of().astype(np.float32)
    values[..., 0] = np.linspace(-5, 5, SIDE)
    values[0, 0, 0] = np.nan
    shown = np.asarray(show_bands(values))
    assert shown.shape == (SIDE, SIDE, 3)
    # From the 2nd to the 98th percentile of each band.
    assert shown[:, 0, 0].max() == 0
    assert shown[:, -1, 0].min() == 255
    grey = np.asarray(show_bands(values[..., :2]))
    np.testing.assert_array_equal(grey[..., 0], grey[..., 2])
    constant = np.asarray(show_bands(np.full((4, 4, 5), 7.0)))
    assert constant.max() == constant.min()


def test_arrays_are_found_only_in_folders_without_pictures(tmp_path):
    for name in ("mixed", "arrays/below"):
        (tmp_path / name).mkdir(parents=True)
        np.save(tmp_path / name / "a.npy", bands_of())
    np.save(tmp_path / "arrays/photo_heatmap.npy", np.zeros((4, 4)))
    Image.new("RGB", (4, 4)).save(tmp_path / "mixed/b.png")
    assert [one.path.name for one in find_pictures([tmp_path / "mixed"])] == ["b.png"]
    (found,) = find_pictures([tmp_path / "arrays"])
    assert found.path == tmp_path / "arrays/below/a.npy"
    assert str(found.folder) == "below"
