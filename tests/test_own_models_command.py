"""The command on users' own models: truth, wrong predictions, layers, info."""

import json

import keras
import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

COLORS = {"blue": (30, 30, 220), "green": (20, 200, 30), "red": (230, 20, 20)}


@pytest.fixture(scope="module")
def color_model(tmp_path_factory):
    """A network of 32 px that knows colours: its weights are set by hand, so it is known.

    Its feature maps are the channels of the picture; the score of a class is how far its
    channel stands above the others.
    """
    inputs = keras.Input((32, 32, 3))
    x = keras.layers.Conv2D(3, 1, activation="relu", use_bias=False, name="channels")(inputs)
    x = keras.layers.MaxPooling2D(4, name="pool")(x)
    x = keras.layers.Conv2D(3, 1, activation="relu", use_bias=False, name="colours")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    outputs = keras.layers.Dense(3, activation="softmax", use_bias=False)(x)
    model = keras.Model(inputs, outputs)
    # Blue, green, red, in the order of their names.
    model.get_layer("channels").set_weights([np.eye(3)[::-1].reshape(1, 1, 3, 3)])
    contrast = 1.5 * np.eye(3) - 0.5
    model.get_layer("colours").set_weights([contrast.reshape(1, 1, 3, 3)])
    model.layers[-1].set_weights([8 * np.eye(3)])
    path = tmp_path_factory.mktemp("model") / "colours.keras"
    model.save(path)
    return path


@pytest.fixture
def photos(tmp_path):
    """Two pictures in the folder of their colour, and a green one among the red."""
    for number, (folder, color) in enumerate(
        [("blue", "blue"), ("green", "green"), ("red", "red"), ("red", "green")]
    ):
        (tmp_path / "photos" / folder).mkdir(parents=True, exist_ok=True)
        picture = Image.new("RGB", (80, 60), (90, 90, 90))
        picture.paste(COLORS[color], (40, 0, 80, 60))
        picture.save(tmp_path / "photos" / folder / f"{number}.png")
    return tmp_path / "photos"


def test_truth_by_folders_and_only_wrong(run_gradcam, invoke, color_model, photos, tmp_path):
    done = run_gradcam(
        "photos", "-m", color_model, "--truth", "folders", "--only", "wrong", "--json", "-o", "out"
    )
    assert done.returncode == 0, done.stderr
    (record,) = map(json.loads, done.stdout.splitlines())
    assert record["image"].endswith("red/3.png")
    assert record["correct"] is False
    assert record["truth"]["name"] == "red"
    assert [target["name"] for target in record["targets"]] == ["green", "red"]
    for target in record["targets"]:
        assert (tmp_path / target["output"]).exists()
    assert len(list((tmp_path / "out").rglob("*.png"))) == 2
    assert "1 of 4 predictions are wrong" in done.stderr

    done = invoke("photos", "-m", color_model, "--truth", "folders", "-o", "all")
    assert done.stdout.count("✓") == 3
    assert done.stdout.count("✗ true class: red") == 1
    assert len(list((tmp_path / "all").rglob("*_gradcam_*.png"))) == 4


def test_truth_by_a_table(invoke, color_model, photos, tmp_path):
    (tmp_path / "labels.txt").write_text("blue\ngreen\nred\n")
    table = tmp_path / "truth.csv"
    table.write_text("file,class\nphotos/blue/0.png,blue\n1.png,red\nred/3.png,gre\n")
    done = invoke("photos", "-m", color_model, "--labels", "labels.txt", "--truth", table, "--json")
    assert done.exit_code == 1
    records = {record["image"][-5:]: record for record in map(json.loads, done.stdout.splitlines())}
    assert records["0.png"]["correct"] is True
    assert records["1.png"]["correct"] is False
    assert "not in the table of --truth" in records["2.png"]["error"]
    assert records["3.png"]["truth"]["name"] == "green"


