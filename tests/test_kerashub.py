"""Models of KerasHub: files and folders, with the preprocessor that is stored in them."""

import json
import os
import socket
import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from gradcam_cli.api.explainers import GradCAM
from gradcam_cli.api.loading import find_explainer
from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.cam.score_weights import ScoreWeights
from gradcam_cli.cli import main
from gradcam_cli.errors import (
    GradcamError,
    ModelFileError,
    UnsafeModelError,
    UnsupportedModelError,
    UsageError,
)
from gradcam_cli.models.loading import load_classifier
from gradcam_cli.models.options import ModelOptions
from gradcam_cli.pictures.preparing import InputShape

keras_hub = pytest.importorskip("keras_hub")
models, layers = keras_hub.models, keras_hub.layers

SCALE, OFFSET = (0.0171, 0.0175, 0.0174), (-2.118, -2.036, -1.804)


def vit(preprocessor=None, size=(32, 48), classes=3):
    backbone = models.ViTBackbone(
        image_shape=(*size, 3), patch_size=8, num_layers=2, num_heads=2, hidden_dim=16, mlp_dim=32
    )
    return models.ViTImageClassifier(backbone, classes, preprocessor=preprocessor)


def resnet(preprocessor=None):
    backbone = models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[3],
        stackwise_num_filters=[64, 64],
        stackwise_num_blocks=[1, 1],
        stackwise_num_strides=[1, 2],
        block_type="basic_block",
    )
    return models.ResNetImageClassifier(backbone, 4, preprocessor=preprocessor)


def deeplab(preprocessor=None):
    encoder = models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 64],
        stackwise_num_blocks=[1, 1],
        stackwise_num_strides=[1, 2],
        block_type="basic_block",
        image_shape=(64, 64, 3),
    )
    backbone = models.DeepLabV3Backbone(
        image_encoder=encoder,
        spatial_pyramid_pooling_key="P3",
        upsampling_size=2,
        dilation_rates=[2, 4],
        low_level_feature_key="P2",
        projection_filters=8,
        image_shape=(64, 64, 3),
    )
    return models.DeepLabV3ImageSegmenter(backbone, 4, preprocessor=preprocessor)


def segformer(preprocessor=None):
    encoder = models.MiTBackbone(
        layerwise_depths=[1, 1],
        num_layers=2,
        layerwise_num_heads=[1, 1],
        layerwise_sr_ratios=[2, 1],
        max_drop_path_rate=0.0,
        layerwise_patch_sizes=[7, 3],
        layerwise_strides=[4, 2],
        image_shape=(64, 64, 3),
        hidden_dims=[8, 16],
    )
    backbone = models.SegFormerBackbone(image_encoder=encoder, projection_filters=12)
    return models.SegFormerImageSegmenter(backbone, 4, preprocessor=preprocessor)


def swin(preprocessor=None):
    backbone = models.SwinTransformerBackbone(
        image_shape=(32, 32, 3), patch_size=4, embed_dim=8, depths=(1, 1), num_heads=(1, 2),
        window_size=2,
    )  # fmt: skip
    return models.SwinTransformerImageClassifier(backbone, 3, preprocessor=preprocessor)


def deit(preprocessor=None):
    backbone = models.DeiTBackbone(
        image_shape=(32, 32, 3), patch_size=8, num_layers=2, num_heads=2, hidden_dim=16,
        intermediate_dim=32,
    )  # fmt: skip
    return models.DeiTImageClassifier(backbone, 3, preprocessor=preprocessor)


def mit(preprocessor=None):
    backbone = models.MiTBackbone(
        image_shape=(64, 64, 3), layerwise_depths=[1, 1], num_layers=2,
        layerwise_num_heads=[1, 2], layerwise_sr_ratios=[2, 1], max_drop_path_rate=0.1,
        layerwise_patch_sizes=[7, 3], layerwise_strides=[4, 2], hidden_dims=[8, 16],
    )  # fmt: skip
    return models.MiTImageClassifier(backbone, 3, preprocessor=preprocessor)


def converted(family, **options):
    """Makes the preprocessor of a family with these options of its image converter."""
    converter = getattr(layers, f"{family}ImageConverter")(**options)
    return getattr(models, f"{family}ImageClassifierPreprocessor")(converter)


