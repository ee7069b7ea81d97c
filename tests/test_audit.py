"""`gradcam audit`: figures by hand, and the command on pictures whose truth is known."""

import csv
import json
import shutil

import keras
import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from known_network import NAMES, save_known
from PIL import Image

from gradcam_cli import audit
from gradcam_cli.analysis.accuracy import fraction_of
from gradcam_cli.analysis.calibration import calibrate
from gradcam_cli.analysis.heat_places import (
    border_fraction,
    corner_fraction,
    object_fraction,
)
from gradcam_cli.analysis.making_audit import make_audit
from gradcam_cli.analysis.observation import GRID, Observation
from gradcam_cli.cam.facts import ExplainerFacts
from gradcam_cli.cli import main
from gradcam_cli.errors import ImageError, OutputError, UsageError
from gradcam_cli.evaluation.annotations import AnnotatedObject
from gradcam_cli.files.result_folder import ResultFolder
from gradcam_cli.models.labels import Prediction

FACTS = ExplainerFacts("gradcam", "a-model", "a_layer", True, False, "", "", "")


def cell(row, column):
    heat = np.zeros((GRID, GRID), np.float32)
    heat[row, column] = 1
    return heat


def seen(predicted, probability=0.9, truth=None, heat=None, shade=0, **fields):
    """What was seen of a picture of one shade of grey; an even map by default."""
    said = Prediction(predicted, f"c{predicted}", None, probability)
    known = None if truth is None else Prediction(truth, f"c{truth}", None, 1 - probability)
    heat = np.ones((GRID, GRID), np.float32) if heat is None else heat
    picture = np.full((GRID, GRID, 3), shade, np.uint8)
    return Observation(
        "p.jpg", (64, 48), [said], known, [{predicted: heat}], picture, bytes(8), **fields
    )


def test_accuracy_has_the_interval_of_wilson():
    # By hand: z = 1.96, (p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n).
    measured = fraction_of(8, 10)
    assert measured.value == 0.8
    assert measured.interval == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert fraction_of(10, 10).interval == pytest.approx((0.7225, 1), abs=1e-4)


def test_calibration_by_hand():
    confidences = np.array([0.95, 0.95, 0.55, 0.55])
    found = calibrate(confidences, np.array([True, False, True, True]))
    assert found.error == pytest.approx((2 * 0.45 + 2 * 0.45) / 4)
    low, high = found.bins
    assert (low.low, low.high) == (8 / 15, 9 / 15)
    assert (low.count, low.accuracy, low.confidence) == (2, 1, pytest.approx(0.55))
    assert (high.count, high.accuracy) == (2, 0.5)
    # A bin contains its upper end; the first one also contains 0.
    ends = calibrate(np.array([0, 1 / 15, 1]), np.array([False, False, True]))
    assert [(one.low, one.count) for one in ends.bins] == [(0, 2), (14 / 15, 1)]


def test_the_interval_of_a_calibrated_network_contains_no_error():
    rng = np.random.default_rng(1)
    confidences = rng.uniform(0.3, 1, 2000)
    calibrated = calibrate(confidences, rng.random(2000) < confidences)
    # The error of any sample is above 0, that of a resample even more.
    assert calibrated.error > 0.01
    assert calibrated.interval[0] < 0.005 < calibrated.error < calibrated.interval[1] < 0.05
    too_sure = calibrate(confidences, rng.random(2000) < confidences - 0.2)
    assert 0.15 < too_sure.interval[0] < too_sure.error < too_sure.interval[1] < 0.25


def test_where_heat_lies_by_hand():
    even = np.ones((GRID, GRID), np.float32)
    assert border_fraction(even) == pytest.approx(1 - 0.8**2)
    assert corner_fraction(even) == pytest.approx(4 * 0.2**2)
    middle = cell(16, 16)
    assert (border_fraction(middle), corner_fraction(middle)) == (0, 0)
    assert (border_fraction(cell(31, 0)), corner_fraction(cell(31, 0))) == (1, 1)
    assert (border_fraction(cell(31, 16)), corner_fraction(cell(31, 16))) == (1, 0)
    # A tenth of 32 rows ends in the fourth, a fifth in the seventh.
    assert border_fraction(cell(3, 16)) == pytest.approx(0.2)
    assert corner_fraction(cell(6, 1)) == pytest.approx(0.4)
    assert border_fraction(0 * even) is None
    mask = np.zeros((48, 64), bool)
    mask[:, :16] = True
    assert object_fraction(even, [AnnotatedObject((0, 0, 16, 48), mask=mask)], (64, 48)) == 0.25
    boxes = [AnnotatedObject((0, 0, 16, 48)), AnnotatedObject((0, 0, 64, 24))]
    assert object_fraction(even, boxes, (64, 48)) == pytest.approx(1 / 4 + 1 / 2 - 1 / 8)


