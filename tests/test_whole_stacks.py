import json

import keras
import numpy as np
import pytest
from bright_clips import (
    BRIGHT,
    CELL,
    SIDE,
    SIZE,
    SQUARE,
    STEPS,
    clip_network,
    frames_of,
    hottest,
    save_clip,
    volume_network,
)
from click.testing import CliRunner
from keras import layers
from PIL import Image

from gradcam_cli import GradCAM
from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.cli import main
from gradcam_cli.models.inspection import inspect_network
from gradcam_cli.networks.keras_network import KerasNetwork
from gradcam_cli.run.stacks.whole import spread_evenly

# The grey values are the map itself.
AS_MAP = ("--alpha", "1", "--colormap", "gray", "--class", "1", "--preprocess", "0-1")
# 8 of 20 frames, evenly: the bright one is the fifth of these.
SEEN = [0, 3, 5, 8, 11, 14, 16, 19]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def invoke(*args):
    return CliRunner().invoke(main, [*map(str, args)])


def explained(*args):
    done = invoke(*args, *AS_MAP, "--out", "out", "--json", "r.jsonl")
    with open("r.jsonl") as file:
        return done, [json.loads(line) for line in file]


def is_in_square(middle, square=SQUARE, size=SIZE):
    """Returns whether a point lies in the square, or less than a cell from it."""
    left, top, right, bottom = square
    cell = size[0] / SIDE * CELL, size[1] / SIDE * CELL
    x, y = middle
    across = left - cell[0] / 2 <= x <= right + cell[0] / 2
    return across and top - cell[1] / 2 <= y <= bottom + cell[1] / 2


def test_the_command_finds_the_bright_square_in_time_and_place(tmp_path, invoke):
    volume_network().save(tmp_path / "clips.keras")
    save_clip(tmp_path / "clip.gif")
    Image.fromarray(frames_of()[0]).save(tmp_path / "one.png")
    np.save(tmp_path / "flat.npy", np.zeros((12, 40, 50), np.uint8))
    done = invoke(
        *("clip.gif", "one.png", "flat.npy", "-m", "clips.keras", "-o", "out"),
        *(*AS_MAP, "--json", "r.jsonl"),
    )
    records = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()]
    clip, picture, flat = records
    assert [frame["frame"] for frame in clip["frames"]] == SEEN
    assert clip["predictions"][0]["index"] == 1
    number, middle, count = hottest(tmp_path / clip["targets"][0]["output"])
    assert (SEEN[number], count) == (BRIGHT, STEPS)
    assert is_in_square(middle)
    assert "is a single picture, but the model takes 8 frames or slices" in picture["error"]
    assert "has the shape (12, 40, 50, 1)" in flat["error"]
    assert "3 channels" in flat["error"]
    assert done.exit_code == 1, done.output


@pytest.mark.parametrize("unroll", [False, True])
def test_a_cnn_with_lstm_gets_a_map_a_time_step(folder, unroll):
    clip_network(unroll=unroll).save("lstm.keras")
    save_clip("clip.webp")
    done, (record,) = explained("clip.webp", "-m", "lstm.keras")
    assert "layer last" in done.stdout, done.output
    number, middle, _ = hottest(record["targets"][0]["output"])
    assert SEEN[number] == BRIGHT
    assert is_in_square(middle)
    # The scale is that of the whole clip.
    heat = [frame["heat"][0] for frame in record["frames"]]
    assert heat[number] == 1
    assert max(heat[:number] + heat[number + 1 :]) < 0.5
    assert "8 frames explained; classes of all together" in done.stdout


def test_a_network_of_any_length_takes_all_chosen_frames(folder):
    clip_network(steps=None).save("any.keras")
    save_clip("clip.gif")
    _, (record,) = explained("clip.gif", "-m", "any.keras", "--frames", "5:16", "--every", "2")
    numbers = [frame["frame"] for frame in record["frames"]]
    assert numbers == [5, 7, 9, 11, 13, 15]
    number, middle, _ = hottest(record["targets"][0]["output"])
    assert numbers[number] == BRIGHT
    assert is_in_square(middle)


def test_frames_of_a_short_clip_are_repeated_and_that_is_said(folder):
    volume_network().save("clips.keras")
    save_clip("short.gif", frames_of(3, bright=(2,)))
    done, (record,) = explained("short.gif", "-m", "clips.keras")
    assert "takes 8 frames and gets 3; some are repeated" in " ".join(done.stderr.split())
    assert [frame["frame"] for frame in record["frames"]] == [0, 1, 2]
    number, middle, _ = hottest(record["targets"][0]["output"])
    assert number == 2
    assert is_in_square(middle)


