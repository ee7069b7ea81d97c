"""D-RISE: what its numbers are, and where its heat lies."""

import numpy as np
import pytest
import tensorflow as tf
from detectors import BLUE, NAMES, OBJECT, RED, SIDE, draw_squares, square_detector

from gradcam_cli.cam.detection import BoxFinder
from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.cam.methods.base import make_method
from gradcam_cli.cam.methods.d_rise import Objects, overlaps, similarities
from gradcam_cli.cam.methods.random_masks import RandomMasks
from gradcam_cli.errors import UsageError
from gradcam_cli.models.loading import load_classifier
from gradcam_cli.models.options import ModelOptions

# Two neighbours of one class, and one object of another.
SQUARES = [(12, 16, OBJECT, RED), (44, 16, OBJECT, RED), (28, 64, OBJECT, BLUE)]


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    folder = tmp_path_factory.mktemp("detector")
    path = folder / "squares.keras"
    square_detector(box_format="xyxy", names=("boxes_xyxy", "scores")).save(path)
    (folder / "labels.txt").write_text("\n".join(NAMES))
    return load_classifier(ModelOptions(model=str(path), preprocess="none"))


@pytest.fixture(scope="module")
def picture():
    return np.asarray(draw_squares(SQUARES), np.float32)


@pytest.fixture(scope="module")
def candidates(detector, picture):
    """The index of the best candidate of each square."""
    boxes, probabilities = (one[0] for one in BoxFinder(detector).find(picture[None]))
    found = []
    for left, top, side, color in SQUARES:
        distances = np.abs(boxes - (left, top, left + side, top + side)).sum(axis=1)
        found.append(int((distances - probabilities[:, int(color == BLUE)]).argmin()))
        assert np.abs(boxes[found[-1]] - (left, top, left + side, top + side)).max() <= 2
    return found


@pytest.fixture(scope="module")
def conditions(candidates):
    return np.array(candidates, np.float32)[:, None]


@pytest.fixture(scope="module")
def targets():
    return np.array([[int(color == BLUE)] for *_, color in SQUARES])


def test_overlaps_by_hand():
    boxes = tf.constant(
        [[[0, 0, 10, 10], [5, 0, 15, 10], [10, 10, 20, 20], [4, 4, 4, 9]]], tf.float32
    )
    found = overlaps(boxes, tf.constant([[0, 0, 10, 10], [0, 0, 10, 5]], tf.float32))
    np.testing.assert_allclose(found[0], [[1, 1 / 2], [1 / 3, 1 / 5], [0, 0], [0, 0]], rtol=1e-6)


def test_similarities_by_hand():
    objects = Objects(tf.constant([[0, 0, 10, 10]], tf.float32), tf.constant([[0.6, 0.8]]))
    boxes = tf.constant([[[0, 0, 10, 10], [5, 0, 15, 10], [0, 0, 10, 10]]], tf.float32)
    # The cosines are (0.6 * 0.3 + 0.8 * 0.4) / 0.5 = 1, 0.6 and 0.8, the first is least sure.
    scores = tf.constant([[[0.3, 0.4], [1.0, 0.0], [0.0, 0.45]]])
    found = similarities(objects, boxes, scores)
    np.testing.assert_allclose(found, [[max(1 * 1 * 0.4, 1 / 3 * 0.6 * 1.0, 1 * 0.8 * 0.45)]])


def test_a_candidate_that_is_next_to_nothing_is_not_similar():
    objects = Objects(tf.constant([[0, 0, 10, 10]], tf.float32), tf.constant([[0.9, 0.09]]))
    boxes = tf.constant([[[0, 0, 10, 10]]] * 2, tf.float32)
    # The same proportions, and nothing at all.
    found = similarities(objects, boxes, tf.constant([[[1e-4, 1e-5]], [[0.0, 0.0]]]))
    np.testing.assert_allclose(found, [[1e-4], [0]], rtol=1e-4)


