"""Boxes: their formats, which of them stay, and where they lie on pictures of any shape."""

import numpy as np
import pytest
import tensorflow as tf

from gradcam_cli.networks.detection import to_corners
from gradcam_cli.pictures.boxes import BOX_FORMATS, find_detections, overlaps
from gradcam_cli.pictures.fitting import FITS, fit_picture
from tests.detectors import to_format

# Left, top, right and bottom in pixels of an input of 96×96.
CORNERS = np.array([[10, 20, 40, 80], [0, 0, 96, 48]], np.float32)


@pytest.mark.parametrize("box_format", BOX_FORMATS)
def test_every_format_says_where_the_box_is(box_format):
    boxes = to_format(CORNERS, box_format)[None]
    found = to_corners(tf.constant(boxes), box_format, tf.zeros((1, 96, 96, 3)))
    np.testing.assert_allclose(found[0], CORNERS, atol=1e-4)


def test_relative_boxes_follow_both_sides_of_the_input():
    boxes = tf.constant([[[0.5, 0.25, 1.0, 0.75]]])
    found = to_corners(boxes, "rel_xyxy", tf.zeros((1, 40, 200, 3)))
    np.testing.assert_allclose(found[0], [[100, 10, 200, 30]], atol=1e-4)


def whole(size=(100, 100)):
    return fit_picture(size, "squash", size)


def find(boxes, probabilities, fit=None, **options):
    return find_detections(np.array(boxes), np.array(probabilities), fit or whole(), **options)


def test_of_overlapping_boxes_of_a_class_the_best_stays():
    boxes = [[10, 10, 50, 50], [12, 10, 52, 50], [60, 60, 90, 90]]
    found = find(boxes, [[0.7, 0], [0.9, 0], [0.8, 0]])
    assert [one.candidate for one in found] == [1, 2]
    assert [one.score for one in found] == [0.9, 0.8]


def test_boxes_of_other_classes_and_apart_ones_stay():
    boxes = [[10, 10, 50, 50], [12, 10, 52, 50], [10, 10, 50, 24]]
    found = find(boxes, [[0.7, 0], [0, 0.9], [0.8, 0]])
    assert [(one.candidate, one.index) for one in found] == [(1, 1), (2, 0), (0, 0)]


def test_the_ratio_decides_which_boxes_are_one_object():
    boxes = [[0, 0, 10, 10], [0, 5, 10, 15]]
    np.testing.assert_allclose(overlaps(np.array(boxes[0], float), np.array(boxes)), [1, 1 / 3])
    scores = [[0.9], [0.8]]
    assert len(find(boxes, scores)) == 2
    assert len(find(boxes, scores, overlap=0.3)) == 1


def test_a_candidate_stands_for_its_most_probable_class():
    (found,) = find([[0, 0, 10, 10]], [[0.6, 0.8]])
    assert (found.index, found.score) == (1, 0.8)
    (found,) = find([[0, 0, 10, 10]], [[0.6, 0.8]], classes=[0])
    assert (found.index, found.score) == (0, 0.6)


def test_the_background_is_no_object():
    boxes = [[0, 0, 10, 10], [20, 20, 30, 30]]
    (found,) = find(boxes, [[0.55, 0.45], [0.1, 0.9]], without=[0], min_score=0.1)
    assert (found.candidate, found.index) == (1, 1)


def test_the_score_and_the_number_limit_what_is_found():
    boxes = [[10 * n, 0, 10 * n + 8, 8] for n in range(5)]
    scores = [[0.2], [0.5], [0.9], [0.6], [0.7]]
    assert [one.candidate for one in find(boxes, scores)] == [2, 4, 3, 1]
    assert [one.candidate for one in find(boxes, scores, min_score=0.65)] == [2, 4]
    assert [one.candidate for one in find(boxes, scores, most=3)] == [2, 4, 3]


def test_boxes_without_an_area_or_outside_the_picture_are_no_objects():
    nan, inf = np.nan, np.inf
    boxes = [
        *([5, 5, 5, 9], [9, 5, 5, 9], [nan, 0, 9, 9], [0, 0, inf, 9], [120, 0, 140, 9]),
        [90, 90, 120, 95],
    ]
    (found,) = find(boxes, [[0.9]] * 6)
    assert found.candidate == 5
    assert found.box == (90, 90, 100, 95)


@pytest.mark.parametrize("size", [(400, 100), (100, 300)])
@pytest.mark.parametrize("fit", FITS)
def test_boxes_lie_on_the_same_thing_in_pictures_of_any_shape(fit, size):
    width, height = size
    in_picture = np.array([0.4 * width, 0.4 * height, 0.6 * width, 0.6 * height])
    fitted = fit_picture(size, fit, (96, 96), stride=8)
    source, target = np.array(fitted.source), np.array(fitted.target)
    scale = (target[2:] - target[:2]) / (source[2:] - source[:2])
    in_input = (in_picture.reshape(2, 2) - source[:2]) * scale + target[:2]
    (found,) = find([in_input.ravel()], [[1.0]], fitted)
    # The part outside the network's view isn't there, but no edge moves.
    np.testing.assert_allclose(found.box, in_picture, atol=1e-6)