def test_a_volume_is_resampled_and_its_map_lies_on_its_slices(folder):
    volume_network(channels=1).save("volumes.keras")
    # 20 slices of 64×80 become 8 of 32×32. Three bright slices don't vanish between two.
    volume = frames_of(20, bright=(10, 11, 12))[..., 0]
    np.save("volume.npy", volume)
    _, (record,) = explained("volume.npy", "-m", "volumes.keras")
    assert len(record["frames"]) == 20
    number, middle, count = hottest(record["targets"][0]["output"])
    assert count == 20
    assert number in (10, 11, 12)
    assert is_in_square(middle)


def test_values_of_a_volume_that_may_mean_anything_are_refused(folder):
    volume_network(channels=1).save("volumes.keras")
    np.save("small.npy", np.full((8, 32, 32), 0.5, np.float32))
    np.save("large.npy", np.full((8, 32, 32), -1000, np.int16))
    done = invoke("small.npy", "large.npy", "-m", "volumes.keras", "-o", "out")
    said = " ".join(done.stderr.split())
    assert "values from 0.5 to 0.5, and pictures go up to 255; multiply them by 255" in said
    assert "values from -1000 to -1000, not from 0 to 255" in said
    done = invoke("small.npy", "-m", "volumes.keras", "-o", "out", "--preprocess", "none")
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    "args",
    [
        ("audit", ".", "-o", "audit"),
        ("evaluate", "."),
        ("best-layer", "."),
        ("show", "clip.gif"),
        ("clip.gif", "--first-frame"),
    ],
    ids=lambda args: args[0],
)
def test_what_is_about_single_pictures_refuses_stacks_in_one_line(folder, args):
    volume_network().save("clips.keras")
    save_clip("clip.gif")
    done = invoke(*args, "-m", "clips.keras")
    assert done.exit_code == 2
    said = " ".join(done.stderr.split())
    assert "clips.keras takes 8 frames or slices" in said
    assert "single pictures" in said


def test_too_many_frames_at_once_are_refused_in_one_line(folder):
    side = 1024
    clip_network(steps=None, side=side).save("any.keras")
    # A frame more than fits.
    number = 64_000_000 // (side * side * 3) + 1
    save_clip("long.gif", frames_of(number, bright=(), size=(8, 8)))
    done = invoke("long.gif", "-m", "any.keras", "-o", "out")
    said = " ".join(done.stderr.split())
    assert f"at most {number - 1}; choose fewer with --frames or --every" in said


def test_info_and_layers_describe_stacks(folder):
    clip_network(steps=None).save("any.keras")
    record = json.loads(invoke("info", "any.keras", "--json").stdout)
    assert record["length"] is None
    assert record["input_size"] == [SIDE, SIDE]
    assert record["default_layer"]["name"] == "last"
    assert "any number of frames or slices of 32×32 px" in invoke("info", "any.keras").stdout
    listed = json.loads(invoke("layers", "any.keras", "--json").stdout)["layers"]
    usable = {layer["name"] for layer in listed if layer["usable"]}
    assert {"bright", "pool", "last"} <= usable
    assert "memory" not in usable


def test_the_frames_of_a_clip_are_spread_evenly():
    assert spread_evenly(20, 8) == SEEN
    assert spread_evenly(8, 8) == list(range(8))
    assert spread_evenly(2, 5) == [0, 0, 1, 1, 1] or spread_evenly(2, 5) == [0, 0, 0, 1, 1]
    assert spread_evenly(9, 1) == [4]


# The builder of each network, and the layers that have time (or depth), rows and columns.


def stacked_3d(x):
    x = layers.Conv3D(3, 3, padding="same", activation="relu", name="a")(x)
    x = layers.MaxPooling3D((1, 2, 2), name="pool")(x)
    x = layers.Conv3D(4, 3, activation="relu", name="b")(x)
    return layers.GlobalAveragePooling3D()(x)


def factored(x):
    x = layers.Conv3D(3, (1, 3, 3), strides=(1, 2, 2), padding="same", name="a")(x)
    y = layers.Conv3D(3, (3, 1, 1), padding="same", activation="relu", name="b")(x)
    return layers.GlobalAveragePooling3D()(layers.Add(name="sum")([x, y]))


def nested(x):
    inner = keras.Sequential(
        [
            keras.Input((16, 24, 3)),
            layers.Conv2D(3, 3, strides=2, padding="same", name="conv"),
            layers.BatchNormalization(),
            layers.ReLU(),
        ],
        name="backbone",
    )
    x = layers.TimeDistributed(inner, name="each")(x)
    x = layers.TimeDistributed(layers.Flatten())(x)
    x = layers.Bidirectional(layers.LSTM(3, return_sequences=True))(x)
    return layers.GRU(3)(x)


def recurrent(x):
    x = layers.ConvLSTM2D(3, 3, strides=2, return_sequences=True, name="b")(x)
    x = layers.ConvLSTM2D(2, 3, name="rows_and_columns")(x)
    return layers.GlobalAveragePooling2D()(x)


