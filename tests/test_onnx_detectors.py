"""ONNX files of detectors in the forms that people have, whose objects are known."""

import json
import zipfile

import numpy as np
import onnx
import pytest
from detectors import BLUE, GREY, RED
from onnx import TensorProto, helper, numpy_helper
from onnx_detectors import NAMES, OBJECT, SIDE, save_detector
from PIL import Image
from tflite_detectors import save_tflite_detector

from gradcam_cli.cam.detection import BoxFinder
from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.cam.usual_method import usual_method
from gradcam_cli.errors import GradcamError, UnsupportedModelError, UsageError
from gradcam_cli.models.detector_outputs import KnownFacts, find_outputs
from gradcam_cli.models.loading import load_classifier
from gradcam_cli.models.options import ModelOptions

FORMS = ("yolov8", "yolov5", "end-to-end", "torchvision", "detr", "ssd")
# In the input: the left and top edge, and the class.
PLANTED = [(11, 13, 0), (50, 60, 1), (40, 13, 0)]


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    path = tmp_path_factory.mktemp("names") / "names.txt"
    path.write_text("\n".join(NAMES))
    return path


@pytest.fixture
def load(tmp_path):
    def load(form, metadata=None, **options):
        path = save_detector(tmp_path / f"{form}.onnx", form, metadata)
        return load_classifier(ModelOptions(model=str(path), **options))

    return load


def draw(squares, size=(SIDE, SIDE), side=OBJECT):
    pixels = np.full((size[1], size[0], 3), GREY, np.uint8)
    for left, top, kind in squares:
        pixels[top : top + side, left : left + side] = (RED, BLUE)[kind]
    return pixels


def found_in(classifier, pixels):
    """The best candidate at each planted place: its box, its class and its probability."""
    boxes, probabilities = (one[0] for one in BoxFinder(classifier).find(pixels[None]))
    found = []
    for left, top, kind in PLANTED:
        wanted = np.array([left, top, left + OBJECT, top + OBJECT])
        is_there = np.abs(boxes - wanted).max(axis=1) <= 2
        assert is_there.any()
        scores = np.where(is_there[:, None], probabilities, 0)
        best, index = np.unravel_index(scores.argmax(), scores.shape)
        found.append((int(best), int(index) == kind, float(scores.max())))
    return found


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("says_more", [True, False], ids=["metadata", "no metadata"])
def test_every_form_gives_the_planted_objects(load, labels, form, says_more):
    metadata = None if says_more else {}
    preprocess = "0-1" if form == "detr" and not says_more else None
    names = None if says_more else labels
    classifier = load(form, metadata, labels=names, preprocess=preprocess)
    assert classifier.detects
    assert classifier.input_size == (SIDE, SIDE)
    assert classifier.preprocess.mode == "0-1"
    assert [classifier.labels.name(index) for index in range(2)] == list(NAMES)
    for _, is_class, score in found_in(classifier, draw(PLANTED)):
        assert is_class
        assert score > 0.9


def test_what_the_form_usually_takes_is_a_guess(load):
    guessed = load("yolov8", {})
    assert (guessed.preprocess.mode, guessed.default_fit) == ("0-1", "pad")
    assert guessed.preprocess.is_guess
    assert not load("yolov8").preprocess.is_guess


def test_batches_are_read_row_by_row(load):
    for form in ("yolov8", "torchvision"):
        finder = BoxFinder(load(form))
        pictures = np.stack([draw(PLANTED), draw(PLANTED[:1]), draw([])])
        boxes, probabilities = finder.find(pictures)
        for number in range(3):
            alone = finder.find(pictures[number : number + 1])
            np.testing.assert_allclose(boxes[number], alone[0][0], atol=1e-3)
            np.testing.assert_allclose(probabilities[number], alone[1][0], atol=1e-5)
        assert probabilities.max(axis=(1, 2)) == pytest.approx([0.997, 0.98, 0], abs=0.02)


