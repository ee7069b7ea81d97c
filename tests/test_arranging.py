"""Each cell of a map holds what the picture has in its place, however the network moves it.

The picture's values are its coordinates, and what the networks here do moves and averages
them: so each cell tells where it comes from.
"""

import numpy as np
import pytest
import tensorflow as tf

from gradcam_cli.networks.arranging import Arrangement
from gradcam_cli.networks.grids import Grid, GridTrace, NoGrid

HEIGHT, WIDTH, PATCH = 32, 48, 4
ROWS, COLUMNS = HEIGHT // PATCH, WIDTH // PATCH
BATCH = 3


def patches(x):
    """(N, rows, columns, K): the means of the patches."""
    return tf.nn.avg_pool2d(x, PATCH, PATCH, "VALID")


def tokens(x):
    x = patches(x)
    return tf.reshape(x, (-1, ROWS * COLUMNS, x.shape[-1]))


def with_tokens(x, before=1, after=0):
    x = tokens(x)
    batch = tf.shape(x)[0]
    first = tf.zeros((batch, before, x.shape[-1]))
    return tf.concat([first, x, tf.ones((batch, after, x.shape[-1]))], 1)


def windows(x, size=4, shift=0, pad=0):
    """(N * windows, size * size, K)."""
    x = patches(x)
    if pad:
        x = tf.pad(x, ((0, 0), (0, pad), (0, 0), (0, 0)))
    if shift:
        x = tf.roll(x, (-shift, -shift), (1, 2))
    rows, columns, channels = x.shape[1:]
    x = tf.reshape(x, (-1, rows // size, size, columns // size, size, channels))
    return tf.reshape(tf.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, size * size, channels))


def from_windows(x, size, rows, columns):
    x = tf.reshape(x, (-1, rows // size, columns // size, size, size, x.shape[-1]))
    return tf.reshape(tf.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, rows, columns, x.shape[-1]))


def merged(x):
    """Patch merging, whose channels are averaged again."""
    x = patches(x)
    parts = [x[:, row::2, column::2] for row in (0, 1) for column in (0, 1)]
    x = tf.concat(parts, -1)
    return tf.reduce_mean(tf.reshape(x, (-1, ROWS // 2, COLUMNS // 2, 4, 2)), 3)


def attention_to_itself(x):
    """Each token attends to itself alone, as far as can be seen from outside."""
    x = with_tokens(x)
    scores = tf.einsum("nqc,nkc->nqk", x, x)
    length = ROWS * COLUMNS + 1
    weights = tf.nn.softmax(scores * 0 + 1e9 * (tf.eye(length) - 1))
    return tf.matmul(weights, x)


def to_series(x):
    """Tokens that a dense layer sees as one row for all pictures."""
    x = with_tokens(x, 2)
    flat = tf.reshape(x, (-1, 2))
    return tf.reshape(tf.matmul(flat, tf.eye(2)), (-1, ROWS * COLUMNS + 2, 2))


def by_hand(x, patch):
    x = np.asarray(x)
    n, height, width, channels = x.shape
    x = x.reshape(n, height // patch, patch, width // patch, patch, channels)
    return x.mean((2, 4))


def run(network, any_size=False):
    """Returns the grid, the maps of the network's output, and whether they can be put back."""
    found = []

    @tf.function(
        autograph=False,
        input_signature=[
            tf.TensorSpec((None, None, None, 2) if any_size else (None, HEIGHT, WIDTH, 2))
        ],
    )
    def trace(inputs):
        output = network(inputs)
        logits = tf.reduce_sum(output, [*range(1, output.shape.rank)])[:, None]
        grid = GridTrace(inputs, logits, [output], (64, 64)).find(output)
        found.append(grid)
        if isinstance(grid, NoGrid):
            return output, output, output
        arrangement = Arrangement(grid, inputs.graph)
        maps = arrangement.to_maps(output)
        return maps, output, arrangement.to_output(maps, output)

    picture = np.stack(np.mgrid[0:HEIGHT, 0:WIDTH], -1).astype(np.float32)
    inputs = np.stack([picture + 1000 * number for number in range(BATCH)])
    maps, output, restored = trace(tf.constant(inputs))
    np.testing.assert_array_equal(restored, output)
    return found[0], maps.numpy(), inputs


NETWORKS = {
    "grid": patches,
    "tokens": tokens,
    "class token": with_tokens,
    "class and distillation token": lambda x: with_tokens(x, 2),
    "registers at the end": lambda x: with_tokens(x, 1, 4),
    "registers in between": lambda x: tf.concat(
        [with_tokens(x)[:, :1], tf.zeros((tf.shape(x)[0], 3, 2)), with_tokens(x)[:, 1:]], 1
    ),
    "class token cut off": lambda x: with_tokens(x, 1, 2)[:, 1:-2],
    "channels before tokens": lambda x: tf.transpose(with_tokens(x), (0, 2, 1)),
    "columns before rows": lambda x: tf.transpose(patches(x), (0, 2, 1, 3)),
    "channels first": lambda x: tf.transpose(patches(x), (0, 3, 1, 2)),
    "tokens of columns": lambda x: tf.reshape(
        tf.transpose(patches(x), (0, 2, 1, 3)), (-1, ROWS * COLUMNS, 2)
    ),
    "windows": windows,
    "shifted windows": lambda x: windows(x, 4, 2),
    "padded windows": lambda x: windows(x, 3, 0, 1),
    "padded and shifted windows": lambda x: windows(x, 3, 1, 1),
    "back from windows": lambda x: tf.roll(
        from_windows(windows(x, 4, 2), 4, ROWS, COLUMNS), (2, 2), (1, 2)
    ),
    "back from padded windows": lambda x: from_windows(windows(x, 3, 0, 1), 3, 9, 12)[:, :ROWS],
    "attention": attention_to_itself,
    "one row for all pictures": to_series,
    "heads that are one again": lambda x: tf.reshape(
        tf.transpose(tf.reshape(tokens(x), (-1, ROWS * COLUMNS, 2, 1)), (0, 1, 3, 2)),
        (-1, ROWS * COLUMNS, 2),
    ),
    "shuffled channels": lambda x: tf.reshape(
        tf.transpose(tf.reshape(patches(x), (-1, ROWS, COLUMNS, 1, 2)), (0, 1, 2, 4, 3)),
        (-1, ROWS, COLUMNS, 2),
    ),
    "dilated through the batch": lambda x: tf.batch_to_space(
        tf.space_to_batch(patches(x), (2, 2), ((1, 1), (1, 1))), (2, 2), ((1, 1), (1, 1))
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_each_cell_tells_where_it_comes_from(name):
    grid, maps, inputs = run(NETWORKS[name])
    assert isinstance(grid, Grid), grid
    assert (grid.size, grid.pitch) == ((ROWS, COLUMNS), (PATCH, PATCH))
    np.testing.assert_allclose(maps, by_hand(inputs, PATCH), atol=1e-3)


@pytest.mark.parametrize(
    ("network", "patch"),
    [
        (merged, 2 * PATCH),
        (lambda x: tf.nn.avg_pool2d(patches(x), 2, 2, "VALID"), 2 * PATCH),
        (lambda x: tf.reduce_mean(tf.reshape(x, (-1, 16, 2, 24, 2, 2)), (2, 4)), 2),
        (lambda x: tf.image.extract_patches(x, *([1, 4, 4, 1],) * 2, [1] * 4, "VALID")[..., :2], 4),
    ],
)
def test_the_pitch_is_what_was_done(network, patch):
    grid, maps, inputs = run(network)
    assert isinstance(grid, Grid), grid
    assert grid.pitch == (patch, patch)
    # Only the first pixel of a patch is left of those that are extracted.
    expected = by_hand(inputs, patch) if patch != 4 else inputs[:, ::4, ::4]
    np.testing.assert_allclose(maps, expected, atol=1e-3)


def test_repeated_cells_are_finer():
    grid, _, _ = run(lambda x: tf.repeat(tf.repeat(patches(x), 4, 1), 2, 2))
    assert isinstance(grid, Grid), grid
    assert grid.pitch == (PATCH / 4, PATCH / 2)


def any_size_tokens(x):
    x = patches(x)
    shape = tf.shape(x)
    x = tf.reshape(x, tf.stack([shape[0], shape[1] * shape[2], 2]))
    return tf.concat([tf.zeros((shape[0], 1, 2)), x], 1)


def test_tokens_of_pictures_of_any_size():
    # They are looked at for another size than they are run with.
    grid, maps, inputs = run(any_size_tokens, any_size=True)
    assert isinstance(grid, Grid), grid
    assert (grid.before, grid.after, grid.are_tokens) == (1, 0, True)
    np.testing.assert_allclose(maps, by_hand(inputs, PATCH), atol=1e-3)


REFUSED = {
    "heads": (lambda x: tf.reshape(tokens(x), (-1, ROWS * COLUMNS, 2, 1)) * tf.ones(3), "heads"),
    "scores": (lambda x: tf.matmul(tokens(x), tokens(x), transpose_b=True), "attention scores"),
    "pooled": (lambda x: tf.reduce_mean(patches(x), (1, 2), keepdims=True), "no rows and columns"),
    "rows alone": (lambda x: tf.reduce_mean(patches(x), 2), "only rows"),
    "mixed tokens": (
        lambda x: tf.einsum("ntc,ts->nsc", tokens(x), tf.ones((ROWS * COLUMNS, 20))),
        "no rows and columns",
    ),
    "sorted": (lambda x: tf.sort(patches(x), 1), "can't be traced back"),
    "reversed": (lambda x: tf.reverse(patches(x), [1]), "ReverseV2"),
    "a part": (
        lambda x: tf.reshape(patches(x), (-1, 2, ROWS // 2, COLUMNS, 2))[:, 0],
        "only a part",
    ),
    "mean of pictures": (lambda x: patches(x) - 0 * tf.reduce_mean(patches(x)), None),
    "one cell": (lambda x: tf.nn.avg_pool2d(x, (HEIGHT, WIDTH), 1, "VALID"), "single cell"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_places_is_refused(name):
    network, reason = REFUSED[name]
    grid, _, _ = run(network)
    if reason is None:
        assert isinstance(grid, Grid)
    else:
        assert isinstance(grid, NoGrid)
        assert reason in grid.reason


def used(network):
    """Says whether the scores depend on the patches that a network is given."""
    found = []

    @tf.function(autograph=False, input_signature=[tf.TensorSpec((None, HEIGHT, WIDTH, 2))])
    def trace(inputs):
        given = with_tokens(inputs, 2, 1)
        logits = network(given)
        grids = GridTrace(inputs, logits, [given], (HEIGHT, WIDTH))
        found.append(grids.uses_patches(given))
        return logits

    trace.get_concrete_function()
    return found[0]


def by_attention(x):
    """Self-attention whose scores have the keys before the queries."""
    scores = tf.einsum("nkc,nqc->nkq", x, x)
    return x + tf.einsum("nkq,nkc->nqc", tf.nn.softmax(scores, 1), x)


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        (lambda x: x[:, 0], False),
        (lambda x: x[:, 1] + x[:, 0], False),
        (lambda x: x[:, -1], False),
        (lambda x: tf.gather(x, 0, axis=1), False),
        (lambda x: tf.squeeze(x[:, :1], 1), False),
        (lambda x: tf.nn.relu(x + 1)[:, 0] * tf.cast(tf.shape(x)[1], tf.float32), False),
        (lambda x: tf.reshape(tf.reshape(x, (-1, 2)), (-1, ROWS * COLUMNS + 3, 2))[:, 0], False),
        (lambda x: by_attention(x)[:, 0], True),
        (lambda x: (x + by_attention(x))[:, 0], True),
        (lambda x: tf.concat([x[:, :2], 2 * x[:, 2:]], 1)[:, 1], False),
        (lambda x: tf.concat([x[:, :2], 2 * x[:, 2:]], 1)[:, 2], True),
        (lambda x: tf.reduce_mean(x, 1), True),
        (lambda x: tf.reduce_mean(x[:, 2:-1], 1), True),
        (lambda x: x[:, 3], True),
    ],
)
def test_whether_the_scores_depend_on_patches(network, expected):
    assert used(network) is expected


def test_attention_that_nobody_reads_uses_no_patches():
    found = []

    @tf.function(autograph=False, input_signature=[tf.TensorSpec((None, HEIGHT, WIDTH, 2))])
    def trace(inputs):
        first = with_tokens(inputs)
        second = by_attention(first)
        third = by_attention(second)
        logits = third[:, 0]
        grids = GridTrace(inputs, logits, [first, second, third], (HEIGHT, WIDTH))
        found.extend(map(grids.uses_patches, (first, second, third)))
        return logits

    trace.get_concrete_function()
    assert found == [True, True, False]