def both_ways(x):
    inner = layers.ConvLSTM2D(2, 3, padding="same", return_sequences=True, name="inner")
    x = layers.Bidirectional(inner, name="a")(x)
    x = layers.TimeDistributed(layers.MaxPooling2D(2), name="pool")(x)
    return layers.GlobalAveragePooling3D()(x)


CELLS = {
    stacked_3d: ("b", {"a": (6, 16, 24), "b": (4, 6, 10)}, (1, 2, 2)),
    factored: ("sum", {"a": (6, 8, 12), "b": (6, 8, 12), "sum": (6, 8, 12)}, (1, 2, 2)),
    nested: ("each", {"each": (6, 8, 12), "each/backbone/conv": (6, 8, 12)}, (1, 2, 2)),
    recurrent: ("b", {"b": (6, 7, 11)}, (1, 2, 2)),
    both_ways: ("a", {"a": (6, 16, 24)}, (1, 1, 1)),
}


@pytest.mark.parametrize("build", CELLS, ids=lambda build: build.__name__)
def test_cells_are_found_in_time_rows_and_columns(build):
    keras.utils.set_random_seed(3)
    inputs = keras.Input((6, 16, 24, 3))
    model = keras.Model(inputs, layers.Dense(3, activation="softmax")(build(inputs)))
    classifier = inspect_network(build.__name__, KerasNetwork(model))
    default, cells, pitch = CELLS[build]
    found = {layer.node.path: layer for layer in classifier.layers()}
    assert [path for path, layer in found.items() if layer.default] == [default]
    assert {path: found[path].grid.size for path in cells} == cells
    assert found[default].grid.pitch == pitch
    assert not any("rows_and_columns" in path and layer.usable for path, layer in found.items())
    # What the tool calls is the same network: scores and maps of each input are its own.
    x = np.random.default_rng(0).uniform(0, 255, (2, 6, 16, 24, 3)).astype(np.float32)
    explainer = Explainer(classifier)
    explanation = explainer.explain(x, np.array([[1], [2]]))
    np.testing.assert_allclose(explanation.probabilities, model(x / 255), atol=1e-4)
    assert explanation.maps.shape == (2, 1, *found[default].grid.size)
    alone = explainer.explain(x[1:], np.array([[2]]))
    np.testing.assert_allclose(alone.maps[0], explanation.maps[1], atol=1e-3)


def test_a_map_of_a_volume_is_that_of_the_formula():
    rng = np.random.default_rng(1)
    keras.utils.set_random_seed(1)
    inputs = keras.Input((5, 8, 12, 2))
    maps = layers.Conv3D(3, 3, padding="same", activation="relu", name="maps")(inputs)
    x = layers.GlobalAveragePooling3D()(maps)
    model = keras.Model(inputs, layers.Dense(2, activation="softmax", name="scores")(x))
    x = rng.uniform(0, 255, (1, 5, 8, 12, 2)).astype(np.float32)
    classifier = inspect_network("formula", KerasNetwork(model))
    found = Explainer(classifier).explain(x, np.array([[0]])).maps[0, 0]
    feature_maps = keras.Model(inputs, maps)(x).numpy()[0]
    # After the mean, the gradient is the same at each cell: the weight of the class.
    expected = (feature_maps @ model.get_layer("scores").get_weights()[0][:, 0]).clip(0)
    np.testing.assert_allclose(found, expected / expected.max(), atol=1e-4)


def test_python_explains_a_cnn_with_lstm():
    clip = frames_of()[SEEN]
    small = np.stack([np.asarray(Image.fromarray(one).resize((SIDE, SIDE))) for one in clip])
    maps = GradCAM(clip_network())(small[None] / np.float32(255), np.float32([[0, 1]])).numpy()
    assert maps.shape == (1, STEPS, SIDE, SIDE, 1)
    step, row, column, _ = np.unravel_index(maps[0].argmax(), maps[0].shape)
    assert SEEN[step] == BRIGHT
    assert is_in_square(((column + 0.5) / SIDE * SIZE[0], (row + 0.5) / SIDE * SIZE[1]))


@pytest.mark.parametrize("method", ["gradcam++", "layercam", "eigencam", "scorecam", "fullgrad"])
def test_other_methods_find_the_square_too(method):
    clip = frames_of()[SEEN]
    small = np.stack([np.asarray(Image.fromarray(one).resize((SIDE, SIDE))) for one in clip])
    classifier = inspect_network("clips", KerasNetwork(volume_network()))
    found = Explainer(classifier, method=method).explain(small[None], np.array([[1]]))
    of_steps = found.maps[0, 0].sum(axis=(1, 2))
    assert SEEN[int(of_steps.argmax())] == BRIGHT
