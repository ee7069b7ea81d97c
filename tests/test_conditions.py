"""What a network takes beside the picture reaches it, in every method that repeats inputs."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.models.inspection import inspect_network
from gradcam_cli.networks.conditions import Condition, Conditions
from gradcam_cli.networks.keras_network import KerasNetwork

SIDE = 8


@pytest.fixture(scope="module")
def classifier():
    """The score is the sum of the first channel times the first value, plus the second times."""
    picture = keras.Input((SIDE, SIDE, 3), name="picture")
    values = keras.Input((2,), name="values")
    maps = keras.layers.Conv2D(2, 1, use_bias=False, name="maps")(picture)
    sums = keras.layers.GlobalAveragePooling2D()(maps)
    scores = keras.layers.Multiply()([sums, values])
    model = keras.Model([picture, values], scores)
    model.get_layer("maps").set_weights([np.float32([[[[1, 0], [0, 1], [0, 0]]]])])
    return inspect_network("two inputs", KerasNetwork(model))


@pytest.mark.parametrize("method", ["gradcam", "guidedgradcam", "ablationcam", "scorecam"])
def test_each_input_has_its_own_values(classifier, method):
    inputs = np.zeros((2, SIDE, SIDE, 3), np.float32)
    inputs[:, 2, 3, 0] = 200
    inputs[:, 5, 6, 1] = 200
    explainer = Explainer(classifier, None if method == "gradcam" else "maps", method)
    targets = np.array([[0], [1]])
    conditions = np.float32([[1, 0], [0, 1]])
    explanation = explainer.explain(inputs, targets, conditions)
    places = [np.unravel_index(found[0].argmax(), found[0].shape) for found in explanation.maps]
    assert places == [(2, 3), (5, 6)]
    # With a value of 0, nothing speaks for the class.
    swapped = explainer.explain(inputs, targets, conditions[::-1])
    if method != "scorecam":
        assert not swapped.maps.any()


def test_conditions_are_arranged_in_one_row():
    conditions = Conditions((Condition("age"), Condition("region", (None, None))))
    assert conditions.length is None
    region = np.arange(6).reshape(2, 3)
    row = conditions.pack({"region": region, "age": np.array(63)})
    np.testing.assert_array_equal(row, [63, 0, 1, 2, 3, 4, 5])
    found = conditions.split(tf.constant(row[None]), tf.zeros((1, 2, 3, 3)))
    np.testing.assert_array_equal(found["age"], [63])
    np.testing.assert_array_equal(found["region"], region[None])
    fixed = replace(conditions, parts=(Condition("age"), Condition("view", (4, 4, 3))))
    assert fixed.length == 49