def test_the_command_finds_and_explains_the_objects(invoke, tmp_path):
    """On a picture that is wider than high, which fits with borders above and below."""
    save_detector(tmp_path / "squares.onnx", "yolov8")
    # The input shows it at half its size, 16 pixels below the upper edge.
    planted = [(24, 20, 0), (82, 20, 0), (120, 80, 1)]
    picture = draw(planted, (192, 128), 2 * OBJECT)
    Image.fromarray(picture).save(tmp_path / "wide.png")
    run = invoke(
        *("wide.png", "--model", "squares.onnx", "--out", "maps", "--json"),
        *("--heatmap", "npy", "--min-score", "0.8"),
    )
    assert run.exit_code == 0, run.stderr
    record = json.loads(run.stdout)
    assert record["method"] == "drise"
    detections = record["detections"]
    assert len(detections) == len(planted)
    for left, top, kind in planted:
        box = (left, top, left + 2 * OBJECT, top + 2 * OBJECT)
        (found,) = [one for one in detections if np.abs(np.subtract(one["box"], box)).max() <= 2]
        assert found["name"] == NAMES[kind]
        heat = np.load(tmp_path / found["heatmap"]).astype(float).clip(0)
        shares = [
            heat[y : y + 2 * OBJECT, x : x + 2 * OBJECT].sum() / heat.sum() for x, y, _ in planted
        ]
        assert shares[planted.index((left, top, kind))] > 0.3
        assert sorted(shares)[1] < 0.1
        with Image.open(tmp_path / found["output"]) as overlay:
            assert overlay.size == (192, 128)


def test_black_boxes_are_explained_with_d_rise(load):
    for form in ("yolov8", "end-to-end"):
        assert usual_method(load(form)) == "drise"


def test_methods_with_gradients_are_refused(load):
    with pytest.raises(UsageError, match=r"without layers and gradients .* drise"):
        Explainer(load("yolov8"), None, "layercam")


def test_rise_follows_only_candidates_that_keep_their_place(load):
    Explainer(load("yolov8"), None, "rise")
    with pytest.raises(UsageError, match=r"lists its boxes by their scores.*choose drise"):
        Explainer(load("end-to-end"), None, "rise")


def test_boxes_that_are_not_decoded_are_refused(load):
    with pytest.raises(UnsupportedModelError, match=r"aren't decoded.*--decode_in_inference"):
        load("yolox", {})


def test_turned_boxes_are_refused(load):
    with pytest.raises(UnsupportedModelError, match=r"turned"):
        load("yolov8", {"author": "Ultralytics", "task": "obb"})


def test_unclear_scores_need_names(load, labels):
    with pytest.raises(UnsupportedModelError, match=r"logits has 2 scores.*--labels"):
        load("detr", {})
    # With a single name, the last of two scores stands for no object, as in DETR.
    labels = labels.with_name("one.txt")
    labels.write_text("red")
    assert len(load("detr", {}, labels=labels).labels) == 1


def test_a_wrong_number_of_names_is_refused(load, labels):
    labels = labels.with_name("three.txt")
    labels.write_text("red\nblue\ngreen")
    with pytest.raises(UnsupportedModelError, match=r"the scores of 2 classes, but there are 3"):
        load("yolov8", {}, labels=labels)


def test_an_unknown_number_of_classes_is_told(load):
    classifier = load("end-to-end", {})
    assert len(classifier.labels) == 100
    assert "100 are assumed; name them with --labels" in classifier.warning


def test_a_class_without_a_name_is_an_error(load, labels):
    labels = labels.with_name("red.txt")
    labels.write_text("red")
    classifier = load("torchvision", {}, labels=labels)
    with pytest.raises(GradcamError, match=r"gives class 1, but only 1 .* known"):
        BoxFinder(classifier).find(draw(PLANTED)[None])


def test_boxes_of_an_unknown_arrangement_need_the_option(tmp_path):
    path = save_detector(tmp_path / "detector.onnx", "torchvision", {})
    model = onnx.load(path)
    model.graph.output[0].name = "places"
    for node in model.graph.node:
        node.output[:] = ["places" if name == "boxes" else name for name in node.output]
    onnx.save(model, path)
    with pytest.raises(UnsupportedModelError, match=r"places are arranged; add --box-format"):
        load_classifier(ModelOptions(model=str(path)))
    classifier = load_classifier(ModelOptions(model=str(path), box_format="xyxy"))
    assert [one[1] for one in found_in(classifier, draw(PLANTED))] == [True] * 3


