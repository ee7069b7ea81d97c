"""Detectors of Keras: which outputs are read how, and whether each map shows its own object."""

import keras
import numpy as np
import pytest

from gradcam_cli.cam.detection import BoxFinder, explain_boxes
from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.cam.usual_method import usual_method
from gradcam_cli.errors import GradcamError, UnsupportedModelError, UsageError
from gradcam_cli.models.loading import load_classifier
from gradcam_cli.models.options import ModelOptions
from gradcam_cli.pictures.boxes import BOX_FORMATS, find_detections
from tests.detectors import BLUE, RED, draw_squares, square_detector

# Two neighbours of one class, and one of another class between them and the edge.
PLANTED = [(8, 8, 20, RED), (36, 8, 20, RED), (64, 8, 20, BLUE), (8, 60, 20, BLUE)]


@pytest.fixture(scope="module")
def load(tmp_path_factory):
    """Saves a model and loads it as the command does."""
    folder = tmp_path_factory.mktemp("detectors")

    def loaded(model, **options):
        path = folder / f"{model.name}.keras"
        model.save(path)
        return load_classifier(ModelOptions(model=str(path), preprocess="none", **options))

    return loaded


@pytest.fixture(scope="module")
def squares(load):
    return load(square_detector(names=("boxes_xyxy", "scores"), levels=2))


def detect(classifier, picture, **options):
    prepared = classifier.input_for().prepare(picture)
    boxes, probabilities = BoxFinder(classifier).find(prepared.inputs[None])
    without = classifier.background
    return prepared, find_detections(
        boxes[0], probabilities[0], prepared.fit, without=without, **options
    )


def share_in(heat, box):
    left, top, right, bottom = map(round, box)
    return float(heat[top:bottom, left:right].sum() / heat.sum())


def check_own_object(classifier, picture, method, least=0.8):
    """Checks that most of each map lies in its own box, and nothing in another one."""
    prepared, objects = detect(classifier, picture)
    explainer = Explainer(classifier, method=method)
    explanation = explain_boxes(explainer, prepared.inputs, objects)
    for number, one in enumerate(objects):
        heat = prepared.fit.upsample(explanation.maps[0, number], explainer.pitch)
        assert share_in(heat, one.box) > least
        for other in objects:
            if other is not one:
                assert share_in(heat, other.box) < 0.02
    return objects


def squares_of(objects):
    return sorted((*(round(edge) for edge in one.box), one.index) for one in objects)


def boxes_of(planted):
    classes = {RED: 0, BLUE: 1}
    return sorted(
        (left, top, left + side, top + side, classes[color]) for left, top, side, color in planted
    )


def test_each_map_lies_on_its_own_object(squares):
    objects = check_own_object(squares, draw_squares(PLANTED), usual_method(squares))
    assert squares_of(objects) == boxes_of(PLANTED)


def test_cellwise_signed_maps_lie_on_their_own_objects(squares):
    check_own_object(squares, draw_squares(PLANTED), "hirescam")


def test_objects_of_every_level_are_explained_at_their_level(squares):
    planted = [(8, 8, 20, RED), (40, 40, 40, RED)]
    objects = check_own_object(squares, draw_squares(planted), usual_method(squares))
    assert squares_of(objects) == boxes_of(planted)


def test_methods_that_average_gradients_heat_every_object_of_the_class(squares):
    """Why they aren't the default."""
    prepared, objects = detect(squares, draw_squares(PLANTED))
    explainer = Explainer(squares, method="gradcam++")
    explanation = explain_boxes(explainer, prepared.inputs, objects)
    red = [number for number, one in enumerate(objects) if one.index == 0]
    heat = prepared.fit.upsample(explanation.maps[0, red[0]], explainer.pitch)
    assert share_in(heat, objects[red[1]].box) > 0.3


def test_every_level_is_a_default_layer(squares):
    explainer = Explainer(squares, method="layercam")
    assert set(explainer.layers) == {"features", "features2"}
    assert {layer.node.path for layer in squares.layers() if layer.default} == {
        "features",
        "features2",
    }


def test_a_chosen_layer_is_explained_alone(squares):
    prepared, objects = detect(squares, draw_squares([(8, 8, 20, RED)]))
    explainer = Explainer(squares, "colors", "layercam")
    explanation = explain_boxes(explainer, prepared.inputs, objects)
    assert explainer.layers == ["colors"]
    heat = prepared.fit.upsample(explanation.maps[0, 0], explainer.pitch)
    assert share_in(heat, objects[0].box) > 0.95


