"""Detectors from Python: each object with its box, its map and its overlay."""

import io
import json
import warnings

import keras
import numpy as np
import pytest
from PIL import Image

from gradcam_cli import explain_image, explain_objects
from gradcam_cli.errors import PredictionError, UnknownClassError, UsageError
from gradcam_cli.files.marks import is_own_result
from tests.detectors import BLUE, RED, draw_squares, square_detector
from tests.onnx_detectors import NAMES, save_detector

# Two neighbours of one class, and one of another class between them and the edge.
PLANTED = [(8, 8, 20, RED), (36, 8, 20, RED), (8, 60, 20, BLUE)]
BOXES = {(0, 8, 8, 28, 28), (0, 36, 8, 56, 28), (1, 8, 60, 28, 80)}
OPTIONS = {"preprocess": "none", "labels": ["red", "blue"]}


@pytest.fixture(scope="module")
def squares():
    """A detector in memory, whose output says how its boxes are stored."""
    return square_detector(names=("boxes_xyxy", "scores"))


def places(objects):
    return {(one.index, *map(round, one.box)) for one in objects}


def share_in(heatmap, box):
    left, top, right, bottom = map(round, box)
    return float(heatmap[top:bottom, left:right].sum() / heatmap.sum())


def check_own_object(objects, least=0.8, most=0.02):
    """Checks that most of each map lies in its own box, and nothing in another one."""
    for one in objects:
        assert share_in(one.heatmap, one.box) > least
        assert all(share_in(one.heatmap, other.box) < most for other in objects if other is not one)


def test_each_object_has_its_class_box_and_map(squares):
    objects = explain_objects(draw_squares(PLANTED), squares, **OPTIONS)
    assert places(objects) == BOXES
    assert [one.score for one in objects] == sorted((one.score for one in objects), reverse=True)
    assert all(0.9 < one.score <= 1 for one in objects)
    assert {(one.index, one.name) for one in objects} == {(0, "red"), (1, "blue")}
    check_own_object(objects)
    for one in objects:
        assert one.heat.dtype == np.float32
        assert one.heat.shape == (96, 96)
        assert one.heat.min() >= 0
        assert 0.9 < one.heat.max() <= 1


@pytest.mark.parametrize(
    ("size", "fit"), [((384, 192), None), ((150, 300), "squash"), ((288, 192), "pad")]
)
def test_boxes_and_maps_lie_on_the_picture_whatever_its_size(squares, size, fit):
    width, height = size
    across, down = width / 96, height / 96
    planted = PLANTED
    if fit == "pad":
        # Borders above and below leave two thirds of the rows of the input to the picture.
        across = down = 3
        planted = [(8, 8, 20, RED), (60, 20, 20, BLUE)]
        picture = draw_squares(planted, (96, 64))
    else:
        picture = draw_squares(planted)
    picture = picture.resize(size, Image.Resampling.NEAREST)
    objects = explain_objects(picture, squares, fit=fit, **OPTIONS)
    assert len(objects) == len(planted)
    found = {one.box: one.index for one in objects}
    for left, top, side, color in planted:
        wanted = np.array([left * across, top * down, (left + side) * across, (top + side) * down])
        box = min(found, key=lambda box: np.abs(np.subtract(box, wanted)).max())
        assert np.abs(np.subtract(box, wanted)).max() <= 2 * max(across, down)
        assert found[box] == (RED, BLUE).index(color)
    for one in objects:
        assert one.heatmap.shape == (height, width)
        assert one.overlay.size == size
    check_own_object(objects)


def test_no_object_gives_an_empty_list(squares):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert explain_objects(draw_squares([]), squares, **OPTIONS) == []
    with pytest.warns(UserWarning, match="0-1 is a guess, set it with preprocess="):
        assert explain_objects(draw_squares([]), squares) == []


def test_score_number_and_classes_choose_the_objects(squares):
    picture = draw_squares(PLANTED)
    (best,) = explain_objects(picture, squares, top_k=1, **OPTIONS)
    assert best.score == max(one.score for one in explain_objects(picture, squares, **OPTIONS))
    (blue,) = explain_objects(picture, squares, classes="blue", **OPTIONS)
    assert blue.name == "blue"
    assert len(explain_objects(picture, squares, classes=[0], **OPTIONS)) == 2
    assert explain_objects(picture, squares, min_score=1.0, **OPTIONS) == []


