from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event

import numpy as np
import pytest
import tensorflow as tf

from gradcam_cli.networks.traced_function import TracedFunction

SIGNATURE = (tf.TensorSpec((None, 3), tf.float32), tf.TensorSpec((None,), tf.int32))
WEIGHTS = np.float32([[1, 2], [3, 4], [5, 6]])
INPUTS = np.float32([[1, 0, 1], [0, 2, 0]]), np.int32([10, 20])
SCORES = np.float32([[16, 18], [26, 28]])


@pytest.fixture
def in_sessions(monkeypatch):
    """Counts the sessions that are opened."""
    opened = []
    session = tf.compat.v1.Session

    def counted(*args, **options):
        opened.append(session(*args, **options))
        return opened[-1]

    monkeypatch.setattr(tf.compat.v1, "Session", counted)
    return opened


@pytest.mark.parametrize("is_constant", [True, False])
def test_computes_what_was_traced(in_sessions, is_constant):
    def scores(inputs, offsets):
        products = inputs @ tf.constant(WEIGHTS)
        return products + tf.cast(offsets, tf.float32)[:, None], offsets * 2

    function = TracedFunction(scores, SIGNATURE, is_constant=is_constant)
    found, doubled = function(*INPUTS)
    np.testing.assert_array_equal(found, SCORES)
    np.testing.assert_array_equal(doubled, [20, 40])
    assert len(in_sessions) == is_constant


def test_what_needs_more_than_its_inputs_has_no_session(in_sessions):
    weights = tf.constant(WEIGHTS)
    variable = tf.Variable(1.0)

    def scores(inputs, offsets):
        return [inputs @ weights * variable + tf.cast(offsets, tf.float32)[:, None]]

    function = TracedFunction(scores, SIGNATURE, is_constant=True)
    np.testing.assert_array_equal(function(*INPUTS)[0], SCORES)
    variable.assign(2.0)
    np.testing.assert_array_equal(function(*INPUTS)[0], [[22, 26], [32, 36]])
    assert not in_sessions


@pytest.mark.parametrize("is_constant", [True, False])
def test_threads_do_not_mix_their_batches(is_constant):
    def scores(inputs, offsets):
        return [inputs @ tf.constant(WEIGHTS) + tf.cast(offsets, tf.float32)[:, None]]

    function = TracedFunction(scores, SIGNATURE, is_constant=is_constant)

    def run(number):
        rows = number % 5 + 1
        return function(np.full((rows, 3), number, np.float32), np.arange(rows, dtype=np.int32))[0]

    with ThreadPoolExecutor(8) as pool:
        for number, found in enumerate(pool.map(run, range(200))):
            rows = np.arange(number % 5 + 1)[:, None]
            np.testing.assert_array_equal(found, number * np.float32([[9, 12]]) + rows)


def test_threads_may_enter_the_graph_at_the_same_time():
    # As each run of a session does. Runs meet there too rarely for a test.
    function = TracedFunction(lambda *inputs: inputs, SIGNATURE, is_constant=True)
    assert function.graph
    both_inside, first_left = Barrier(2), Event()

    def enter(leaves_first):
        with function.graph.graph.as_default():
            both_inside.wait(10)
            if not leaves_first:
                first_left.wait(10)
        first_left.set()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(enter, [True, False]))


def test_memory_that_is_not_there_is_told_as_such():
    def greedy(inputs, offsets):
        return [tf.zeros([tf.shape(inputs)[0] * 2**20, 2**20, 2**10])]

    function = TracedFunction(greedy, SIGNATURE, is_constant=True)
    with pytest.raises(tf.errors.ResourceExhaustedError):
        function(*INPUTS)