def test_a_batch_of_objects_has_the_maps_of_single_ones(squares):
    prepared, objects = detect(squares, draw_squares(PLANTED))
    explainer = Explainer(squares, method="layercam")
    together = explain_boxes(explainer, prepared.inputs, objects)
    alone = explain_boxes(explainer, prepared.inputs, objects[2:3])
    np.testing.assert_allclose(together.maps[0, 2], alone.maps[0, 0], atol=1e-5)
    assert together.targets.tolist() == [[one.index for one in objects]]


def test_nothing_is_found_in_an_empty_picture(squares):
    prepared, objects = detect(squares, draw_squares([]))
    assert objects == []
    explanation = explain_boxes(Explainer(squares, method="layercam"), prepared.inputs, objects)
    assert explanation.maps.shape[:2] == (1, 0)


@pytest.mark.parametrize("box_format", BOX_FORMATS)
def test_every_format_is_read(load, box_format):
    classifier = load(square_detector(box_format), box_format=box_format)
    _, objects = detect(classifier, draw_squares(PLANTED))
    assert squares_of(objects) == boxes_of(PLANTED)
    assert not classifier.warning


def test_a_format_that_the_values_contradict_is_doubted(load):
    classifier = load(square_detector("rel_xyxy"), box_format="xyxy")
    assert "don't look like xyxy but like rel_xyxy or rel_yxyx" in classifier.warning


def test_a_format_that_nothing_names_is_asked_for(load):
    with pytest.raises(UsageError, match=r"add --box-format .* look like xyxy or yxyx"):
        load(square_detector())


def test_boxes_and_scores_may_be_one_output(load):
    model = square_detector(names=("detections",))
    classifier = load(model, task="detection", box_format="xyxy")
    _, objects = detect(classifier, draw_squares(PLANTED))
    assert squares_of(objects) == boxes_of(PLANTED)


def test_the_background_of_a_softmax_is_no_object(load):
    model = square_detector(activation="softmax", names=("boxes_xyxy", "scores"))
    classifier = load(model)
    assert classifier.background == [0]
    assert "class 0 is taken for the background" in classifier.warning
    _, objects = detect(classifier, draw_squares(PLANTED))
    expected = [(*box, index + 1) for *box, index in boxes_of(PLANTED)]
    assert squares_of(objects) == sorted(expected)


def test_logits_are_taken_for_those_of_a_sigmoid_and_doubted(load):
    model = square_detector(activation=None, names=("boxes_xyxy", "scores"))
    classifier = load(model)
    assert "logits of a sigmoid" in classifier.warning
    _, objects = detect(classifier, draw_squares(PLANTED))
    assert squares_of(objects) == boxes_of(PLANTED)


@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
def test_the_explained_score_is_the_logit_of_the_class_in_the_box(load, activation):
    """Whether the activation is found or not, sigmoid or softmax: scores are before it."""
    names = ("boxes_xyxy", "scores")
    model = square_detector(activation=activation, names=names)
    classifier = load(model)
    check_own_object(classifier, draw_squares(PLANTED), "layercam")


def test_a_classifier_with_several_outputs_is_no_detector(load):
    inputs = keras.Input((32, 32, 3))
    features = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(inputs))
    outputs = {"age": keras.layers.Dense(1)(features), "kind": keras.layers.Dense(4)(features)}
    with pytest.raises(UsageError, match=r"2 outputs; choose one with --head"):
        load(keras.Model(inputs, outputs, name="two"))


def test_outputs_that_are_no_boxes_are_refused_with_their_shapes(load):
    inputs = keras.Input((32, 32, 3))
    features = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(inputs))
    outputs = {"age": keras.layers.Dense(1)(features), "kind": keras.layers.Dense(4)(features)}
    with pytest.raises(UnsupportedModelError, match=r"age \(1\), kind \(4\)"):
        load(keras.Model(inputs, outputs, name="two"), task="detection")


def test_maps_of_several_levels_are_no_boxes(load):
    inputs = keras.Input((32, 32, 3))
    fine = keras.layers.Conv2D(6, 3, padding="same", name="fine")(inputs)
    coarse = keras.layers.Conv2D(6, 3, strides=2, padding="same", name="coarse")(fine)
    with pytest.raises(UnsupportedModelError, match="no two outputs are boxes"):
        load(keras.Model(inputs, [fine, coarse], name="levels"), task="detection")


def test_methods_that_classify_the_picture_are_refused(squares):
    with pytest.raises(UsageError, match="can't explain a detector"):
        Explainer(squares, method="rollout")


@pytest.mark.parametrize("method", ["scorecam", "finercam", "reciprocam", "fullgrad"])
def test_other_methods_run_without_nonsense(squares, method):
    prepared, objects = detect(squares, draw_squares(PLANTED[:1]))
    try:
        explainer = Explainer(squares, method=method)
    except GradcamError as error:
        assert "\n" not in str(error)
        return
    explanation = explain_boxes(explainer, prepared.inputs, objects)
    assert np.isfinite(explanation.maps).all()