def test_the_overlay_shows_the_box_and_is_saved(squares, tmp_path):
    picture = draw_squares(PLANTED).resize((384, 384), Image.Resampling.NEAREST)
    picture.save(tmp_path / "photo.png")
    objects = explain_objects(tmp_path / "photo.png", squares, **OPTIONS)
    assert places(objects) == {(index, *(4 * edge for edge in box)) for index, *box in BOXES}
    for number, one in enumerate(objects):
        drawn = np.asarray(one.overlay, float)
        left, top, right, bottom = map(round, one.box)
        for row, column in ((bottom - 1, (left + right) // 2), ((top + bottom) // 2, right - 1)):
            assert drawn[row, column].min() > 200
        saved = one.save(tmp_path / f"object_{number}.png")
        assert is_own_result(saved)
        np.testing.assert_array_equal(np.asarray(Image.open(saved).convert("RGB")), drawn)
        assert one.name in Image.open(saved).text["Title"]
        # A notebook also shows the class and the score below.
        shown = Image.open(io.BytesIO(one._repr_png_()))
        assert shown.width == 384
        assert shown.height > 384
        assert repr(one).startswith(f"<LayerCAM of {one.name} ({one.index}), squares")


def test_files_give_what_the_command_gives(squares, run_gradcam, tmp_path):
    squares.save(tmp_path / "squares.keras")
    draw_squares(PLANTED, (96, 96)).resize((192, 120)).save(tmp_path / "photo.png")
    model = ("--model", "squares.keras", "--preprocess", "none")
    run = run_gradcam("photo.png", *model, "--out", "maps", "--json")
    assert run.returncode == 0, run.stderr
    record = json.loads(run.stdout)
    for given in (tmp_path / "squares.keras", str(tmp_path / "squares.keras")):
        objects = explain_objects(tmp_path / "photo.png", given, preprocess="none")
        assert [list(map(float, np.round(one.box, 1))) for one in objects] == [
            one["box"] for one in record["detections"]
        ]
        assert [one.score for one in objects] == pytest.approx(
            [one["score"] for one in record["detections"]], abs=1e-3
        )
    for one, written in zip(objects, record["detections"], strict=True):
        with Image.open(tmp_path / written["output"]) as overlay:
            difference = np.abs(np.asarray(one.overlay, int) - np.asarray(overlay.convert("RGB")))
            assert overlay.text["Title"] == one.title
        # The command folds the network, so that some pixels take the next of 256 colours.
        assert difference.max() <= 4


def test_detectors_of_other_libraries_are_explained(tmp_path, recwarn):
    # The file doesn't say how many classes there are, but their names do.
    model = save_detector(tmp_path / "chosen.onnx", "end-to-end", {})
    picture = draw_squares([(11, 13, 20, RED), (50, 60, 20, BLUE)])
    objects = explain_objects(picture, model, labels=NAMES, preprocess="0-1")
    assert {(one.name, *(round(edge / 4) for edge in one.box)) for one in objects} == {
        ("red", 3, 3, 8, 8),
        ("blue", 12, 15, 18, 20),
    }
    assert not [one for one in recwarn if "how many classes" in str(one.message)]
    assert all("D-RISE" in one.title for one in objects)
    for one in objects:
        (other,) = (other for other in objects if other is not one)
        assert share_in(one.heatmap, one.box) > 2 * share_in(one.heatmap, other.box)


def test_the_format_of_boxes_can_be_chosen():
    model = square_detector("rel_yxyx")
    with pytest.raises(UsageError, match="--box-format"):
        explain_objects(draw_squares(PLANTED), model, **OPTIONS)
    objects = explain_objects(draw_squares(PLANTED), model, box_format="rel_yxyx", **OPTIONS)
    assert places(objects) == BOXES


def test_a_named_background_is_no_object():
    model = square_detector(activation="softmax", names=("boxes_xyxy", "scores"))
    labels = ["background", "red", "blue"]
    objects = explain_objects(draw_squares(PLANTED), model, preprocess="none", labels=labels)
    assert places(objects) == {(index + 1, *box) for index, *box in BOXES}


def test_a_method_that_averages_gradients_is_doubted(squares):
    with pytest.warns(UserWarning, match="the map of one object may show others too"):
        explain_objects(draw_squares(PLANTED[:1]), squares, method="gradcam++", **OPTIONS)


def test_signed_maps_show_what_speaks_against_an_object(squares):
    (red,) = explain_objects(
        draw_squares(PLANTED[:1]), squares, method="hirescam", signed=True, **OPTIONS
    )
    assert red.ends == ("against", "for")
    assert red.colormap == "bwr"


def test_what_does_not_suit_is_refused(squares):
    picture = draw_squares(PLANTED)
    classifier = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3),
                                   keras.layers.GlobalAveragePooling2D()])  # fmt: skip
    with pytest.raises(UsageError, match="call explain_objects"):
        explain_image(picture, model=squares, preprocess="none")
    with pytest.raises(UsageError, match="doesn't detect objects; call explain_image"):
        explain_objects(picture, classifier)
    with pytest.raises(UnknownClassError, match="green"):
        explain_objects(picture, squares, classes="green", **OPTIONS)
    with pytest.raises(UsageError, match="min_score is 2"):
        explain_objects(picture, squares, min_score=2, **OPTIONS)
    with pytest.raises(UsageError, match="top_k is 0"):
        explain_objects(picture, squares, top_k=0, **OPTIONS)


def test_broken_scores_are_an_error():
    model = square_detector(names=("boxes_xyxy", "scores"))
    layer = model.get_layer("class_head")
    layer.set_weights([np.full_like(weight, np.nan) for weight in layer.get_weights()])
    with (
        pytest.warns(UserWarning, match="NaN"),
        pytest.raises(PredictionError, match="the prediction has NaN or infinity"),
    ):
        explain_objects(draw_squares(PLANTED), model, **OPTIONS)
