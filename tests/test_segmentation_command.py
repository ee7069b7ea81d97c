"""The command on networks that segment: shares, outlines, ``--region`` and its errors."""

import json

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from segmenters import CLASSES, known_segmenter, scene, unet

from gradcam_cli.cli import main

RED, GREEN = (255, 0, 0), (0, 255, 0)
TWO = {(4, 4): RED, (20, 4): RED, (12, 20): GREEN}


@pytest.fixture
def invoke(here, monkeypatch):
    """Runs the command in this process."""
    monkeypatch.chdir(here)
    return lambda *args: CliRunner().invoke(main, list(args))


@pytest.fixture
def here(tmp_path):
    """A model with its labels, and two pictures with masks of their left squares."""
    known_segmenter().save(tmp_path / "known.keras")
    (tmp_path / "names.txt").write_text("\n".join(CLASSES))
    for name, squares in {"a": TWO, "b": {(8, 16): RED}}.items():
        picture = Image.fromarray(scene(squares)).resize((96, 96), Image.Resampling.NEAREST)
        (tmp_path / "photos").mkdir(exist_ok=True)
        picture.save(tmp_path / "photos" / f"{name}.png")
        mask = np.zeros((96, 96), np.uint8)
        mask[:, :48] = np.asarray(picture)[:, :48, 0] == 255
        (tmp_path / "masks").mkdir(exist_ok=True)
        Image.fromarray(mask).save(tmp_path / "masks" / f"{name}.png")
    return tmp_path


OPTIONS = ("-m", "known.keras", "--labels", "names.txt", "--preprocess", "none")


def test_share_outline_and_region(invoke, here):
    done = invoke("photos/a.png", *OPTIONS, "--json", "-o", "out")
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    (target,) = record["targets"]
    assert target["name"] == "red"
    assert target["share"] == pytest.approx(1 / 8)
    assert [one["name"] for one in record["predictions"]] == ["background", "red", "green"]
    original = np.asarray(Image.open(here / "photos" / "a.png").convert("RGB")).astype(int)
    # Without colours, only the outline differs from the picture: around both squares.
    found = invoke("photos/a.png", *OPTIONS, "-o", "out", "--alpha", "0")
    assert "12.5 %" in found.output
    assert "largest share of the picture except the background" in " ".join(found.output.split())
    (file,) = (here / "out").glob("*alpha*")
    changed = np.abs(np.asarray(Image.open(file)).astype(int) - original).max(axis=-1) > 40
    assert changed[8:40, 8:40].any()
    assert changed[8:40, 56:88].any()
    assert not changed[46:].any()
    # Dashes: a part of the line's length.
    assert 0.2 < changed[12:36, 11:14].any(axis=1).mean() < 0.8
    found = invoke(
        "photos", *OPTIONS, "--region", "masks", "--method", "layercam", "--json", "-o", "out",
        "--heatmap", "npy", "--class", "red",
    )  # fmt: skip
    assert found.exit_code == 0, found.output
    first, second = (
        np.load(here / target["heatmap"])
        for line in found.stdout.splitlines()
        for target in json.loads(line)["targets"]
    )
    assert first[:, :48].max() > 0.9
    assert first[:, 56:].max() < 0.01
    # The mask of the other picture covers its own square.
    assert np.unravel_index(second.argmax(), second.shape)[0] > 40