@pytest.fixture(scope="module")
def tasks():
    """A task of each family: sizes, scales and shapes of every kind."""
    keras.utils.set_random_seed(3)
    return {
        "vit": vit(converted("ViT", image_size=(32, 48), scale=SCALE, offset=OFFSET)),
        "deit": deit(converted("DeiT", image_size=(32, 32), scale=1 / 127.5, offset=-1.0)),
        "swin": swin(
            converted(
                "SwinTransformer", image_size=(32, 32), scale=1 / 255, crop_to_aspect_ratio=False
            )
        ),
        "mit": mit(converted("MiT", image_size=(64, 64), offset=list(OFFSET))),
        "resnet": resnet(
            converted("ResNet", image_size=(50, 70), scale=SCALE, crop_to_aspect_ratio=False)
        ),
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tasks):
    """Each task as a file, and two as presets."""
    folder = tmp_path_factory.mktemp("hub")
    for name, task in tasks.items():
        task.save(folder / f"{name}.keras")
    tasks["vit"].save(folder / "vit.h5")
    for name in ("vit", "resnet"):
        tasks[name].save_to_preset(folder / name)
    return folder


def load(path, **options):
    return load_classifier(ModelOptions(str(path), **options))


def picture_of(size, seed=1):
    """A smooth picture: resizing it differently makes next to no difference."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(60, 200, (3, 4, 3), np.uint8))
    return small.resize(size, Image.Resampling.BICUBIC)


@pytest.mark.parametrize(
    "name",
    [
        "vit.keras",
        "vit.h5",
        "vit",
        "deit.keras",
        "swin.keras",
        "mit.keras",
        "resnet.keras",
        "resnet",
    ],
)
def test_the_network_receives_what_kerashub_gives_it(folder, tasks, name):
    task = tasks[name.partition(".")[0]]
    classifier = load(folder / name)
    height, width = size = task.preprocessor.image_converter.image_size
    assert classifier.input_size == size
    assert classifier.preprocess.reason == "stored with the model"

    fitting = picture_of((width, height))
    inputs = classifier.input_for().prepare(fitting).inputs
    ours = classifier.preprocess(keras.ops.cast(inputs[np.newaxis], "float32"))
    pixels = np.asarray(fitting, np.float32)[np.newaxis]
    theirs = task.preprocessor(pixels)
    np.testing.assert_array_equal(ours, theirs)
    (scores,) = task(theirs, training=False)
    traced = classifier.network.model(ours, training=False)
    np.testing.assert_allclose(traced[0], scores, atol=1e-5)

    # Of another shape: what is cut off, stretched and kept is the same.
    for size in ((width * 7, height * 4), (width * 3, height * 5)):
        other = picture_of(size)
        inputs = classifier.input_for().prepare(other).inputs
        theirs = task.preprocessor.image_converter.resizing(np.asarray(other)[np.newaxis])[0]
        assert np.abs(inputs.astype(float) - np.asarray(theirs, float)).max() <= 3


def test_a_picture_with_borders_has_them_where_kerashub_puts_them(tmp_path):
    preprocessor = converted(
        "ViT", image_size=(32, 48), crop_to_aspect_ratio=False, pad_to_aspect_ratio=True
    )
    vit(preprocessor).save(tmp_path / "padded.keras")
    classifier = load(tmp_path / "padded.keras")
    assert classifier.preprocess.mode == "none"
    white = Image.new("RGB", (200, 400), (255, 255, 255))
    theirs = preprocessor(np.asarray(white, np.float32)[np.newaxis])[0]
    ours = classifier.input_for().prepare(white).inputs
    np.testing.assert_array_equal((ours == 255).all(2), (np.asarray(theirs) == 255).all(2))


def test_what_the_user_says_goes_before_what_is_stored(folder):
    classifier = load(folder / "resnet.keras", preprocess="0-1", size=(64, 96))
    assert classifier.preprocess.mode == "0-1"
    assert classifier.input_for("squash", (64, 96)).size == (96, 64)
    assert classifier.input_for("crop").fit == "crop"
    assert classifier.any_size
    assert load(folder / "resnet.keras").input_for().size == (70, 50)
    with pytest.raises(UsageError, match="32×48"):
        load(folder / "vit.keras").input_for("squash", (64, 64))


def test_a_task_in_memory_brings_its_preprocessor_too(tasks):
    explainer = find_explainer(
        *(tasks["resnet"], None, None, None, "gradcam"),
        fusion="mean",
        smoothing=False,
        weights=lambda _: ScoreWeights(),
        signed=False,
    )
    assert explainer.classifier.preprocess.scale == SCALE
    assert explainer.classifier.input_for() == InputShape("squash", (70, 50), 4, 3)


def test_the_network_of_a_file_can_be_explained(folder):
    classifier = load(folder / "resnet.keras")
    assert not [layer for layer in classifier.layers() if "preproc" in layer.node.path]
    inputs = np.random.default_rng(0).random((2, 50, 70, 3), np.float32)
    explainer = GradCAM(classifier.network.model)
    assert explainer.explain(inputs, np.eye(4)[:2]).shape == (2, 50, 70, 1)


def test_without_a_preprocessor_it_is_a_guess(tmp_path):
    vit().save(tmp_path / "bare.keras")
    assert "a guess" in load(tmp_path / "bare.keras").preprocess.reason
    vit(keras.layers.Rescaling(1 / 127.5, -1)).save(tmp_path / "own.keras")
    assert "Rescaling" in load(tmp_path / "own.keras").preprocess.reason


def test_imagenet_classes_have_their_names(tmp_path):
    vit(classes=1000).save(tmp_path / "imagenet.keras")
    assert load(tmp_path / "imagenet.keras").labels.name(281).startswith("tabby")


def test_a_backbone_inside_a_model_of_ones_own(tmp_path):
    inputs = keras.Input((32, 32, 3))
    x = keras.layers.GlobalAveragePooling1D()(swin().backbone(inputs))
    keras.Model(inputs, keras.layers.Dense(5)(x)).save(tmp_path / "own.keras")
    assert len(load(tmp_path / "own.keras").labels) == 5


# What can't be explained.


def write_preset(folder, task=None, **files):
    folder.mkdir()
    if task is not None:
        task.save_to_preset(folder)
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def test_folders_that_hold_no_image_classifier(tmp_path, tasks):
    with pytest.raises(UnsupportedModelError, match=r"ViTBackbone .*without a classifier"):
        load(write_preset(tmp_path / "backbone", tasks["vit"].backbone))
    tasks["vit"].backbone.save(tmp_path / "backbone.keras")
    with pytest.raises(UnsupportedModelError, match=r"ViTBackbone .*without a classifier"):
        load(tmp_path / "backbone.keras")
    text = models.BertTextClassifier(
        models.BertBackbone(
            vocabulary_size=10, num_layers=1, num_heads=1, hidden_dim=4, intermediate_dim=4,
            max_sequence_length=8,
        ),
        num_classes=2,
    )  # fmt: skip
    preset = write_preset(tmp_path / "text", text)
    with pytest.raises(UnsupportedModelError, match=r"BertTextClassifier .*what is in pictures"):
        load(preset)
    (preset / "task.json").unlink()
    (preset / "tokenizer.json").write_text("{}")
    with pytest.raises(UnsupportedModelError, match="a text model"):
        load(preset)
    with pytest.raises(ModelFileError, match="not KerasHub's"):
        load(write_preset(tmp_path / "transformers", config={"model_type": "vit"}))
    with pytest.raises(ModelFileError, match=r"neither a SavedModel .*nor a KerasHub preset"):
        load(write_preset(tmp_path / "nothing"))


def test_folders_that_are_not_whole(tmp_path, tasks):
    for number, (name, told) in enumerate(
        [
            ("task.weights.h5", "no weights for its classifier"),
            ("model.weights.h5", "cannot read this preset"),
            ("config.json", "nor a KerasHub preset"),
        ]
    ):
        preset = write_preset(tmp_path / str(number), tasks["vit"])
        (preset / name).unlink()
        with pytest.raises(ModelFileError, match=told):
            load(preset)
    preset = write_preset(tmp_path / "damaged", tasks["vit"])
    (preset / "task.json").write_text('{"module": ')
    with pytest.raises(ModelFileError, match=r"task\.json: damaged"):
        load(preset)


# What a file may not do.


def rewrite(source, target, change):
    """Copies a .keras file with another architecture."""
    with zipfile.ZipFile(source) as archive, zipfile.ZipFile(target, "w") as copy:
        for name in archive.namelist():
            content = archive.read(name)
            if name == "config.json":
                config = json.loads(content)
                change(config)
                content = json.dumps(config).encode()
            copy.writestr(name, content)
    return target


def named(class_name, module, registered_name=None, **config):
    return {
        "class_name": class_name,
        "module": module,
        "registered_name": registered_name,
        "config": config,
    }


HOSTILE = {
    "lambda": named("Lambda", "keras.layers", name="x"),
    "a module": named("Spy", "spy"),
    "a module of KerasHub": named("Spy", "keras_hub.src.utils.spy"),
    "a tokenizer": named(
        "BytePairTokenizer",
        "keras_hub.tokenizers",
        "keras_hub>BytePairTokenizer",
        vocabulary="gs://somewhere/vocabulary.json",
    ),
    "another task": named("BertTextClassifier", "keras_hub.models", "keras_nlp>BertTextClassifier"),
    "a function": {
        "class_name": "function",
        "module": "builtins",
        "config": "upload_preset",
        "registered_name": "function",
    },
    "a function by name": {"anything": "keras_hub>upload_preset"},
    "a disguise": named("ViTBackbone", "keras.layers", "keras_hub>WordPieceTokenizer"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_architectures_are_refused(folder, tmp_path, tasks, monkeypatch, what):
    def insert(config):
        config["config"]["preprocessor"]["config"]["image_converter"] = HOSTILE[what]

    (tmp_path / "spy.py").write_text("from pathlib import Path\nPath('spied').touch()")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    path = rewrite(folder / "vit.keras", tmp_path / "hostile.keras", insert)
    preset = write_preset(tmp_path / "preset", tasks["vit"])
    task = json.loads((preset / "task.json").read_text())
    insert(task)
    (preset / "task.json").write_text(json.dumps(task))
    for model in (path, preset):
        with pytest.raises(GradcamError) as failed:
            load(model)
        assert type(failed.value) in (UnsafeModelError, ModelFileError)
        assert not str(failed.value).count("\n")
        assert "cannot read" not in str(failed.value)
    assert not (tmp_path / "spied").exists()
    assert "spy" not in sys.modules


def test_no_module_is_imported_because_a_file_of_keras_2_names_it(tmp_path, monkeypatch):
    (tmp_path / "spy.py").write_text("class Spy: ...")
    monkeypatch.syspath_prepend(tmp_path)
    path = model_file(tmp_path / "hostile.keras", named("Spy", "spy", "Spy"), "2.15.0")
    with pytest.raises(UnsafeModelError, match=r"its own code \(Spy\)"):
        load(path)
    assert "spy" not in sys.modules


def test_a_folder_is_never_looked_for_elsewhere(folder, tmp_path, monkeypatch):
    def connect(*_):
        raise AssertionError("something was to be fetched")

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket, "getaddrinfo", connect)
    monkeypatch.chdir(tmp_path)
    # The name of a preset that KerasHub would download.
    (tmp_path / "resnet_18_imagenet").symlink_to(folder / "resnet")
    assert len(load("resnet_18_imagenet").labels) == 4


# Classes that aren't there.


def model_file(path, entry, keras_version="3.15.0"):
    """Writes a file whose only layer is a class that no package here has."""
    sequential = named("Sequential", "keras", name="net", layers=[entry])
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(sequential))
        archive.writestr("metadata.json", json.dumps({"keras_version": keras_version}))
    return path


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        (named("Tomorrow", "keras_hub.src.models.x", "keras_hub>Tomorrow"), "--upgrade keras-hub"),
        (named("Block", "keras_cv.src.layers.x", "keras_cv>Block"), "pip install keras-cv"),
        (
            named("KerasLayer", "tensorflow_hub.keras_layer", "KerasLayer", handle="https://x/y"),
            "KerasLayer of TensorFlow Hub.*pip install tensorflow-hub",
        ),
        (
            {"class_name": "KerasLayer", "config": {"handle": "https://x/y"}},
            "KerasLayer of TensorFlow Hub.*pip install tensorflow-hub",
        ),
        (
            {"class_name": "QuantizeWrapperV2", "config": {}},
            "pip install tensorflow-model-optimization",
        ),
        (
            named(
                "PruneLowMagnitude",
                "tensorflow_model_optimization.python.core.sparsity.keras.pruning_wrapper",
                "PruneLowMagnitude",
            ),
            "pip install tensorflow-model-optimization",
        ),
    ],
    ids=["KerasHub", "KerasCV", "TF Hub", "TF Hub in HDF5", "quantized", "pruned"],
)
def test_missing_classes_name_their_package(tmp_path, entry, told):
    path = model_file(tmp_path / "model.keras", entry, "2.15.0")
    with pytest.raises(GradcamError, match=told) as failed:
        load(path)
    assert "--custom-objects" not in str(failed.value)
    if "keras_hub" not in str(entry):
        assert "--unsafe" in str(failed.value)
        with pytest.raises(ModelFileError, match=f"which is not installed: {told.split('*')[-1]}"):
            load(path, unsafe=True)


# The command.


def test_info_tells_what_is_stored(folder):
    done = CliRunner().invoke(main, ["info", "--model", str(folder / "vit")])
    assert done.exit_code == 0, done.output
    told = " ".join(done.output.split())
    assert "32×48 px (height×width), RGB" in told
    assert "times 0.0171, 0.0175, 0.0174, plus -2.118, -2.036, -1.804 (stored with" in told


def test_a_preset_is_explained(run_gradcam, folder, tmp_path, save_picture):
    save_picture(tmp_path / "photos" / "a.png", size=(140, 100))
    done = run_gradcam("photos", "--model", folder / "resnet", "--json", "--out", "maps")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["model"] == "resnet"
    assert Image.open(tmp_path / "maps" / "a_gradcam_resnet.png").size == (140, 100)


def test_without_kerashub_its_extra_is_named(run_gradcam, folder, tmp_path):
    (tmp_path / "blocked" / "keras_hub.py").parent.mkdir()
    (tmp_path / "blocked" / "keras_hub.py").write_text(
        "raise ModuleNotFoundError('none', name='keras_hub')"
    )
    root = Path(__file__).resolve().parent.parent
    paths = {"PYTHONPATH": f"{tmp_path / 'blocked'}{os.pathsep}{root}"}
    done = run_gradcam("info", "--model", folder / "vit.keras", **paths)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "pip install 'gradcam-cli[hub]'" in line


@pytest.mark.parametrize(
    ("build", "kind", "converter", "layer"),
    [
        (deeplab, "DeepLabV3", layers.DeepLabV3ImageConverter, "activation_projection"),
        (segformer, "SegFormer", layers.SegFormerImageConverter, "linear"),
    ],
)
def test_segmenters(tmp_path, build, kind, converter, layer):
    preprocessor = getattr(models, f"{kind}ImageSegmenterPreprocessor")
    task = build(preprocessor(converter(image_size=(64, 64), scale=1 / 255)))
    task.save_to_preset(tmp_path / "preset")
    classifier = load_classifier(ModelOptions(str(tmp_path / "preset")))
    assert classifier.task == "segmentation"
    assert classifier.preprocess.description.endswith("(stored with the model)")
    explainer = Explainer(classifier)
    # The last layer with 8 × 8 cells, not one of those that are upsampled to the picture.
    assert layer in explainer.layer
    assert explainer.facts.cells.startswith("8×8 cells, 8 px")
    inputs = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), np.uint8)
    explanation = explainer.explain(inputs, np.array([[-1]]))
    scores = task(task.preprocessor(inputs), training=False)
    predicted = np.asarray(scores).argmax(-1)
    shares = np.bincount(predicted.ravel(), minlength=4) / predicted.size
    np.testing.assert_allclose(explanation.probabilities[0], shares, atol=0.01)
    assert explanation.regions[0, 0].shape == predicted.shape[1:]
