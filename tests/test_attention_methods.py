"""The methods for transformers against an independent reading of their papers, in NumPy."""

import json

import attention_networks
import keras
import numpy as np
import pytest
import tensorflow as tf
from attention_networks import (
    ATTENTION_METHODS,
    BLOCKS,
    CHANNELS,
    CLASSES,
    COLUMNS,
    HEADS,
    KEY,
    PATCH,
    ROWS,
    ByHand,
    random_inputs,
)
from click.testing import CliRunner
from PIL import Image

import gradcam_cli
from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.cam.methods.base import find_implementation
from gradcam_cli.cam.methods.table import METHODS
from gradcam_cli.cli import main
from gradcam_cli.errors import UnusableLayerError

TARGETS = [2, 0, 3]
ONE_HOT = np.eye(CLASSES)[TARGETS]


@pytest.fixture(scope="module", params=[1, 2, 0], ids=["class token", "two tokens", "pooled"])
def model(request):
    return attention_networks.build(request.param)


@pytest.fixture(scope="module")
def passes(model):
    return [(ByHand(model, x), target) for x, target in zip(random_inputs(3), TARGETS, strict=True)]


def laid_out(by_hand, tokens):
    return np.asarray(tokens)[by_hand.class_tokens :].reshape(ROWS, COLUMNS)


def read(by_hand, matrix):
    """The row of the first class token; without one, the mean of the patches' rows."""
    return matrix[0] if by_hand.class_tokens else matrix.mean(0)


def assert_equal_maps(actual, expected):
    assert actual.shape == np.shape(expected)
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
    assert np.ptp(expected) > 0


def test_the_network_by_hand_is_the_keras_one(model, passes):
    for (by_hand, _), probabilities in zip(passes, model(random_inputs(3)), strict=True):
        scores = np.exp(by_hand.scores.numpy())
        np.testing.assert_allclose(scores / scores.sum(), probabilities, rtol=1e-4)


def test_rollout(model, passes):
    expected = []
    for by_hand, _ in passes:
        product = np.eye(ROWS * COLUMNS + by_hand.class_tokens)
        for block in range(BLOCKS):
            mixed = (by_hand.probabilities(block).mean(0) + np.eye(len(product))) / 2
            product = mixed / mixed.sum(1, keepdims=True) @ product
        expected.append(laid_out(by_hand, read(by_hand, product)))
    actual = gradcam_cli.AttentionRollout(model).raw_maps(random_inputs(3), ONE_HOT)
    assert_equal_maps(actual, expected)


def test_attention_relevance(model, passes):
    expected = []
    for by_hand, target in passes:
        identity = np.eye(ROWS * COLUMNS + by_hand.class_tokens)
        relevance = identity
        for block in range(BLOCKS):
            weighted = by_hand.gradients(block, target) * by_hand.probabilities(block)
            relevance = relevance + np.maximum(weighted, 0).mean(0) @ relevance
        expected.append(laid_out(by_hand, read(by_hand, relevance - identity)))
    actual = gradcam_cli.AttentionRelevance(model).raw_maps(random_inputs(3), ONE_HOT)
    assert_equal_maps(actual, expected)


def test_legrad(model, passes):
    expected = []
    for by_hand, target in passes:
        total = 0
        for block in range(BLOCKS):
            gradients = by_hand.gradients(block, target, of_block=block)
            total = total + np.maximum(gradients, 0).mean((0, 1)) / BLOCKS
        expected.append(laid_out(by_hand, total))
    actual = gradcam_cli.LeGrad(model).raw_maps(random_inputs(3), ONE_HOT)
    assert_equal_maps(actual, expected)


def test_reciprocam_keeps_the_class_tokens(model, passes):
    expected = []
    for by_hand, target in passes:
        # The patches that the last attention still reads, or those of the last block.
        extra = by_hand.class_tokens
        layer = by_hand.normalized_before_last if extra else by_hand.tokens[-1].numpy()
        grid = layer[extra:].reshape(ROWS, COLUMNS, -1)
        probabilities = np.zeros((ROWS, COLUMNS))
        for row in range(ROWS):
            for column in range(COLUMNS):
                alone = np.zeros((ROWS + 2, COLUMNS + 2, grid.shape[-1]), np.float32)
                for i, along in enumerate((1, 2, 1)):
                    for j, across in enumerate((1, 2, 1)):
                        alone[row + i, column + j] = along * across / 16 * grid[row, column]
                patches = alone[1:-1, 1:-1].reshape(ROWS * COLUMNS, -1)
                changed = np.concatenate([layer[:extra], patches])
                scores = by_hand.scores_from_last(changed) if extra else by_hand.head(changed)
                probabilities[row, column] = tf.nn.softmax(scores)[target]
        expected.append(probabilities - probabilities.min())
    name = "norm_a2" if model.get_layer("extend").class_tokens else "block2"
    told = []
    explainer = gradcam_cli.ReciproCAM(
        model, conv_layer=name, batch_size=4, progress=lambda *counts: told.append(counts)
    )
    assert_equal_maps(explainer.raw_maps(random_inputs(3), ONE_HOT), expected)
    assert sum(done for done, _ in told) == told[0][1] == 3 * ROWS * COLUMNS


