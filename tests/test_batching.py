import os
import signal
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from same_results import assert_same_overlays, assert_same_predictions
from tasks import make_task

from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.errors import UsageError
from gradcam_cli.files.finding import find_pictures
from gradcam_cli.models.loading import load_classifier
from gradcam_cli.networks.precision import use_mixed_precision
from gradcam_cli.pictures.fitting import choose_input_size
from gradcam_cli.run.batching import BatchSize
from gradcam_cli.run.pipeline import explain_pictures
from gradcam_cli.runtime.cores import Parallelism, divide_cores


def test_batches_grow_to_the_largest():
    size = BatchSize(16)
    sizes = [size.now]
    for _ in range(4):
        size.grow()
        sizes.append(size.now)
    assert sizes == [2, 4, 8, 16, 16]


def test_batches_shrink_for_good_where_memory_ends():
    size = BatchSize(64)
    for _ in range(5):
        size.grow()
    size.shrink(64)
    assert size.now == 32
    size.grow()
    assert size.now == 32
    size.shrink(1)
    assert size.now == 1


def test_a_wanted_size_stays():
    size = BatchSize(16, fixed=50)
    size.grow()
    assert size.now == 50
    size.shrink(50)
    assert size.now == 25


@pytest.mark.parametrize(
    ("pictures", "workers", "one_by_one", "expected"),
    [
        (1, 16, False, Parallelism(16, 1, 16)),
        (1000, 2, False, Parallelism(2, 2, 1)),
        (1000, 64, False, Parallelism(64, 8, 8)),
        (3, 8, False, Parallelism(8, 3, 2)),
        (1000, 1, False, Parallelism(1, 1, 1)),
        (1000, 8, True, Parallelism(8, 1, 8)),
    ],
)
def test_cores_are_divided(pictures, workers, one_by_one, expected):
    assert divide_cores(pictures, workers, one_by_one) == expected


@pytest.fixture(scope="module")
def folder(tmp_path_factory, samples):
    """Pictures of several shapes, one of which is broken."""
    folder = tmp_path_factory.mktemp("pictures")
    for number, path in enumerate(sorted(samples.glob("*.jpg"))):
        with Image.open(path) as picture:
            picture.thumbnail((280, 280))
            picture.save(folder / f"{number}.jpg")
            picture.transpose(Image.Transpose.ROTATE_90).save(folder / f"{number}-turned.png")
    (folder / "3-broken.jpg").write_bytes(b"\xff\xd8\xff")
    return folder


@pytest.mark.processor
def test_files_and_order_do_not_depend_on_what_runs_side_by_side(tmp_path, folder, explainer):
    native = explainer.classifier.input_size
    size = choose_input_size(native, True, "keep")
    runs = []
    for workers, streams, batch_size in ((1, 1, 1), (2, 1, None), (3, 3, 2), (4, 2, 30)):
        out = tmp_path / f"{workers}-{streams}-{batch_size}"
        task = make_task(
            size=size,
            out=out,
            batch_size=batch_size,
            parallelism=Parallelism(workers, streams),
        )
        pictures = list(find_pictures([folder]))
        results = list(explain_pictures(pictures, [explainer], task))
        assert [result.picture for result in results] == pictures
        failed = [result.picture.path.name for result in results if result.error]
        assert failed == ["3-broken.jpg"]
        runs.append((out, results))
    first, expected = runs[0]
    assert len(list(first.iterdir())) == 20
    for out, results in runs[1:]:
        assert_same_overlays(out, first)
        for result, one in zip(results, expected, strict=True):
            assert_same_predictions(result.predictions, one.predictions, result.picture.path.name)


def test_an_interrupt_ends_a_method_that_runs_the_network_many_times(small_model, classify, folder):
    explainer = Explainer(classify(small_model()), "last", "scorecam", batch_size=1)
    runs = []

    def note(done, total):
        runs.append(total)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.5)

    explainer.progress = note
    task = make_task(fit="squash", size=(16, 16), with_files=0)
    # What shells start in the background ignores it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            list(explain_pictures(list(find_pictures([folder])), [explainer], task))
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(runs) == 1 < runs[0]


