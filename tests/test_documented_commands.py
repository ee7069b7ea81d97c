"""What the README shows can be typed as it stands, one thing after the other.

Its commands and its Python run in one folder that has the files they name. The commands of the
other pages are too many to run: their options are looked up.
"""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import nibabel
import numpy as np
import pytest
from click.testing import CliRunner
from detectors import BLUE, RED, draw_squares, square_detector
from moving_squares import save_squares
from onnx_files import save_onnx
from PIL import Image

from gradcam_cli.cli import main

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
# Commands of the README that this test doesn't run, and why.
NOT_RUN = {
    "pip install .": "installs",
    'pip install -e ".[test]"': "installs",
    "python -m pytest": "is this",
    "python3 -m venv .venv": "installs",
    ". .venv/bin/activate": "is the shell's",
    "gradcam image.jpg --layer block5_conv4": "downloads weights",
}
# What the reader has.
READERS_OWN = """
import numpy as np
rng = np.random.default_rng(0)
x, y = rng.random((8, 32, 32, 3), np.float32), rng.integers(0, 3, 8)
x_val, y_val = x[:4], y[:4]
"""


def indented_lines(page):
    """The lines of a page's indented blocks, which hold shell commands."""
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    return [line.strip() for line in text.splitlines() if line.startswith("    ")]


def commands_of(page):
    """Each command by itself, without comments."""
    for line in indented_lines(page):
        command = line.partition("  #")[0].strip()
        yield from (part.strip() for part in command.split(" && "))


def python_of(page):
    return re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)


def write_other_models(folder):
    """Writes the models with other outputs and inputs, and a picture for them."""
    Image.fromarray(np.eye(32, dtype=np.uint8) * 255).save(folder / "scan.png")
    picture = keras.Input((32, 32, 3), name="picture")
    maps = keras.layers.Conv2D(4, 3, padding="same", activation="relu")(picture)
    means = keras.layers.GlobalAveragePooling2D()(maps)
    age = keras.Model(picture, keras.layers.Dense(1)(means))
    age.compile(loss="mse")
    coarse = keras.layers.Conv2D(4, 3, padding="same", activation="relu")(
        keras.layers.MaxPooling2D()(maps)
    )
    fine = keras.layers.Concatenate()([maps, keras.layers.UpSampling2D()(coarse)])
    unet = keras.Model(picture, keras.layers.Conv2D(2, 1, activation="softmax")(fine))
    years = keras.Input((1,), name="age")
    both = keras.layers.Concatenate()([means, years])
    several = keras.Model([picture, years], keras.layers.Dense(2, activation="softmax")(both))
    models = {"age": age, "unet": unet, "two_inputs": several}
    for name, model in models.items():
        model.save(folder / f"{name}.keras")
        yield folder / f"{name}.keras"


def write_other_files(folder):
    """Writes files of several pictures or of bands, and models that take them or find objects."""
    save_squares(folder / "clip.mp4", number=6)
    ball = np.zeros((24, 20, 12), np.float32)
    ball[8:14, 6:12, 4:8] = 60
    nibabel.save(nibabel.Nifti1Image(ball, np.diag([4, 4, 6, 1])), folder / "brain.nii.gz")
    np.save(folder / "field.npy", np.random.default_rng(0).random((40, 60, 5), np.float32))
    draw_squares([(20, 30, 20, RED), (64, 10, 20, BLUE)]).save(folder / "street.jpg", quality=95)
    square_detector().save(folder / "detector.keras")
    layers = [
        keras.layers.Conv2D(4, 3, padding="same", activation="relu"),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(3),
    ]
    keras.Sequential([keras.Input((32, 32, 5)), *layers]).save(folder / "bands.keras")
    pictures = keras.Input((32, 32, 3))
    outputs = pictures
    for layer in (keras.layers.Conv2D(4, 3, padding="same", activation="relu"), *layers[1:2]):
        outputs = layer(outputs)
    save_onnx(folder / "classifier.onnx", keras.Model(pictures, keras.layers.Dense(3)(outputs)))


README_COMMANDS = list(commands_of(README))
RUN = [command for command in README_COMMANDS if command not in NOT_RUN]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, samples):
    """What the examples name, in one folder that they share."""
    folder = tmp_path_factory.mktemp("reader")
    places = {
        "bee": ["sample_images/bee.jpg", "a.jpg", "photos/bee.jpg"],
        "cat": ["image.jpg", "cat.jpg", "b.png"],
        "dog": ["sample_images/dog.jpg", "dog.jpg"],
    }
    for sample, paths in places.items():
        with Image.open(samples / f"{sample}.jpg") as picture:
            picture.thumbnail((400, 400))
            for path in paths:
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                picture.save(folder / path)
    keras.utils.set_random_seed(3)
    layers = [
        keras.Input((32, 32, 3)),
        keras.layers.Conv2D(4, 3, padding="same", activation="relu"),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(3, activation="softmax"),
    ]
    for name in ("my_model", "new_model"):
        keras.Sequential([*layers[:-1], keras.layers.Dense(3, activation="softmax")]).save(
            folder / f"{name}.keras"
        )
    for path in write_other_models(folder):
        assert path.is_file()
    write_other_files(folder)
    (folder / "names.txt").write_text("ant\nbee\ncat\n")
    return folder


def test_commands_that_are_not_run_are_in_the_readme():
    assert set(NOT_RUN) <= set(README_COMMANDS)
    assert len(RUN) > 15


def test_the_first_command_runs_in_a_process_of_its_own(folder, command_environment):
    first = RUN[0]
    assert first == "gradcam sample_images --out heatmaps"
    done = subprocess.run(
        [sys.executable, "-m", "gradcam_cli", *shlex.split(first)[1:]],
        cwd=folder, env=command_environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (folder / "heatmaps/dog_gradcam.png").exists()


@pytest.mark.parametrize("command", RUN[1:])
def test_the_readmes_commands(folder, monkeypatch, command):
    monkeypatch.chdir(folder)
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    program, *arguments = shlex.split(command)
    assert program == "gradcam"
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    if "--out" in arguments:
        assert list(Path(arguments[arguments.index("--out") + 1]).rglob("*_gradcam*"))


def test_the_readmes_python(folder, monkeypatch):
    monkeypatch.chdir(folder)
    names = {}
    for block in python_of(README):
        exec(block, names)
    assert (folder / "cat_gradcam.png").exists()


def test_the_python_pages_run_one_after_the_other(folder, monkeypatch):
    monkeypatch.chdir(folder)
    shutil.rmtree("overlays", ignore_errors=True)
    names = {}
    exec(READERS_OWN, names)
    for block in python_of(ROOT / "docs/python.md") + python_of(ROOT / "docs/evaluation.md"):
        exec(block, names)
    low, high = names["measured"].interval
    assert 0 <= low <= names["measured"].mean <= high <= 1
    assert np.shape(names["maps"])[0] == 2
    assert list((folder / "overlays").glob("*.png"))
    assert {"cat_20.png", "dog_64.png"} <= {path.name for path in folder.glob("*.png")}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_options_exist(page):
    for command in commands_of(page):
        words = re.split(r"\s+", command)
        if words[0] != "gradcam":
            continue
        known = main.commands.get(words[1] if len(words) > 1 else "", main.commands["explain"])
        options = {name for option in known.params for name in option.opts + option.secondary_opts}
        options |= {"--help", "--version"}
        used = {word.partition("=")[0] for word in words if word.startswith("--") and word != "--"}
        assert used <= options, command
