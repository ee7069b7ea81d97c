"""The commands that list things, as JSON."""

import json
import re
from pathlib import Path

import keras
import pytest
from click.testing import CliRunner

from gradcam_cli.cli import main

ROOT = Path(__file__).resolve().parent.parent


def listed(*args):
    """The one document that a command prints, and the text that it prints without --json."""
    run = CliRunner().invoke
    as_json, plain = run(main, [*args, "--json"]), run(main, args)
    assert as_json.exit_code == plain.exit_code == 0, as_json.output
    assert as_json.stderr == ""
    return json.loads(as_json.stdout), plain.stdout


@pytest.fixture(scope="module")
def nested(tmp_path_factory):
    """A model in a file, with layers in a model of its own."""
    inner = keras.Input((32, 32, 3))
    backbone = keras.Model(
        inner, keras.layers.Conv2D(4, 3, activation="relu", name="conv")(inner), name="backbone"
    )
    inputs = keras.Input((32, 32, 3))
    x = keras.layers.Rescaling(1 / 255, name="scale")(inputs)
    x = keras.layers.GlobalAveragePooling2D(name="gap")(backbone(x))
    path = tmp_path_factory.mktemp("model") / "my.keras"
    keras.Model(inputs, keras.layers.Dense(2, activation="softmax", name="scores")(x)).save(path)
    return str(path)


@pytest.mark.parametrize(
    ("command", "default"), [("models", "efficientnet-lite0"), ("methods", "gradcam")]
)
def test_models_and_methods(command, default):
    record, plain = listed(command)
    assert list(record) == [command]
    names = [entry["name"] for entry in record[command]]
    assert names == [line.split()[0] for line in plain.splitlines()[1:]]
    assert [entry["name"] for entry in record[command] if entry["default"]] == [default]


def test_figures_of_a_model():
    (vgg,) = (model for model in listed("models")[0]["models"] if model["name"] == "vgg19")
    assert vgg == {
        "name": "vgg19",
        "input_size": [224, 224],
        "any_size": False,
        "parameters": 143_667_240,
        "top1_accuracy": 0.713,
        "weights": "downloaded once",
        "default": False,
    }


def test_layers(nested):
    record, _ = listed("layers", nested)
    assert record["model"] == "my.keras"
    layers = {layer["name"]: layer for layer in record["layers"]}
    assert layers["backbone/conv"] == {
        "index": None,
        "name": "backbone/conv",
        "output_shape": [30, 30, 4],
        "cells": [30, 30],
        "feature_maps": 4,
        "type": "Conv2D",
        "parameters": 112,
        "usable": True,
        "default": True,
    }
    scores = layers["scores"]
    assert (scores["usable"], scores["cells"], scores["feature_maps"]) == (False, None, None)


def test_info(nested, tmp_path):
    (tmp_path / "labels.txt").write_text("cat\nfox \x1b[1m\n")
    record, _ = listed("info", nested, "--labels", str(tmp_path / "labels.txt"))
    assert record["classes"] == [{"index": 0, "name": "cat"}, {"index": 1, "name": "fox \x1b[1m"}]
    assert record["input_size"] == [32, 32]
    assert record["channels"] == 3
    assert record["any_size"] is False
    assert record["default_layer"]["name"] == "backbone/conv"
    assert record["parameters"] == 122
    builtin, _ = listed("info")
    assert builtin["classes"][281] == {"index": 281, "name": "tabby", "wnid": "n02123045"}


def test_metrics():
    record, plain = listed("metrics")
    names = [entry["name"] for entry in record["metrics"]]
    assert names == [line.split()[0] for line in plain.splitlines()[1:]]
    needing = [entry["name"] for entry in record["metrics"] if entry["needs_annotations"]]
    assert "pointing_game" in needing
    assert plain.count("(needs --annotations)") == len(needing)
    accepted = CliRunner().invoke(main, ["evaluate", "--help"]).stdout
    assert "gradcam metrics" in accepted


@pytest.mark.parametrize("command", ["models", "methods", "metrics", "layers", "info"])
def test_help_and_documentation_name_the_keys(command, nested):
    record, _ = listed(command, *([nested] if command in ("layers", "info") else []))
    keys = set(record)
    for value in record.values():
        if isinstance(value, list) and isinstance(value[0], dict):
            keys |= set(value[0])
    shown = CliRunner().invoke(main, [command, "--help"]).stdout
    (row,) = re.findall(rf"\| `gradcam {command}.* \|\n", (ROOT / "docs/outputs.md").read_text())
    assert keys <= set(re.findall(r"\w+", shown))
    assert keys <= set(re.findall(r"`(\w+)`", row))
