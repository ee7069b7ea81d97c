"""Several methods, layers and smoothing on the command line, and the sheet that compares."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from red_squares import red_model

from gradcam_cli.cam.methods.table import METHODS
from gradcam_cli.cli import main
from gradcam_cli.files.marks import is_own_result
from gradcam_cli.rendering.sheet import draw_sheet


@pytest.fixture
def invoke(tmp_path, monkeypatch, samples):
    monkeypatch.chdir(tmp_path)
    for name in ("dog", "cat"):
        Image.open(samples / f"{name}.jpg").resize((300, 225)).save(f"{name}.jpg")

    def run(*args):
        return CliRunner().invoke(main, [str(arg) for arg in args])

    return run


def test_methods_are_listed_with_their_papers():
    listed = CliRunner().invoke(main, ["methods"]).stdout
    for name, info in METHODS.items():
        (line,) = [line for line in listed.splitlines() if line.split()[0] == name]
        assert info.summary in line
        assert info.cost in line
        assert info.paper in line
    assert listed.count("default") == 1


def test_several_methods_make_a_sheet(invoke, tmp_path):
    done = invoke("dog.jpg", "cat.jpg", "gone.jpg", "--method", "gradcam", "--method", "eigencam",
                  "--class", "235", "--class", "tabby", "--json")  # fmt: skip
    assert done.exit_code == 1
    dog, cat, gone = map(json.loads, done.stdout.splitlines())
    assert dog["method"] == ["gradcam", "eigencam"]
    assert [target["index"] for target in dog["targets"]] == [235, 281]
    name = "dog_gradcam+eigencam_235-german-shepherd+281-tabby.png"
    assert {target["output"] for target in dog["targets"]} == {name}
    assert cat["predictions"][0]["index"] in (281, 282, 285)
    assert "no such file" in gone["error"]
    assert is_own_result(tmp_path / name)
    with Image.open(tmp_path / name) as sheet:
        assert "Grad-CAM, Eigen-CAM" in sheet.text["Title"]
        pixels = np.asarray(sheet).astype(int)
    # For each class three pictures of 300×225: the original and two overlays.
    with Image.open(tmp_path / "dog.jpg") as picture:
        original = np.asarray(picture).astype(int)
    rows = [np.flatnonzero((pixels[:, 24:324] == line).all(-1).all(-1)) for line in original]
    tops = next(found.tolist() for found in rows if len(found) == 2)
    shown = [pixels[top : top + 225] for top in tops]
    for of_class in shown:
        assert (of_class[:, 24:324] == original).all()
    # Grad-CAM tells the classes apart, Eigen-CAM doesn't.
    difference = np.abs(shown[0] - shown[1])
    gradcam, eigencam = difference[:, 338:638], difference[:, 652:952]
    assert eigencam.max() == 0
    assert gradcam.max() > 60


def test_an_earlier_sheet_is_replaced_and_not_explained(invoke, tmp_path):
    (tmp_path / "net").mkdir()
    red_model().save(tmp_path / "net/red.keras")
    arguments = [".", "-m", "net/red.keras", "--method", "gradcam", "--method", "fem", "--quiet"]
    assert invoke(*arguments).exit_code == 0
    assert invoke(*arguments).exit_code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("cat.jpg", "cat_gradcam+fem_red.png", "dog.jpg", "dog_gradcam+fem_red.png", "net"),
    ]  # fmt: skip


def test_what_a_sheet_cannot_have(invoke):
    for option in (["--heatmap"], ["--truth", "folders"]):
        done = invoke("dog.jpg", "--method", "gradcam", "--method", "fem", *option)
        assert done.exit_code == 2
        assert done.stderr.startswith(f"Error: {option[0]} doesn't work with the sheet")
        assert done.stderr.count("\n") == 1
    done = invoke("dog.jpg", "--method", "gradcan")
    assert done.exit_code == 2
    assert "'gradcan'; did you mean gradcam" in done.stderr


def test_layers_are_fused_and_smoothed(invoke):
    heatmaps = {}
    for name, options in {
        "plain": [],
        "fused": ["-l", "block5c_add", "-l", "top_activation", "--fuse", "max"],
        "smooth": ["--smooth"],
    }.items():
        done = invoke(
            "dog.jpg", "--method", "layercam", "--heatmap", "npy", "--json", "-o", name, *options
        )
        assert done.exit_code == 0, done.output
        record = json.loads(done.stdout)
        heatmaps[name] = np.load(record["targets"][0]["heatmap"])
        assert heatmaps[name].shape == (225, 300)
        if name == "fused":
            assert record["layer"] == "block5c_add + top_activation"
    assert np.corrcoef(heatmaps["plain"].ravel(), heatmaps["smooth"].ravel())[0, 1] > 0.9
    # The earlier layer adds detail that the last one doesn't have.
    detail = {name: np.abs(np.diff(heat)).mean() for name, heat in heatmaps.items()}
    assert detail["fused"] > 1.2 * detail["plain"]


def test_a_sheet_puts_cells_in_rows_and_columns():
    colors = [["red", "green"], ["blue", "yellow"]]
    original = Image.new("RGB", (90, 60), "gray")
    cells = [[Image.new("RGB", (90, 60), color) for color in row] for row in colors]
    methods = [("A", "layer"), ("A title that is far too long for its column", "")]
    classes = [("x", "1 %")] * 2
    found = np.asarray(draw_sheet("dog.jpg", "model", methods, classes, original, cells, "gray"))

    def places(color):
        return np.argwhere((found == np.asarray(Image.new("RGB", (1, 1), color))).all(-1))

    for row, names in enumerate(colors):
        for column, name in enumerate(names):
            where = places(name)
            assert len(where) == 90 * 60
            (top, left), (bottom, right) = where.min(0), where.max(0)
            assert (bottom - top, right - left) == (59, 89)
            assert (top > 250, left > 200) == (row == 1, column == 1)
    # The original stands before the overlays of each class; the bar's middle is grey, too.
    assert len(places("gray")) >= 2 * 90 * 60
    assert places("gray")[:, 1].min() < 30


def test_many_methods_are_broken_into_even_lines():
    cell = Image.new("RGB", (90, 60), "red")
    methods = [(f"method {number}", "") for number in range(6)]
    sheet = draw_sheet("a", "b", methods, [("x", "1 %")], cell, [[cell] * 6])
    red = (np.asarray(sheet) == (255, 0, 0)).all(-1)
    assert sorted({int(row.sum()) for row in red[:, : 4 * 104 + 24]}) == [0, 3 * 90, 4 * 90]