def test_an_audit_by_hand():
    observations = [
        seen(0, 0.9, 0, cell(0, 0), shade=10),
        seen(0, 0.6, 0, cell(16, 16), shade=20),
        seen(0, 0.8, 1, cell(16, 16), shade=60, on_object=0.5),
        seen(1, 0.99, 0, np.zeros((GRID, GRID), np.float32)),
        seen(1, 0.5, 1, cell(31, 16)),
    ]
    done = make_audit(observations, [], FACTS, ["c0", "c1", "c2"])
    assert (done.accuracy.count, done.accuracy.total) == (3, 5)
    assert done.confusion == {(0, 0): [0, 1], (1, 0): [2], (0, 1): [3], (1, 1): [4]}
    assert done.confident_errors == [3, 2]
    assert done.unsure == [4, 1, 0]
    assert done.empty_classes == ["c2"]
    everything, first, second = done.mean_maps
    assert [(one.name, one.count) for one in done.mean_maps] == [
        ("all pictures", 5), ("c0", 3), ("c1", 2),
    ]  # fmt: skip
    assert first.heat[16, 16] == pytest.approx(2 / 3)
    assert first.heat[0, 0] == pytest.approx(1 / 3)
    assert (first.picture == 30).all()
    assert (first.border, first.corners) == (pytest.approx(1 / 3), pytest.approx(1 / 3))
    assert (first.on_object, second.on_object) == (0.5, None)
    # The map that shows nothing doesn't count.
    assert (second.border, second.corners) == (1, 0)
    assert everything.border == pytest.approx(2 / 4)
    assert done.calibration is None
    assert any("needs 20 pictures" in note for note in done.notes)
    assert any("1 of 5 pictures show nothing" in note for note in done.notes)


def test_without_truth_the_rest_is_examined():
    done = make_audit([seen(0), seen(1)], [], FACTS, ["c0", "c1"])
    assert done.accuracy is done.calibration is None
    assert (done.confusion, done.confident_errors, done.empty_classes) == ({}, [], [])
    assert len(done.mean_maps) == 3
    assert "--truth" in done.notes[0]


def test_several_classes_at_once_are_not_calibrated():
    observations = [seen(0, truth=0) for _ in range(20)]
    assert make_audit(observations, [], FACTS, ["c0"]).calibration is not None
    several = make_audit(observations, [], FACTS, ["c0"], has_several=True)
    assert several.calibration is None
    assert any("several classes" in note for note in several.notes)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_known(tmp_path_factory.mktemp("known"))