def test_half_precision_shows_the_same(builtin, explainer, samples):
    classifier = load_classifier()
    use_mixed_precision(classifier.network)
    half = Explainer(classifier.folded(()))
    with Image.open(samples / "koala.jpg") as picture:
        inputs = np.asarray(picture.resize((288, 224)))[np.newaxis]
    full = explainer.explain(inputs, [[-1]])
    other = half.explain(inputs, [[-1]])
    np.testing.assert_array_equal(other.targets, full.targets)
    np.testing.assert_allclose(other.probabilities, full.probabilities, atol=0.01)
    np.testing.assert_allclose(other.maps, full.maps, atol=0.03)
    assert np.abs(other.maps - full.maps).max() > 1e-6


def test_half_precision_needs_keras():
    with pytest.raises(UsageError, match="--mixed-precision"):
        use_mixed_precision(object())


class Greedy(keras.layers.Layer):
    """Wants more memory than any machine has for more than so many pictures."""

    def __init__(self, most, **options):
        super().__init__(**options)
        self.most = most

    def call(self, inputs):
        too_many = tf.shape(inputs, tf.int64)[0] > self.most
        numbers = tf.random.uniform([tf.where(too_many, 2**50, 1)])
        return inputs + 0 * tf.reduce_sum(numbers)


class Counting(Explainer):
    """Notes how many inputs it is given at once."""

    def __init__(self, classifier):
        super().__init__(classifier)
        self.batches = []

    def explain(self, inputs, targets, conditions=None):
        self.batches.append(len(inputs))
        return super().explain(inputs, targets, conditions)


def test_the_batch_is_halved_where_memory_ends(small_model, classify, folder):
    """TensorFlow hopes for ten seconds that somebody gives memory back."""
    model = small_model()
    greedy = keras.Sequential([keras.Input((16, 16, 3)), Greedy(2), *model.layers[1:]])
    task = make_task(fit="squash", size=(16, 16), with_files=0, batch_size=4)
    pictures = [p for p in find_pictures([folder]) if "broken" not in p.path.name]
    counting = Counting(classify(greedy))
    results = list(explain_pictures(pictures, [counting], task))
    assert [result.picture for result in results] == pictures
    # Pictures that waited while the batch was halved may leave one over.
    assert counting.batches[0] == 4
    assert max(counting.batches[1:]) == 2
    assert sum(counting.batches[1:]) == len(pictures)
    wanted = explain_pictures(pictures, [Explainer(classify(model))], task)
    for result, other in zip(results, wanted, strict=True):
        assert result.error is None
        assert result.predictions[0].index == other.predictions[0].index


class Hungry(keras.layers.Layer):
    """Runs out of memory outside of TensorFlow, which tells it at once."""

    def call(self, inputs):
        def fail(values):
            raise MemoryError

        # Beside the picture, whose places nobody can follow through Python.
        nothing = tf.numpy_function(fail, [inputs], tf.float32)
        return inputs + tf.ensure_shape(nothing, ())

    def compute_output_shape(self, input_shape):
        return input_shape


@pytest.mark.parametrize("method", ["gradcam", "scorecam"])
def test_a_picture_that_is_too_much_by_itself_is_told(small_model, classify, folder, method):
    first, *rest = small_model().layers[1:]
    greedy = keras.Sequential([keras.Input((16, 16, 3)), first, Hungry(), *rest])
    task = make_task(fit="squash", size=(16, 16), with_files=0, batch_size=2)
    pictures = [p for p in find_pictures([folder]) if "broken" not in p.path.name][:3]
    explainer = Explainer(classify(greedy), "last", method)
    results = list(explain_pictures(pictures, [explainer], task))
    for picture, result in zip(pictures, results, strict=True):
        assert f"{picture.path}: not enough memory" in str(result.error)