def test_figures_reports_and_composites(invoke, here):
    found = invoke(
        "photos/a.png", *OPTIONS, "--each", "--figure", "--report", "r.html", "--region",
        "0,0,48,48", "-o", "out", "--contour",
    )  # fmt: skip
    assert found.exit_code == 0, found.output
    names = sorted(path.name for path in (here / "out").iterdir())
    assert all("region0-0-48-48" in name for name in names)
    assert sum(name.endswith("_composite.png") for name in names) == 1
    assert (here / "r.html").is_file()


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--region", "10,10,5,20"], 2, "is empty"),
        (["--region", "nothing.png"], 2, "there is no such file"),
        (["--region", "80,80,100,90"], 1, "reaches beyond the picture, which has 96×96"),
        (["--region", "small.png"], 1, "the mask has 8×8 pixels, but the picture has 96×96"),
        (["--region", "empty.png"], 1, "all its pixels are zero"),
        (["--region", "photos"], 1, "contains no mask"),
        (["--region", "masks", "--method", "eigencam"], 2, "same map for every class and region"),
        (["--truth", "truth.csv"], 2, "no single true class"),
        (["--method", "reciprocam"], 2, "can't explain a segmentation"),
    ],
)
def test_errors_in_one_line(invoke, here, options, code, message):
    Image.new("L", (8, 8), 1).save(here / "small.png")
    Image.new("L", (96, 96)).save(here / "empty.png")
    (here / "photos" / "a.png").rename(here / "lone.png")
    (here / "truth.csv").write_text("lone.png,red\n")
    found = invoke("lone.png", *OPTIONS, *options, "-o", "out")
    assert found.exit_code == code, found.output
    assert message in found.output
    (line,) = [line for line in found.output.splitlines() if message in line]
    assert line.startswith("Error: ")
    assert "Traceback" not in found.output


def test_other_commands(invoke, here):
    found = invoke("info", "known.keras", "--labels", "names.txt", "--json")
    record = json.loads(found.output)
    assert record["task"] == "segmentation"
    assert record["default_layer"]["name"] == "deep"
    assert "bottleneck" in record["default_layer"]["reason"]
    found = invoke("evaluate", "photos", "-m", "known.keras")
    assert found.exit_code == 2
    assert "segments pictures, but the metrics" in found.output
    found = invoke("photos/a.png", "--region", "0,0,9,9", "-o", "out")
    assert found.exit_code == 2
    assert "only a network that segments" in found.output
    found = invoke("photos/b.png", *OPTIONS, "--class", "green", "-o", "out")
    assert found.exit_code == 0
    assert "predicted nowhere" in " ".join(found.output.split())


@pytest.mark.parametrize("kind", ["saved_model", "model.h5"])
def test_other_formats(invoke, here, kind):
    model = keras.models.load_model(here / "known.keras")
    if kind == "model.h5":
        model.save(here / kind)
    else:
        model.export(here / kind)
    (here / "photos" / "b.png").unlink()
    found = invoke("photos", "-m", kind, *OPTIONS[2:], "--json", "-o", "out")
    assert found.exit_code == 0, found.output
    record = json.loads(found.output.splitlines()[-1])
    assert record["layer"].startswith("deep")
    assert record["targets"][0]["share"] == pytest.approx(1 / 8)


def test_size_that_the_network_cannot_take(invoke, here):
    unet((None, None)).save(here / "any.keras")
    options = ("photos/b.png", "-m", "any.keras", "--preprocess", "none", "-o", "out", "--size")
    found = invoke(*options, "50")
    assert found.exit_code == 2
    assert "--size 50x50: the model can't take pictures of this size" in found.output
    assert invoke(*options, "64x32").exit_code == 0


def test_list_with_a_region_for_each_picture(invoke, here):
    (here / "list.csv").write_text(
        "path,class,region\n"
        'photos/a.png,red,"6,6,42,42"\n'
        "photos/a.png,red,right.png\n"
        "photos/b.png,red,\n"
    )
    mask = np.zeros((96, 96), np.uint8)
    mask[6:42, 54:90] = 1
    Image.fromarray(mask).save(here / "right.png")
    found = invoke(
        "--from-file", "list.csv", *OPTIONS, "--method", "layercam", "--json", "-o", "out",
        "--heatmap", "npy",
    )  # fmt: skip
    assert found.exit_code == 0, found.output
    records = [json.loads(line) for line in found.stdout.splitlines() if line.startswith("{")]
    left, right, whole = (np.load(here / one["targets"][0]["heatmap"]) for one in records)
    assert left[:, :48].max() > 0.9 > 0.01 > left[:, 56:].max()
    assert right[:, 48:].max() > 0.9 > 0.01 > right[:, :40].max()
    assert whole.max() == 1
    assert len({one["targets"][0]["output"] for one in records}) == 3
