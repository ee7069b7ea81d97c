"""Where the cells of feature maps lie, for every architecture: by gradients, not by strides.

What a cell depends on is told by the gradient of its values by the input. Its centre is the
place of the cell, whatever the network does on the way, so it is the measure of the places at
which maps are drawn.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from backbones import ARCHITECTURES
from scipy.ndimage import uniform_filter

from gradcam_cli.networks.arranging import Arrangement
from gradcam_cli.networks.keras_network import walk_layers
from gradcam_cli.networks.layer_calls import intercepted_calls
from gradcam_cli.networks.layers import list_layers
from gradcam_cli.pictures.fitting import fit_picture

# Below this many cells in a row, all of them see the border.
FEWEST_CELLS = 5


def maps_of(classifier, size, others):
    """Says how the maps of the default layer, and of others from all over the depth, are drawn.

    Args:
        classifier: The network.
        size: (height, width) of the input, in pixels.
        others: How many layers besides the default one.

    Returns:
        By path, the default layer first.
    """
    found = {}

    def look(inputs):
        forward = classifier.trace(inputs)
        usable = [layer for layer in list_layers(classifier.network, forward) if layer.usable]
        paths = [layer.node.path for layer in usable if layer.default]
        large = [
            layer.node.path
            for layer in usable
            # Attention gathers from everywhere: only what is added to it keeps to its place.
            if not (layer.default or layer.node.is_transparent or "att" in layer.node.path)
            and min(layer.grid.size) >= FEWEST_CELLS
        ]
        places = np.linspace(0, len(large) - 1, others + 2).astype(int)[1:-1]
        for path in [*paths, *(large[place] for place in places)]:
            found[path] = forward.grid(path)
        return forward.logits

    signature = tf.TensorSpec((None, *size, 3), tf.float32)
    tf.function(look, autograph=False).get_concrete_function(signature)
    return found


def two_cells(drawn):
    """Chooses two cells on a diagonal, away from the middle and from the border."""
    rows, columns = drawn.size
    above, left = rows // 4, columns // 4
    return [(above, left), (rows - 1 - above, columns - 1 - left)]


def measured_places(classifier, size, layers, amplitude, probes):
    """Measures where cells of several layers lie.

    Args:
        classifier: The network; its weights are random.
        size: (height, width) of the input, in pixels.
        layers: How their maps are drawn, by path.
        amplitude: Standard deviation of the inputs.
        probes: How many inputs each cell is measured with.

    Returns:
        By path (2, 2): for each of `two_cells`, how far from the top and from the left of the
        input it lies, in pixels.
    """
    rng = np.random.default_rng(3)
    shape = (len(layers) * 2 * probes, *size, 3)
    inputs = tf.constant(rng.normal(0, amplitude, shape), tf.float32)
    outputs = {}

    def keeping(path):
        def kept(call, *args, **kwargs):
            outputs[path] = call(*args, **kwargs)
            return outputs[path]

        return kept

    model = classifier.network.model
    watched = [(layer, keeping(path)) for path, layer in walk_layers(model) if path in layers]
    with tf.GradientTape() as tape, intercepted_calls(watched):
        tape.watch(inputs)
        model(classifier.preprocess(inputs), training=False)
        total, start = 0.0, 0
        for path, drawn in layers.items():
            maps = Arrangement(drawn, tf.Graph()).to_maps(outputs[path])
            # Each input serves one cell of one layer.
            for row, column in two_cells(drawn):
                cell = maps[start : start + probes, row, column]
                total += tf.reduce_sum(cell * rng.normal(size=cell.shape))
                start += probes
    # Gradients through many layers may be too small to be squared in 32 bits.
    squares = (tape.gradient(total, inputs).numpy().astype(np.float64) ** 2).sum(-1)
    squares = squares.reshape(len(layers), 2, probes, *size)
    squares = (squares / squares.sum((-1, -2), keepdims=True)).mean(2)
    return {
        path: np.array([middle(cell) for cell in of_layer])
        for path, of_layer in zip(layers, squares, strict=True)
    }


def middle(sensitivity):
    """Finds the middle of where a cell looks most, and leaves out what it sees of all else.

    Args:
        sensitivity: (height, width), how much the cell depends on each pixel.

    Returns:
        How far it is from the top and from the left, in pixels.
    """
    # An odd width, or the blob would move by half a pixel.
    blob = uniform_filter(sensitivity, min(sensitivity.shape) // 16 | 1, mode="constant")
    blob = np.clip(blob - 0.3 * blob.max(), 0, None)
    return [
        (blob.sum(1 - axis) * (np.arange(length) + 0.5)).sum() / blob.sum()
        for axis, length in enumerate(blob.shape)
    ]


def drawn_places(size, drawn):
    """Says where `two_cells` are drawn, as `measured_places` does."""
    height, width = size
    fit = fit_picture((width, height), "squash", (width, height))
    placement = fit.place(drawn.size, drawn.pitch)
    left, top, right, bottom = placement.box
    (above, _), (before, _) = placement.margins
    return np.array(
        [
            (
                (row + above + 0.5 - top) / (bottom - top) * height,
                (column + before + 0.5 - left) / (right - left) * width,
            )
            for row, column in two_cells(drawn)
        ]
    )


@pytest.fixture(scope="module")
def build():
    """Builds networks, one after the other; those that take any size once for all sizes."""
    built = {}

    def find(name, size):
        known = ARCHITECTURES[name]
        size = (None, None) if known.any_size else size
        if (name, size) not in built:
            built.clear()
            keras.utils.set_random_seed(1)
            built[name, size] = known.build(size)
        return built[name, size]

    return find


@pytest.mark.parametrize(
    ("name", "number"),
    [(name, number) for name in ARCHITECTURES for number in range(len(ARCHITECTURES[name].sizes))],
)
def test_cells_lie_where_they_are_drawn(name, number, build, classify):
    known = ARCHITECTURES[name]
    size = known.sizes[number]
    classifier = classify(build(name, size), known.any_size)
    # At another size, the same layers would tell the same again.
    layers = maps_of(classifier, size, known.others if number == 0 else 0)
    measured = measured_places(classifier, size, layers, known.amplitude, known.probes)
    for path, drawn in layers.items():
        places = drawn_places(size, drawn)
        apart = (measured[path][1] - measured[path][0]) / (places[1] - places[0])
        aside = (measured[path] - places).mean(0) / np.maximum(drawn.pitch, known.coarsest)
        told = f"{path}: {drawn.describe()}, apart {apart}, aside {aside}"
        assert apart == pytest.approx([1, 1], abs=0.15), told
        assert aside == pytest.approx([0, 0], abs=0.75), told