@pytest.mark.parametrize("name", ATTENTION_METHODS)
def test_what_a_row_says_is_so(classify, name):
    model = attention_networks.build()
    explainer = Explainer(classify(model), method=name)
    assert METHODS[name].title == find_implementation(METHODS[name]).title
    assert not explainer.runs_many_times
    assert explainer.layers == []
    explained = explainer.explain(random_inputs(2), [[0, 1], [1, 2]])
    assert explained.maps.shape == (2, 2, ROWS, COLUMNS)
    assert explainer.pitch == (PATCH, PATCH)
    is_same = np.array_equal(explained.maps[0, 0], explained.maps[0, 1])
    assert is_same == ("the same for every class" in METHODS[name].summary)


class OwnAttention(keras.layers.Layer):
    """Attention as people write it: all projections at once, heads in the batch."""

    def build(self, shape):
        self.project = keras.layers.Dense(3 * CHANNELS)
        self.project.build(shape)

    def call(self, x, return_attention_scores=False):
        *_, rows, columns, _ = x.shape
        shape = (-1, rows * columns, 3, HEADS, KEY)
        parts = keras.ops.transpose(keras.ops.reshape(self.project(x), shape), (2, 0, 3, 1, 4))
        q, k, v = (
            keras.ops.reshape(part, (-1, rows * columns, KEY)) for part in keras.ops.unstack(parts)
        )
        exponentials = keras.ops.exp(q @ keras.ops.transpose(k, (0, 2, 1)) / np.sqrt(KEY))
        scores = exponentials / keras.ops.sum(exponentials, -1, keepdims=True)
        heads = keras.ops.reshape(scores @ v, (-1, HEADS, rows * columns, KEY))
        y = keras.ops.reshape(
            keras.ops.transpose(heads, (0, 2, 1, 3)), (-1, rows, columns, CHANNELS)
        )
        if return_attention_scores:
            return y, keras.ops.reshape(scores, (-1, HEADS, rows * columns, rows * columns))
        return y


class SelfAttention(keras.layers.Layer):
    """Keras's own attention, over rows and columns."""

    def __init__(self, **options):
        super().__init__()
        self.inner = keras.layers.MultiHeadAttention(HEADS, KEY, attention_axes=(1, 2), **options)

    def build(self, shape):
        self.inner.build(shape, shape)

    def call(self, x, return_attention_scores=False):
        return self.inner(x, x, return_attention_scores=return_attention_scores)


def network(attend, size=(12, 20)):
    """A convolution, attention between its cells, and pooling."""
    keras.utils.set_random_seed(5)
    inputs = keras.Input((*size, 3))
    x = keras.layers.Conv2D(CHANNELS, 2, 2, name="cells")(inputs)
    x = keras.layers.Add()([x, attend(x)])
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(CLASSES, "softmax")(x))


@pytest.mark.parametrize(
    ("layer", "size"),
    [
        (OwnAttention(), (12, 20)),
        (SelfAttention(), (12, 20)),
        (SelfAttention(dropout=0.1), (None, None)),
    ],
    ids=["written by hand", "of rows and columns", "any size"],
)
def test_attention_is_found_however_it_is_written(layer, size):
    model = network(layer, size)
    x = random_inputs(2)
    cells = model.get_layer("cells")(x)
    _, scores = layer(cells, return_attention_scores=True)
    scores = np.reshape(scores, (2, HEADS, 60, 60))
    expected = (scores.mean((1, 2)) + 1 / 60) / 2
    actual = gradcam_cli.AttentionRollout(model).raw_maps(x, ONE_HOT[:2])
    assert_equal_maps(actual, expected.reshape(2, 6, 10))