def test_a_classifier_of_tokens_is_no_detector(tmp_path):
    """Its output has as many rows as a detector has boxes, and its values say nothing of places."""
    rows, classes = sum((SIDE // stride) ** 2 for stride in (8, 16, 32)), 7
    weights = np.random.default_rng(0).normal(size=(rows * classes, 3, SIDE // 8, SIDE // 8))
    parts = [
        helper.make_node("AveragePool", ["x"], ["p"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Conv", ["p", "w"], ["c"]),
        helper.make_node("Reshape", ["c", "s"], ["y"]),
    ]
    constants = [
        numpy_helper.from_array(weights.astype(np.float32), "w"),
        numpy_helper.from_array(np.array([0, rows, classes], np.int64), "s"),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, SIDE, SIDE])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, rows, classes])]
    model = helper.make_model(
        helper.make_graph(parts, "tokens", inputs, outputs, constants),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=9,
    )
    onnx.save(model, tmp_path / "tokens.onnx")
    with pytest.raises(UnsupportedModelError, match=r"not a score for each class"):
        load_classifier(ModelOptions(model=str(tmp_path / "tokens.onnx")))


def test_a_plain_classifier_is_no_detector():
    scores = np.random.default_rng(0).random((1, 7), np.float32)
    assert find_outputs("model", {"scores": scores}, KnownFacts((SIDE, SIDE))) is None


def grid_rows():
    """Pictures' centres of all cells of an input of 64×96, and noise of a cell around them."""
    rng = np.random.default_rng(0)
    places = []
    for stride in (8, 16, 32):
        y, x = np.mgrid[: 64 // stride, : 96 // stride]
        centres = (np.stack([x.ravel(), y.ravel()], 1) + 0.5) * stride
        places.append(centres + rng.uniform(-0.5, 0.5, centres.shape) * stride)
    return np.concatenate(places), rng


@pytest.mark.parametrize("box_format", ["center_xywh", "xyxy", "yxyx", "rel_center_xywh"])
def test_values_on_the_grid_tell_how_boxes_are_arranged(box_format):
    centres, rng = grid_rows()
    half = rng.uniform(4, 10, centres.shape)
    corners = np.concatenate([centres - half, centres + half], axis=1)
    boxes = {
        "center_xywh": np.concatenate([centres, 2 * half], axis=1),
        "xyxy": corners,
        "yxyx": corners[:, [1, 0, 3, 2]],
        "rel_center_xywh": np.concatenate([centres, 2 * half], axis=1) / (96, 64, 96, 64),
    }[box_format]
    rows = np.concatenate([boxes, rng.random((len(boxes), 3))], axis=1)[None]
    for array in (rows, rows.transpose(0, 2, 1)):
        found = find_outputs("model", {"y": array}, KnownFacts((64, 96), 3))
        assert found.box_format == box_format
        read, scores = found.read([array])
        np.testing.assert_allclose(read[0], boxes, rtol=1e-6)
        np.testing.assert_allclose(scores[0], rows[0, :, 4:], rtol=1e-6)
    # Rows in another order lie elsewhere.
    mixed = rows[:, rng.permutation(len(boxes))]
    assert find_outputs("model", {"y": mixed}, KnownFacts((64, 96), 3, None)) is None


def test_boxes_of_tensorflow_are_counted_from_one():
    outputs = {
        "detection_boxes": np.float32([[[0.1, 0.2, 0.3, 0.6], [0, 0, 1, 1]]]),
        "detection_classes": np.float32([[2, 1]]),
        "detection_scores": np.float32([[0.75, 0.25]]),
        "num_detections": np.float32([1]),
    }
    found = find_outputs("model", outputs, KnownFacts((100, 200), 2))
    assert (found.box_format, found.classes) == ("rel_yxyx", 2)
    boxes, scores = found.read(list(outputs.values()))
    np.testing.assert_allclose(boxes[0, 0], [0.1, 0.2, 0.3, 0.6])
    np.testing.assert_allclose(scores[0, 0], [0, 0.75])
    # The second isn't among the valid ones.
    assert scores[0, 1:].max() == 0


def test_the_background_of_a_softmax_is_dropped():
    rng = np.random.default_rng(0)
    corners = np.sort(rng.random((1, 50, 2, 2)), axis=2).reshape(1, 50, 4)
    noise = rng.random((1, 50, 1)) * 0.2
    outputs = {"boxes": corners, "scores": np.concatenate([1 - noise, noise], axis=2)}
    found = find_outputs("model", outputs, KnownFacts((240, 320)))
    assert (found.box_format, found.classes) == ("rel_xyxy", 1)
    np.testing.assert_allclose(found.read(list(outputs.values()))[1], noise, rtol=1e-6)


@pytest.fixture
def tflite_detector(tmp_path):
    pytest.importorskip("ai_edge_litert")
    path = save_tflite_detector(tmp_path / "squares.tflite")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("labelmap.txt", "red\nblue\n")
    return path


def test_the_choice_of_boxes_of_tensorflow_lite(tflite_detector, tmp_path, run_gradcam):
    pixels = np.full((120, 160, 3), 128, np.uint8)
    # Two cells wide and high, in a picture that is squashed to 64 × 64 pixels.
    pixels[15:45, 100:140] = (220, 40, 40)
    Image.fromarray(pixels).save(tmp_path / "square.png")
    arguments = ["square.png", "--model", "squares.tflite", "--mask", "--out", "maps"]
    run = run_gradcam(*arguments, "--top-k", "1", "--json", "-")
    assert run.returncode == 0, run.stderr
    (found,) = json.loads(run.stdout)["detections"]
    assert found["name"] == "red"
    assert found["box"] == pytest.approx([100, 15, 140, 45], abs=11)
    classifier = load_classifier(ModelOptions(str(tflite_detector)))
    assert classifier.preprocess.mode == "-1-1"
    assert classifier.default_fit == "squash"


def test_a_choice_of_boxes_that_would_fill_the_memory_is_refused(tmp_path):
    pytest.importorskip("ai_edge_litert")
    path = save_tflite_detector(tmp_path / "squares.tflite", detections=10**8)
    with pytest.raises(GradcamError, match="100,000,000"):
        load_classifier(ModelOptions(str(path)))


def test_boxes_that_contradict_the_chosen_format_are_doubted(tmp_path, labels):
    # Offsets from anchors, as networks give them that decode boxes elsewhere.
    offsets = np.random.default_rng(0).normal(0, 1, (1, 400, 4)).astype(np.float32)
    scores = np.full((1, 400, len(NAMES)), 0.1, np.float32)
    nodes = [
        helper.make_node("ReduceMean", ["picture"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "offsets"], ["regression"]),
        helper.make_node("Add", ["nothing", "values"], ["scores"]),
    ]
    weights = {"zero": np.float32(0), "offsets": offsets, "values": scores}
    taken = helper.make_tensor_value_info("picture", TensorProto.FLOAT, [1, 3, SIDE, SIDE])
    given = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, value.shape)
        for name, value in (("regression", offsets), ("scores", scores))
    ]
    stored = [numpy_helper.from_array(np.asarray(one), name) for name, one in weights.items()]
    graph = helper.make_graph(nodes, "main_graph", [taken], given, stored)
    path = tmp_path / "anchors.onnx"
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), path)
    options = ModelOptions(str(path), labels=labels, box_format="xyxy")
    warning = load_classifier(options).warning
    assert "don't look like xyxy" in warning
    assert "anchors" in warning


def test_seven_scores_are_not_a_box(tmp_path):
    nodes = [
        helper.make_node("GlobalAveragePool", ["picture"], ["means"]),
        helper.make_node("Flatten", ["means"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["output"]),
    ]
    taken = helper.make_tensor_value_info("picture", TensorProto.FLOAT, [1, 3, SIDE, SIDE])
    given = helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 7])
    weights = np.random.default_rng(0).normal(size=(3, 7)).astype(np.float32)
    stored = [numpy_helper.from_array(weights, "weights")]
    graph = helper.make_graph(nodes, "main_graph", [taken], [given], stored)
    path = tmp_path / "seven.onnx"
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), path)
    with pytest.raises(UnsupportedModelError, match="no known form"):
        load_classifier(ModelOptions(str(path), box_format="xyxy"))