def test_maps_are_those_of_the_definition(detector, picture, candidates, conditions, targets):
    """Compares with D-RISE in NumPy, detection by detection."""
    samples = 100
    explainer = Explainer(detector, None, "drise", samples=samples, signed=True)
    object_maps = explainer.explain(np.repeat(picture[None], 3, 0), targets, conditions).maps
    finder = BoxFinder(detector)
    masks = RandomMasks([SIDE, SIDE], samples, 16, 0.5, seed=1)[:]
    ground = picture.mean(axis=(0, 1))
    boxes, probabilities = finder.find(ground + (picture - ground) * masks[..., None])
    (own_boxes,), (own,) = finder.find(picture[None])
    for number, candidate in enumerate(candidates):
        left, top, right, bottom = own_boxes[candidate]
        weights = []
        for some_boxes, some in zip(boxes, probabilities, strict=True):
            best = 0
            for (x1, y1, x2, y2), scores in zip(some_boxes, some, strict=True):
                common = max(0, min(right, x2) - max(left, x1)) * max(
                    0, min(bottom, y2) - max(top, y1)
                )
                if common == 0:
                    continue
                union = (right - left) * (bottom - top) + (x2 - x1) * (y2 - y1) - common
                cosine = scores @ own[candidate]
                cosine /= np.linalg.norm(scores) * np.linalg.norm(own[candidate])
                best = max(best, common / union * cosine * scores.max())
            weights.append(best)
        expected = np.tensordot(np.array(weights) - np.mean(weights), masks, axes=1)
        expected /= np.abs(expected).max()
        # Every other mask is summed for itself.
        np.testing.assert_allclose(object_maps[number, 0], expected, atol=2e-4)


def test_heat_of_each_detection_lies_on_its_own_object(detector, picture, conditions, targets):
    explainer = Explainer(detector, None, "drise", samples=1600)
    maps = explainer.explain(np.repeat(picture[None], 3, 0), targets, conditions).maps[:, 0]
    for number, heat in enumerate(maps):
        shares = [
            heat[top : top + side, left : left + side].sum() / heat.sum()
            for left, top, side, _ in SQUARES
        ]
        # A square is a twentieth of the picture.
        assert shares[number] > 0.35
        assert max(np.delete(shares, number)) < 0.08
        row, column = np.unravel_index(heat.argmax(), heat.shape)
        left, top, side, _ = SQUARES[number]
        assert left <= column < left + side
        assert top <= row < top + side


def test_detections_share_the_runs_of_a_picture(detector, picture, conditions, targets):
    def explain(rows, inputs):
        explainer = Explainer(detector, None, "drise", samples=200)
        counts = []
        explainer.progress = lambda done, total: counts.append((done, total))
        maps = explainer.explain(inputs, targets[rows], conditions[rows]).maps
        return maps, sum(done for done, _ in counts), {total for _, total in counts}

    other = picture[:, ::-1]
    together, runs, total = explain([0, 1, 0], np.stack([picture, picture, other]))
    assert (runs, total) == (400, {400})
    alone, runs, total = explain([1], picture[None])
    assert (runs, total) == (200, {200})
    np.testing.assert_allclose(together[1], alone[0], atol=1e-5)
    assert np.abs(together[2] - together[0]).max() > 0.5


def test_the_best_candidate_of_a_class_is_explained_unasked(detector, picture, candidates):
    explainer = Explainer(detector, None, "drise", samples=200)
    unasked = explainer.explain(picture[None], np.array([[1]])).maps
    chosen = np.float32([[candidates[2]]])
    np.testing.assert_array_equal(
        unasked, explainer.explain(picture[None], np.array([[1]]), chosen).maps
    )


def test_maps_that_have_not_settled_say_so(detector, picture, conditions, targets):
    explainer = Explainer(detector, None, "drise", samples=200)
    explained = explainer.explain(picture[None], targets[:1], conditions[:1])
    assert "hasn't settled after 200 runs" in explained.blanks[0, 0].note


def test_a_classifier_has_no_boxes(builtin):
    with pytest.raises(UsageError, match=r"--method drise can't explain .* gives no boxes"):
        Explainer(builtin, None, "drise")


def test_it_has_the_parameters_of_rise():
    assert make_method("drise", samples=10) == make_method("drise", samples=10)
    with pytest.raises(TypeError):
        make_method("drise", noise=1)