def attention_in_windows(x):
    windows = keras.layers.Permute((1, 3, 2, 4, 5))(keras.layers.Reshape((3, 2, 5, 2, CHANNELS))(x))
    windows = keras.ops.reshape(windows, (-1, 4, CHANNELS))
    windows = keras.layers.MultiHeadAttention(HEADS, KEY)(windows, windows)
    windows = keras.ops.reshape(windows, (-1, 3, 5, 2, 2, CHANNELS))
    return keras.layers.Reshape((6, 10, CHANNELS))(keras.layers.Permute((1, 3, 2, 4, 5))(windows))


def attention_to_fewer_keys(x):
    tokens = keras.layers.Reshape((-1, CHANNELS))
    keys = tokens(keras.layers.AveragePooling2D(2)(x))
    y = keras.layers.MultiHeadAttention(HEADS, KEY)(keras.layers.Reshape((-1, CHANNELS))(x), keys)
    return keras.layers.Reshape((6, 10, CHANNELS))(y)


def pooling_by_attention(x):
    tokens = keras.layers.Reshape((-1, CHANNELS))(x)
    weights = keras.layers.Softmax(axis=1)(keras.layers.Dense(1)(tokens))
    pooled = keras.ops.matmul(keras.ops.transpose(weights, (0, 2, 1)), tokens)
    return keras.layers.Reshape((1, 1, CHANNELS))(pooled)


def excitation(x):
    channels = keras.layers.GlobalAveragePooling2D(keepdims=True)(x)
    return x * keras.layers.Dense(CHANNELS, "softmax")(channels)


@pytest.mark.parametrize("explainer", [gradcam_cli.AttentionRollout, gradcam_cli.LeGrad])
@pytest.mark.parametrize(
    ("attend", "reason"),
    [
        (attention_in_windows, "within parts of the picture"),
        (attention_to_fewer_keys, "fewer keys"),
        (pooling_by_attention, "queries that aren't tokens themselves"),
        (excitation, "has no attention"),
    ],
)
def test_what_is_not_attention_over_all_tokens_is_refused(explainer, attend, reason):
    with pytest.raises(UnusableLayerError, match=reason) as refused:
        explainer(network(attend)).raw_maps(random_inputs(1), ONE_HOT[:1])
    assert "gradcam, layercam and reciprocam" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_fullgrad_of_a_transformer_is_refused():
    explainer = gradcam_cli.FullGrad(attention_networks.build())
    with pytest.raises(UnusableLayerError, match=r"FullGrad .* transformer"):
        explainer.raw_maps(random_inputs(1), ONE_HOT[:1])


def test_random_upper_layers_are_noticed_by_all_that_know_a_class():
    """The cascading randomization of Adebayo et al., on what isn't trained either."""
    model = attention_networks.build()
    classes = {
        explainer.method: explainer
        for explainer in map(gradcam_cli.__getattr__, gradcam_cli.__all__)
        if getattr(explainer, "method", None) in ATTENTION_METHODS
    }
    explainers = [classes[name](model) for name in ATTENTION_METHODS]
    originals = [
        explain.raw_maps(random_inputs(6), np.eye(CLASSES)[[0] * 6]) for explain in explainers
    ]
    kernel, bias = model.get_layer("classes").get_weights()
    shuffled = np.random.default_rng(0).permutation(kernel.ravel()).reshape(kernel.shape)
    model.get_layer("classes").set_weights([shuffled, bias])
    for name, explain, original in zip(ATTENTION_METHODS, explainers, originals, strict=True):
        changed = explain.raw_maps(random_inputs(6), np.eye(CLASSES)[[0] * 6])
        pairs = zip(np.reshape(original, (6, -1)), np.reshape(changed, (6, -1)), strict=True)
        likeness = np.mean([np.corrcoef(*pair)[0, 1] for pair in pairs])
        if name == "rollout":
            assert likeness > 0.999
            told = " ".join(find_implementation(METHODS[name]).__doc__.split())
            assert "doesn't notice random weights above" in told
        else:
            assert likeness < 0.9, name


def test_the_command_places_a_map_of_tokens(tmp_path, monkeypatch, samples):
    attention_networks.build().export(tmp_path / "saved")
    monkeypatch.chdir(tmp_path)
    Image.open(samples / "dog.jpg").resize((40, 24)).save("dog.png")
    options = ["--model", "saved", "--preprocess", "none", "--json", "-v"]
    done = CliRunner().invoke(main, ["dog.png", "--method", "rollout", *options])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout.splitlines()[-1])
    assert (told["method"], told["layer"]) == ("rollout", "all")
    assert Image.open(tmp_path / told["targets"][0]["output"]).size == (40, 24)
    refused = CliRunner().invoke(main, ["dog.png", "--method", "rollout"])
    assert refused.exit_code == 2
    assert "the network has no attention" in refused.output
