"""What the tests share: the built-in model, the sample pictures, the command."""

import gc
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.cli import main
from gradcam_cli.models.classifier import Classifier
from gradcam_cli.models.labels import Labels
from gradcam_cli.models.loading import load_classifier
from gradcam_cli.models.preprocessing import Preprocessing
from gradcam_cli.networks.keras_network import KerasNetwork

ROOT = Path(__file__).resolve().parent.parent
# Whoever is free takes the next file: what takes long comes first, lest it be left to one alone at
# the end. `pytest --durations 50` tells what has become slow.
SLOWEST_FILES = [
    "test_cell_places.py",
    "test_attention_truth.py",
    "test_cluster.py",
    "test_command.py",
    "test_documented_commands.py",
    "test_processors.py",
    "test_attention_methods.py",
    "test_localisation.py",
    "test_benchmarks.py",
    "test_channels_first.py",
    "test_kerashub.py",
    "test_own_models.py",
    "test_sanity_check.py",
    "test_token_models.py",
    "test_catalogue.py",
    "test_frames_command.py",
    "test_seeing_command.py",
    "test_explainer_options.py",
    "test_kept_graphs.py",
    "test_report_page.py",
    "test_several_inputs.py",
    "test_tutorial.py",
    "test_segmentation.py",
    "test_blank_maps.py",
]


@pytest.hookimpl(trylast=True)
def pytest_collection_finish():
    # TensorFlow and the tests themselves stay to the end: each full collection would go through
    # all their objects again, which takes a twentieth of the time of the tests.
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items):
    ranks = {name: rank for rank, name in enumerate(SLOWEST_FILES)}
    items.sort(key=lambda item: ranks.get(item.path.name, len(ranks)))


@pytest.fixture(scope="session")
def samples():
    """The folder of the sample pictures."""
    return ROOT / "sample_images"


@pytest.fixture(scope="session")
def sample_classes():
    """Sample picture and what it shows, as an index of ImageNet's."""
    return {
        "bee.jpg": 309,
        "bridge.jpg": 839,
        "cat.jpg": 285,
        "citrus.jpg": 950,
        "coffee.jpg": 967,
        "crab.jpg": 119,
        "dog.jpg": 235,
        "koala.jpg": 105,
        "macaw.jpg": 88,
        "red-panda.jpg": 387,
    }


@pytest.fixture(scope="session")
def builtin():
    """The built-in classifier with its pretrained weights."""
    return load_classifier()


@pytest.fixture(scope="session")
def explainer(builtin):
    """Grad-CAM at the built-in classifier's default layer."""
    return Explainer(builtin)


@pytest.fixture(scope="session")
def classify():
    """Makes a `Classifier` of a small Keras model that wants its input as it is."""

    def make(model, any_size=False, preprocessing="none"):
        height, width = model.input_shape[1:3]
        return Classifier(
            name=model.name,
            network=KerasNetwork(model),
            input_size=(height or 64, width or 64),
            channels=model.input_shape[3],
            any_size=any_size,
            default_fit="keep" if any_size else "squash",
            preprocess=Preprocessing(preprocessing, "as the test says"),
            labels=Labels([[f"class {index}"] for index in range(max(model.output_shape[-1], 2))]),
        )

    return make


@pytest.fixture(scope="session")
def small_model():
    """Makes a small convolutional network with fixed random weights."""

    def make(activation="softmax", classes=3, size=16, head=None):
        keras.utils.set_random_seed(7)
        inputs = keras.Input((size, size, 3), name="picture")
        x = keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="first")(inputs)
        x = keras.layers.MaxPooling2D(name="pool")(x)
        x = keras.layers.Conv2D(5, 3, padding="same", activation="relu", name="last")(x)
        x = keras.layers.GlobalAveragePooling2D(name="gap")(x)
        x = keras.layers.Dense(classes, activation=activation, name="scores")(x)
        if head is not None:
            x = head(x)
        return keras.Model(inputs, x, name="small")

    return make


@pytest.fixture(scope="session")
def centroid():
    """Finds the centre of mass of a map: (x, y), in pixels with their middle at one half."""

    def find(heat):
        heat = np.asarray(heat, np.float64)
        total = heat.sum()
        height, width = heat.shape
        return (
            float((heat.sum(0) * (np.arange(width) + 0.5)).sum() / total),
            float((heat.sum(1) * (np.arange(height) + 0.5)).sum() / total),
        )

    return find


@pytest.fixture(scope="session")
def command_environment(tmp_path_factory):
    """The environment of the command in a process of its own: no network, a fresh Keras."""
    # Nothing listens there, so that no test downloads weights by chance.
    nowhere = "http://127.0.0.1:9"
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), nowhere)
    return {
        **{key: value for key, value in os.environ.items() if not key.startswith("_GRADCAM")},
        **proxies,
        # Compiling the package takes a tenth of the time of its start; once is enough.
        "PYTHONDONTWRITEBYTECODE": "",
        "no_proxy": "",
        "NO_PROXY": "",
        "KERAS_HOME": str(tmp_path_factory.mktemp("keras")),
        "PYTHONPATH": str(ROOT),
    }


@pytest.fixture
def run_gradcam(tmp_path, command_environment):
    """Runs the real command in a process of its own, in an empty folder."""

    def run(*args, **environment):
        return subprocess.run(
            [sys.executable, "-m", "gradcam_cli", *map(str, args)],
            cwd=tmp_path,
            env=command_environment | environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run


@pytest.fixture
def invoke(tmp_path, monkeypatch):
    """Runs the command in this process, in an empty folder: TensorFlow is there already.

    For what a process of its own would not show better; each of those costs seconds.
    """
    monkeypatch.chdir(tmp_path)

    def run(*args, **options):
        return CliRunner().invoke(main, [str(arg) for arg in args], **options)

    return run


@pytest.fixture
def save_picture():
    """Writes a picture of noise and gives its path."""

    def save(path, size=(64, 48), mode="RGB", seed=0, **options):
        rng = np.random.default_rng(seed)
        noise = Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), np.uint8))
        path.parent.mkdir(parents=True, exist_ok=True)
        noise.convert(mode).save(path, **options)
        return path

    return save
