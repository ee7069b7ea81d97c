"""The command on detectors: files, JSON, lines, and options that don't suit."""

import json

import numpy as np
import pytest
from PIL import Image

from tests.detectors import BLUE, RED, draw_squares, square_detector

PLANTED = [(8, 8, 20, RED), (36, 8, 20, RED), (8, 60, 20, BLUE)]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    square_detector(names=("boxes_xyxy", "scores")).save(folder / "squares.keras")
    (folder / "labels.txt").write_text("red\nblue\n")
    return folder


def test_each_object_gets_an_overlay_with_its_box(run_gradcam, invoke, models, tmp_path):
    # Twice as wide: the network sees it squashed.
    draw_squares(PLANTED).resize((384, 192), Image.Resampling.NEAREST).save(tmp_path / "wide.png")
    draw_squares([]).save(tmp_path / "empty.png")
    options = ("--model", models / "squares.keras", "--preprocess", "none", "--out", "maps")
    run = run_gradcam("wide.png", "empty.png", *options, "--json")
    assert run.returncode == 0, run.stderr
    wide, empty = map(json.loads, run.stdout.splitlines())
    assert wide["method"] == "layercam"
    assert "predictions" not in wide
    found = {(one["name"], *one["box"]) for one in wide["detections"]}
    assert found == {
        ("red", 32.0, 16.0, 112.0, 56.0),
        ("red", 144.0, 16.0, 224.0, 56.0),
        ("blue", 32.0, 120.0, 112.0, 160.0),
    }
    names = [one["output"].rpartition("/")[2] for one in wide["detections"]]
    assert sorted(names) == sorted(
        f"wide_layercam_squares_none_{word}.png" for word in ("0-red", "0-red-2", "1-blue")
    )
    assert all(0.9 < one["score"] <= 1 for one in wide["detections"])
    plain = np.asarray(Image.open(tmp_path / "wide.png"), float)
    for one in wide["detections"]:
        drawn = np.asarray(Image.open(tmp_path / one["output"]).convert("RGB"), float)
        assert drawn.shape == plain.shape
        left, top, right, bottom = map(round, one["box"])
        # A white line along the box, at the middle of each side.
        for row, column in (
            *((top, (left + right) // 2), (bottom - 1, (left + right) // 2)),
            *(((top + bottom) // 2, left), ((top + bottom) // 2, right - 1)),
        ):
            assert drawn[row, column].min() > 200
    assert empty["detections"] == []
    assert "--min-score" in empty["note"]
    assert not list((tmp_path / "maps").glob("empty*"))
    again = invoke("wide.png", "empty.png", *options, "--skip-existing")
    assert "1 skipped" in again.stderr
    assert "no object with a score of at least 0.5" in again.stdout


def test_score_number_and_class_choose_the_objects(invoke, models, tmp_path):
    draw_squares(PLANTED).save(tmp_path / "photo.png")
    options = ("photo.png", "--model", models / "squares.keras", "--preprocess", "none")
    run = invoke(*options, "--top-k", 1, "--class", "red", "--json", "--method", "gradcam++")
    (record,) = map(json.loads, run.stdout.splitlines())
    assert [one["name"] for one in record["detections"]] == ["red"]
    assert "gradients, so the map of one object may show others too" in run.stderr


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--truth", "folders"), "a picture has no single true class"),
        (("--each",), "each object is explained anyway"),
        (("--name", "same"), "each needs a file of its own"),
    ],
)
def test_options_that_do_not_suit_are_refused(models, tmp_path, options, why):
    from click.testing import CliRunner

    from gradcam_cli.cli import main

    folder = tmp_path / "red"
    folder.mkdir()
    draw_squares(PLANTED).save(folder / "photo.png")
    model = ["--model", str(models / "squares.keras"), "--preprocess", "none"]
    run = CliRunner().invoke(main, [str(folder), *model, *options])
    assert run.exit_code == 2
    assert why in run.output
    assert len(run.output.strip().splitlines()) == 1


def test_info_says_how_the_boxes_are_read(models):
    from click.testing import CliRunner

    from gradcam_cli.cli import main

    run = CliRunner().invoke(main, ["info", str(models / "squares.keras"), "--json"])
    record = json.loads(run.output.splitlines()[-1])
    assert record["task"] == "detection"
    assert "boxes xyxy (named by the output boxes_xyxy)" in record["boxes"]
    assert record["default_layer"]["name"] == "features"