def save(path, left, top, color):
    """A square of 16 pixels in one of 64, whose corner is given."""
    values = np.zeros((64, 64, 3), np.uint8)
    values[top : top + 16, left : left + 16] = color
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Four pictures of which the network takes one for the wrong class, and a broken one."""
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "photos/red/corner.png", 0, 0, (250, 0, 0))
    save(tmp_path / "photos/red/middle.png", 24, 24, (240, 0, 0))
    save(tmp_path / "photos/green/middle.png", 24, 20, (0, 250, 0))
    save(tmp_path / "photos/green/mistaken.png", 20, 40, (220, 20, 0))
    (tmp_path / "photos/green/torn.png").write_bytes(b"no picture")
    return tmp_path / "photos"


def invoke(*args):
    return CliRunner().invoke(main, [str(arg) for arg in args])


def rows(folder):
    with open(folder / "audit.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_command(photos, model):
    boxes = photos.with_name("boxes")
    boxes.mkdir()
    mask = np.zeros((64, 64), np.uint8)
    mask[16:48, 16:48] = 255
    for name in ("red", "green"):
        (boxes / name).mkdir()
        Image.fromarray(mask).save(boxes / name / "middle.png")
    options = ("--model", model, "--preprocess", "0-1", "--truth", "folders")
    done = invoke("audit", "photos", *options, "--annotations", "boxes")
    assert done.exit_code == 1, done.output
    assert "accuracy           75.0 %  (3 of 4; 95 % interval 30.1 to 95.4 %)" in done.stdout
    assert "torn.png: not a supported picture" in done.stderr
    assert "2 of 4 pictures have no usable annotation" in done.stdout
    out = photos.with_name("photos_audit")
    assert f"→ {out.name}/audit.csv, {out.name}/audit.html" in done.stderr
    found = {row["picture"]: row for row in rows(out)}
    assert list(found) == [
        *(f"photos/green/{name}.png" for name in ("middle", "mistaken")),
        *(f"photos/red/{name}.png" for name in ("corner", "middle")),
        "photos/green/torn.png",
    ]
    wrong, corner = found["photos/green/mistaken.png"], found["photos/red/corner.png"]
    assert (wrong["truth"], wrong["predicted"], wrong["right"]) == ("green", "red", "false")
    assert (corner["right"], corner["truth_probability"]) == ("true", corner["probability"])
    assert float(corner["corners"]) > 0.6 > 0.2 > float(wrong["corners"])
    assert float(found["photos/red/middle.png"]["on_object"]) > 0.9
    assert (wrong["on_object"], wrong["error"]) == ("", "")
    assert "not a supported picture" in found["photos/green/torn.png"]["error"]

    record = json.loads((out / "audit.json").read_text("utf-8"))
    assert record["accuracy"]["right"] == 3
    assert [one["kind"] for one in record["findings"]] == ["unreadable", "empty_class"]
    assert f"1. {record['findings'][0]['sentence']}" in done.stdout
    page = (out / "audit.html").read_text("utf-8")
    assert "2 of 4 pictures have no usable annotation" in page
    assert record["empty_classes"] == [NAMES[2]]
    assert [one["picture"] for one in record["confident_errors"]] == ["photos/green/mistaken.png"]
    mistaken = {(one["truth"], one["predicted"]): one["pictures"] for one in record["confusion"]}
    assert mistaken["green", "red"] == ["photos/green/mistaken.png"]
    (error,) = record["errors"]
    assert error["picture"] == "photos/green/torn.png"
    table = pq.read_table(out / "audit.parquet").to_pylist()
    assert [row["picture"] for row in table] == list(found)
    assert [row["right"] for row in table] == [True, False, True, True, None]

    # A later run replaces what the earlier one wrote, and nothing else.
    (photos / "green/torn.png").unlink()
    (photos / "red/corner.png").unlink()
    shown = {path.name for path in (out / "audit_files").iterdir()}
    (out / "notes.txt").write_text("mine")
    (out / "audit_files" / "mine.webp").write_text("mine")
    again = invoke("audit", "photos", *options, "--json")
    assert again.exit_code == 0, again.output
    printed = json.loads(again.stdout)
    assert printed["pictures"] == 3
    assert printed["files"][0] == f"{out.name}/audit.csv"
    assert len(rows(out)) == 3
    assert (out / "notes.txt").read_text() == "mine"
    now = {path.name for path in (out / "audit_files").iterdir()}
    assert "mine.webp" in now
    assert len(now - {"mine.webp"}) < len(shown)
    # Its pictures aren't pictures to audit.
    shutil.move(out, photos / "earlier")
    assert audit("photos", model=str(model), preprocess="0-1").mean_maps[0].count == 3
    # No folder in which the files were made is left.
    assert sorted(path.name for path in photos.parent.iterdir()) == ["boxes", "photos"]


def test_refused_folders(photos, model):
    options = ("--model", model, "--preprocess", "0-1")
    (photos.with_name("photos_audit")).mkdir()
    (photos.with_name("photos_audit") / "audit.csv").write_text("mine")
    done = invoke("audit", "photos", *options)
    assert done.exit_code == 1
    assert "--out photos_audit: holds files that aren't from an earlier audit" in done.stderr
    assert invoke("audit", "photos", *options, "--out", "photos").exit_code == 1
    done = invoke("audit", "photos", *options, "--out", "photos/red/middle.png")
    assert done.exit_code == 2
    done = invoke("audit", "memory://photos", *options)
    assert (done.exit_code, "--out FOLDER" in done.stderr) == (2, True)
    done = invoke("audit", "photos", *options, "--truth", "folders", "--out", "new")
    assert done.exit_code == 1
    (photos / "zebra").mkdir()
    shutil.copy(photos / "red/middle.png", photos / "zebra")
    done = invoke("audit", "photos", *options, "--truth", "folders")
    assert done.exit_code == 1
    done = invoke("audit", "photos", *options, "--truth", "folders", "--out", "other")
    assert (done.exit_code, "zebra" in done.stderr) == (2, True)
    assert not photos.with_name("other").exists()


def test_a_foreign_mark_names_no_file_elsewhere(tmp_path):
    out, precious = tmp_path / "out", tmp_path / "precious.txt"
    with ResultFolder(out, "audit", ["a.csv", "files"]) as folder:
        (folder.making / "a.csv").write_text("first")
        folder.publish()
    precious.write_text("mine")
    (out / "own.txt").write_text("mine")
    (out / "files").symlink_to(tmp_path)
    mark = out / ".gradcam-report"
    elsewhere = ["../precious.txt", str(precious), "files/precious.txt", "own.txt", "files/../x"]
    mark.write_text(mark.read_text() + "\n".join(elsewhere))
    with pytest.raises(OutputError, match="aren't from an earlier audit"):
        ResultFolder(out, "audit", ["a.csv", "files"])
    (out / "files").unlink()
    with ResultFolder(out, "audit", ["a.csv", "files"]) as folder:
        folder.publish()
    assert precious.read_text() == (out / "own.txt").read_text() == "mine"
    assert not (out / "a.csv").exists()


def test_an_interrupted_audit_leaves_what_was_there(photos, model):
    def interrupt(_):
        raise KeyboardInterrupt

    options = {"model": str(model), "preprocess": "0-1", "truth": "folders"}
    before = sorted(photos.parent.iterdir())
    with pytest.raises(KeyboardInterrupt):
        audit(photos, **options, out="new", progress=interrupt)
    assert sorted(photos.parent.iterdir()) == before
    counted = []
    first = audit([photos / "red"], **options, out="new", progress=counted.append)
    assert (first.accuracy.count, sum(counted)) == (2, 2)
    content = {
        path: path.read_bytes() for path in photos.with_name("new").iterdir() if path.is_file()
    }
    with pytest.raises(KeyboardInterrupt):
        audit(photos, **options, out="new", progress=interrupt)
    assert content == {path: path.read_bytes() for path in content}


def small(units, activation, size=16):
    keras.utils.set_random_seed(3)
    inputs = keras.Input((size, size, 3))
    x = keras.layers.Conv2D(2, 1, name="maps")(inputs)
    pooled = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(units, activation=activation)(pooled))


def test_kinds_of_models(photos):
    (photos / "green/torn.png").unlink()
    binary = audit(
        photos, model=small(1, "sigmoid"), labels=["green", "red"], task="binary", truth="folders",
        preprocess="0-1",
    )  # fmt: skip
    assert binary.accuracy.total == 4
    assert all(one.predicted.probability >= 0.5 for one in binary.observations)
    labels = ["red", "green", "dark"]
    several = audit(
        photos, model=small(3, "sigmoid"), labels=labels, task="multilabel", truth="folders",
        preprocess="0-1",
    )  # fmt: skip
    assert several.accuracy.total == 4
    assert any("several classes" in note for note in several.notes)
    with pytest.raises(UsageError, match="returns values, but an audit asks which class"):
        audit(photos, model=small(1, None), task="regression", truth="folders")
    one = keras.Input((8, 8, 3), name="left"), keras.Input((8, 8, 3), name="right")
    x = keras.layers.Concatenate()([keras.layers.Conv2D(2, 1)(each) for each in one])
    x = keras.layers.GlobalAveragePooling2D()(x)
    both = keras.Model(one, keras.layers.Dense(2, activation="softmax")(x))
    with pytest.raises(UsageError, match=r"takes several pictures .*--input left"):
        audit(photos, model=both, preprocess="0-1")
    scores = keras.layers.Conv2D(3, 1, activation="softmax")(one[0])
    with pytest.raises(UsageError, match="segments pictures"):
        audit(photos, model=keras.Model(one[0], scores), preprocess="0-1")


def test_nothing_to_audit(photos, model):
    for path in photos.rglob("*.png"):
        path.write_bytes(b"no picture")
    with pytest.raises(ImageError, match=r"nothing to audit: .*middle.png.*and 4 more"):
        audit(photos, model=str(model), preprocess="0-1", out="new")
    assert not photos.with_name("new").exists()