def test_unknown_true_classes_end_the_run_before_it_begins(
    invoke, color_model, photos, samples, tmp_path
):
    table = tmp_path / "truth.csv"
    table.write_text("0.png,blue\n1.png,purple\n")
    (tmp_path / "labels.txt").write_text("blue\ngreen\nred\n")
    done = invoke("photos", "-m", color_model, "--labels", "labels.txt", "--truth", table)
    assert done.exit_code == 2
    assert done.stderr == f"Error: --truth {table}: line 2: no class is called 'purple'\n"
    assert done.stdout == ""
    # The classes of the built-in model are known before TensorFlow is.
    done = invoke(samples, "--truth", "folders", "--out", "maps")
    assert done.exit_code == 2
    (line,) = done.stderr.splitlines()
    assert "no class is called 'sample_images'" in line
    assert not (tmp_path / "maps").exists()


def test_only_wrong_needs_a_truth(invoke, photos):
    done = invoke("photos", "--only", "wrong")
    assert done.exit_code == 2
    assert done.stderr.splitlines() == [
        "Error: --only wrong needs --truth to know the true classes"
    ]


def test_a_small_network_gives_a_sharp_overlay(invoke, color_model, samples, tmp_path):
    done = invoke(samples / "macaw.jpg", "-m", color_model, "-o", ".", "--heatmap", "npy")
    assert done.exit_code == 0, done.output
    assert "preprocessing 0-1 (a guess: the model gives no hint" in done.stdout
    original = Image.open(samples / "macaw.jpg").convert("RGB")
    overlay = Image.open(tmp_path / f"macaw_gradcam_{color_model.stem}.png")
    assert overlay.size == original.size
    heat = np.load(tmp_path / f"macaw_heatmap_{color_model.stem}.npy")
    levels = (heat * 255 + 0.5).astype(int)
    jet = mpl.colormaps["jet"](np.arange(256), bytes=True)[..., :3][levels]
    expected = (np.asarray(original, float) + jet) / 2
    assert np.abs(np.asarray(overlay, float) - expected).max() <= 1


def test_layers_and_info_tell_what_a_file_is(invoke, tmp_path):
    inner = keras.Input((32, 32, 3))
    x = keras.layers.Conv2D(4, 3, activation="relu", name="conv")(inner)
    backbone = keras.Model(inner, x, name="backbone")
    inputs = keras.Input((32, 32, 3))
    x = keras.layers.Rescaling(1 / 255.0, name="scale")(inputs)
    x = keras.layers.GlobalAveragePooling2D()(backbone(x))
    keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(x)).save(tmp_path / "my.keras")
    done = invoke("layers", "--model", "my.keras")
    assert done.exit_code == 0, done.output
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["backbone/conv", "Conv2D", "30×30×4", "112", "◀", "default"] in lines
    assert ["1", "scale", "Rescaling", "32×32×3"] in lines
    done = invoke("info", "--model", "my.keras")
    assert done.exit_code == 0, done.output
    for told in (
        "32×32 px (height×width), RGB",
        "none (the model rescales its input itself)",
        "2 classes: class 0, class 1",
        "the input of the final softmax",
        "backbone/conv, 30×30×4",
        "122",
    ):
        assert told in done.stdout


def test_an_error_of_tensorflow_is_one_short_line(invoke, samples, tmp_path):
    inputs = keras.Input((32, 32, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(2, 3)(inputs))
    # Pixel values are no indices of ten vectors.
    looked_up = keras.layers.Embedding(10, 2)(keras.layers.Flatten()(inputs))
    x = keras.layers.Concatenate()([x, keras.layers.GlobalAveragePooling1D()(looked_up)])
    keras.Model(inputs, keras.layers.Dense(3, "softmax")(x)).save(tmp_path / "lookup.keras")
    done = invoke(samples / "bee.jpg", "-m", tmp_path / "lookup.keras", "--preprocess", "none")
    assert done.exit_code == 1
    (line,) = (one for one in done.stderr.splitlines() if one.startswith("Error: "))
    assert "is not in [0, 10) (at the node " in line
    assert len(line) < 200
