"""The real command, mostly in a process of its own; each start costs seconds, so few of them."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
from PIL import Image

import gradcam_cli
from gradcam_cli.models.catalogue import CATALOGUE
from gradcam_cli.models.loading import load_classifier
from gradcam_cli.models.options import ModelOptions

RECORD_KEYS = ["image", "model", "layer", "method", "predictions", "targets"]


@pytest.fixture
def dog(samples, tmp_path):
    picture = Image.open(samples / "dog.jpg").resize((400, 300))
    picture.save(tmp_path / "dog.jpg", quality=95)
    return tmp_path / "dog.jpg"


def files(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def one_error_line(stderr):
    """The one line that a failed command leaves."""
    lines = stderr.splitlines()
    assert len(lines) == 1, stderr
    assert "Traceback" not in stderr
    return lines[0]


# What the readme promises.


def test_one_picture(run_gradcam, tmp_path, dog):
    done = run_gradcam("dog.jpg")
    assert done.returncode == 0
    assert done.stderr == ""
    assert "German shepherd" in done.stdout
    assert "top_activation" in done.stdout
    assert "efficientnet-lite0" in done.stdout
    assert "dog_gradcam.png" in done.stdout
    assert re.search(r"\d\d\.\d %", done.stdout)
    assert len(done.stdout.splitlines()) == 8  # The head, the picture and five classes.
    # Into a pipe nothing but text.
    assert "\x1b" not in done.stdout
    assert files(tmp_path) == ["dog.jpg", "dog_gradcam.png"]
    assert Image.open(tmp_path / "dog_gradcam.png").size == (400, 300)


def test_a_folder_with_bad_files(run_gradcam, samples, tmp_path, save_picture):
    folder = tmp_path / "photos"
    for name in ("cat.jpg", "sub/dog.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.open(samples / os.path.basename(name)).resize((300, 225)).save(folder / name)
    (folder / "broken.jpg").write_bytes((folder / "cat.jpg").read_bytes()[:999])
    (folder / "cat_gradcam.png").write_bytes(save_picture(tmp_path / "own.png").read_bytes())
    done = run_gradcam(
        "photos", "missing.jpg", "-o", "maps", "-k", 3, "--json", "-c", "tabby", "-c", "n02106662",
        "-c", "281", "--heatmap", "--alpha", 1, "--colormap", "viridis",
    )  # fmt: skip
    assert done.returncode == 1
    errors = done.stderr.splitlines()
    assert len(errors) == 3
    assert "photos/broken.jpg: damaged or truncated" in errors[0]
    assert "missing.jpg: there is no such file" in errors[1]
    assert "2 failed" in errors[2]

    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert [record["image"] for record in records] == [
        "photos/broken.jpg",
        "photos/cat.jpg",
        "photos/cat_gradcam.png",
        "photos/sub/dog.jpg",
        "missing.jpg",
    ]
    for number, record in enumerate(records):
        failed = number in (0, 4)
        assert list(record) == [*RECORD_KEYS, "error"] if failed else RECORD_KEYS
        assert record["model"] == "efficientnet-lite0"
        assert record["layer"] == "top_activation"
        assert record["method"] == "gradcam"
        if failed:
            assert record["targets"] == record["predictions"] == []
            continue
        assert len(record["predictions"]) == 3
        for prediction in record["predictions"]:
            assert set(prediction) == {"index", "name", "wnid", "probability"}
            assert 0 <= prediction["probability"] <= 1
        # A class that was named twice is explained once.
        assert [target["index"] for target in record["targets"]] == [281, 235]
        for target in record["targets"]:
            assert {"index", "name", "wnid", "probability", "output"} <= set(target)
            assert os.path.isfile(tmp_path / target["output"])
            heat = Image.open(tmp_path / target["heatmap"])
            assert heat.mode == "I;16"
            assert heat.size == Image.open(tmp_path / record["image"]).size
    assert records[3]["predictions"][0]["index"] == 235
    assert len(files(tmp_path / "maps")) == 12
    assert all(name.startswith(("cat", "sub/dog")) for name in files(tmp_path / "maps"))
    assert len(files(folder)) == 4


def start_gradcam(arguments, folder, environment):
    return subprocess.Popen(
        [sys.executable, "-m", "gradcam_cli", *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A test run in the background may have been told to ignore interrupts, and its
        # children with it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def test_interrupting_a_folder(tmp_path, command_environment, save_picture):
    for number in range(400):
        save_picture(tmp_path / f"photos/{number:03}.jpg", size=(320, 240), seed=number)
    process = start_gradcam(["photos", "-o", "maps"], tmp_path, command_environment)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("maps/*.png")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in stderr
    assert re.search(r"Interrupted: \d+ of 400 pictures explained in", stderr)
    written = files(tmp_path / "maps")
    assert 0 < len(written) < 400
    assert not [name for name in written if not name.endswith("_gradcam.png")]
    for name in written:
        Image.open(tmp_path / "maps" / name).load()
    # Every result that was told of is there.
    told = re.findall(r"→ (\S+)", stdout)
    assert all((tmp_path / path).exists() for path in told)


@pytest.mark.parametrize("seconds", [0.15, 1.5])
def test_interrupting_the_start(tmp_path, command_environment, dog, seconds):
    process = start_gradcam(["dog.jpg"], tmp_path, command_environment)
    time.sleep(0.4 + seconds)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr
    assert len(stderr.strip().splitlines()) <= 1
    assert files(tmp_path) == ["dog.jpg"]


def test_an_interrupt_is_waited_for_before_anything_else(command_environment):
    program = "import gradcam_cli.__main__, sys; print({'click', 'numpy'} & set(sys.modules))"
    assert (
        subprocess.check_output([sys.executable, "-c", program], env=command_environment, text=True)
        == "set()\n"
    )


@pytest.mark.parametrize(("cause", "told"), [("KeyboardInterrupt()", 130), ("None", 1)])
def test_an_interrupt_within_a_library_that_is_loaded(
    run_gradcam, command_environment, tmp_path, dog, cause, told
):
    """As pybind11 passes on what happens in the initialization of a module."""
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/keras.py").write_text(f"raise ImportError('initialization') from {cause}")
    path = os.pathsep.join([str(tmp_path / "broken"), command_environment["PYTHONPATH"]])
    done = run_gradcam("dog.jpg", PYTHONPATH=path)
    assert done.returncode == told, done.stderr
    assert ("ImportError: initialization" in done.stderr) == (cause == "None")


def test_a_known_layer_means_its_model_and_offline_says_what_to_do(run_gradcam, tmp_path, dog):
    done = run_gradcam("dog.jpg", "--layer", "block5_conv4")
    assert done.returncode == 1
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert "block5_conv4" in lines[0]
    assert "vgg19" in lines[0]
    assert len(lines) == 2, done.stderr
    assert lines[1].startswith("Error: vgg19: its weights could not be downloaded")
    assert "--weights" in lines[1]
    assert "efficientnet-lite0" in lines[1]
    assert files(tmp_path) == ["dog.jpg"]


# Start-up.

IMPORT_NOTHING = [
    ["--help"],
    ["--version"],
    ["-h"],
    ["explain", "--help"],
    ["layers", "--help"],
    ["models"],
    ["models", "--help"],
]
# One process for all of them: what one has imported is found after it, and ends them.
RUN_EACH = """
import contextlib, io, json, sys
from gradcam_cli.cli import main
told = []
for args in json.loads(sys.argv[1]):
    printed, code = io.StringIO(), None
    with contextlib.redirect_stdout(printed):
        try: main(args, prog_name="gradcam")
        except SystemExit as end: code = end.code
    heavy = {"tensorflow", "keras", "matplotlib", "matplotlib.pyplot"} & set(sys.modules)
    assert not heavy, (args, heavy)
    told.append([code, printed.getvalue()])
print(json.dumps(told))
"""


def test_help_does_not_import_tensorflow(command_environment):
    done = subprocess.run(
        [sys.executable, "-c", RUN_EACH, json.dumps(IMPORT_NOTHING)],
        env=command_environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert [code for code, _ in told] == [0] * len(IMPORT_NOTHING)
    printed = dict(zip(map(" ".join, IMPORT_NOTHING), (text for _, text in told), strict=True))
    assert printed["--version"].strip() == f"gradcam, version {gradcam_cli.__version__}"
    assert "Usage: gradcam" in printed["--help"]
    assert printed["-h"] == printed["--help"]
    for name in CATALOGUE:
        assert re.search(rf"^\s*{name}\s", printed["models"], re.MULTILINE)


def test_importing_the_package_does_not_import_tensorflow(command_environment):
    program = (
        "import gradcam_cli, sys; print([m for m in ('tensorflow', 'keras') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=command_environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


def words_for(shell, *words):
    """The variables with which a shell asks what could stand where the last word is."""
    last = words[-1] if shell == "fish" else str(len(words))
    return {
        "_GRADCAM_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": " ".join(["gradcam", *words]),
        "COMP_CWORD": last,
    }


def completions(shell, printed):
    if shell == "zsh":
        # Type, value and help, each on a line.
        return printed.splitlines()[1::3]
    return [text.split(",", 1)[1].split("\t")[0] for text in printed.split() if text]


def run_entry(command_environment, **environment):
    """Runs the installed entry point, whose name tells the variable for completion."""
    program = "import sys; sys.argv = ['gradcam']; from gradcam_cli.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", program],
        env=command_environment | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    modules = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    return done, modules


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completes_models_methods_and_colour_maps(command_environment, invoke, shell):
    words = words_for(shell, "explain", "--model", "resnet")
    done, modules = run_entry(command_environment, **words)
    assert "tensorflow" not in modules
    assert "keras" not in modules
    found = completions(shell, done.stdout)
    assert set(found) == {name for name in CATALOGUE if name.startswith("resnet")}

    def ask(*words):
        done = invoke(env=words_for(shell, *words), prog_name="gradcam")
        return completions(shell, done.stdout)

    # Without the command, as people type it.
    assert set(ask("photo.jpg", "--model", "vgg")) == {"vgg16", "vgg19"}
    if shell == "bash":
        assert "gradcam" in ask("explain", "--method", "")
        assert {"jet", "viridis"} <= set(ask("explain", "--colormap", ""))
        assert set(ask("explain", "--fit", "")) == {"keep", "squash", "crop", "cover", "pad"}
        assert set(ask("explain", "--colormap", "viri")) == {"viridis", "viridis_r"}
        assert {"models", "layers"} <= set(ask(""))
        assert "--colormap" in ask("photo.jpg", "--col")
        assert "--colormap" in ask("explain", "--col")
        assert "--colormap" in ask("--col")
        assert set(ask("layers", "--model", "convnext")) == {
            name for name in CATALOGUE if name.startswith("convnext")
        }


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_gives_the_shells_their_scripts(command_environment, shell):
    done, modules = run_entry(command_environment, _GRADCAM_COMPLETE=f"{shell}_source")
    assert done.returncode == 0
    assert "_GRADCAM_COMPLETE" in done.stdout
    assert "tensorflow" not in modules


# Wrong usage: exit code 2, one clear line, nothing written.


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["-l", "top_activatio"], "did you mean top_activation"),
        (["-l", "999"], "indices go from"),
        (["-l", "avg_pool"], "no spatial output"),
        (["-l", "-1"], "no spatial output"),
        (["-l", "block5_conv3"], "vgg16, vgg19"),
        (["-c", "tabbi"], "did you mean"),
        (["-c", "1000"], "are 0 to 999"),
        (["-m", "resnet5"], "did you mean"),
        (["--colormap", "jett"], "jett"),
        (["--weights", "missing.h5"], "no such file"),
        (["--weights", "dog.jpg"], ".weights.h5"),
        (["--fit", "stretch"], "stretch"),
        (["--alpha", "1.5"], "1.5"),
        (["--size", "nothing"], "nothing"),
        (["--size", "0"], "0"),
        (["-k", "0"], "0"),
        (["--method", "magic"], "magic"),
        (["--frobnicate"], "frobnicate"),
        (["-m", "vgg19", "--fit", "keep", "--weights", "missing.h5"], "no such file"),
    ],
)
def test_wrong_usage(invoke, dog, tmp_path, args, told):
    done = invoke("dog.jpg", *args)
    assert done.exit_code == 2, done.output
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("Error: ")
    assert told in last
    assert "Traceback" not in done.output
    assert done.stdout == ""
    assert files(tmp_path) == ["dog.jpg"]


def test_a_name_that_fits_several_classes_lists_them(invoke, dog):
    done = invoke("dog.jpg", "--class", "cat")
    assert done.exit_code == 2
    assert done.stdout == ""
    first, *matches = done.stderr.splitlines()
    assert first == "Error: 'cat' fits 16 classes; choose one by its index:"
    assert len(matches) == 16
    assert matches[0] == "  281  n02123045  tabby, tabby cat"
    assert all(re.match(r"  [ \d]{3}  n\d{8}  \w", match) for match in matches)


@pytest.mark.parametrize("args", [[], ["explain"]])
def test_no_arguments_show_how_to_use_it(invoke, args):
    done = invoke(*args)
    assert done.exit_code == 2
    assert "Usage" in done.output
    assert "ValueError" not in done.output


def test_an_empty_folder_is_told(invoke, tmp_path):
    (tmp_path / "empty").mkdir()
    done = invoke("empty")
    assert done.exit_code == 1
    assert "no pictures in empty" in one_error_line(done.stderr)


def test_a_missing_picture_is_told_in_one_line(invoke):
    done = invoke("missing.jpg")
    assert done.exit_code == 1
    assert one_error_line(done.stderr) == "Error: missing.jpg: there is no such file"


def test_a_place_that_cannot_be_written(invoke, samples, dog, tmp_path):
    # Once, not for each picture.
    done = invoke("dog.jpg", samples, "--out", "/proc/nowhere/at/all")
    assert done.exit_code == 1
    assert done.stdout == ""
    assert "--out /proc/nowhere/at/all: cannot be written" in one_error_line(done.stderr)
    done = invoke("dog.jpg", "--out", "dog.jpg")
    assert done.exit_code == 2
    assert files(tmp_path) == ["dog.jpg"]


# Options.


def test_layers_by_name_and_index(invoke, dog, tmp_path):
    done = invoke("dog.jpg", "-l", "block5c_add", "-v", "--size", 448, "-k", 2)
    assert done.exit_code == 0, done.output
    assert "layer block5c_add" in done.stdout
    assert "448" in done.stderr
    assert "keep" in done.stderr
    done = invoke("dog.jpg", "-l", "-3", "--json")
    assert json.loads(done.stdout)["layer"] == "top_activation"
    assert files(tmp_path) == [
        "dog.jpg", "dog_gradcam_448_block5c_add.png", "dog_gradcam_layer-3.png"
    ]  # fmt: skip


def test_heatmap_stands_alone_before_a_path(invoke, dog, tmp_path):
    assert invoke("--heatmap", "dog.jpg").exit_code == 0
    assert files(tmp_path) == ["dog.jpg", "dog_gradcam.png", "dog_heatmap.png"]
    assert invoke("dog.jpg", "--heatmap", "npy", "-q").stdout == ""
    heat = np.load(tmp_path / "dog_heatmap.npy")
    assert heat.shape == (300, 400)
    assert heat.dtype == np.float32


def test_a_file_with_the_name_of_an_option_or_a_command(invoke, dog, tmp_path):
    (tmp_path / "-dog.jpg").write_bytes(dog.read_bytes())
    done = invoke("--", "-dog.jpg")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "-dog_gradcam.png").exists()
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "a.jpg").write_bytes(dog.read_bytes())
    assert invoke("./models").exit_code == 0
    assert (tmp_path / "models" / "a_gradcam.png").exists()


def test_names_with_odd_characters(invoke, dog, tmp_path):
    names = ["a [red]b[bold].jpg", "gr\u00fc\u00dfe \u732b.jpg", ":cat:.jpg", "a\nb.jpg"]
    for name in names:
        (tmp_path / name).write_bytes(dog.read_bytes())
    done = invoke(*names)
    assert done.exit_code == 0, done.output
    for name in names:
        assert name.partition("\n")[0] in done.stdout
    records = [json.loads(line) for line in invoke(*names, "--json").stdout.splitlines()]
    assert [record["image"] for record in records] == names
    for record in records:
        assert os.path.isfile(tmp_path / record["targets"][0]["output"])


def test_layers_lists_what_layer_accepts(invoke):
    done = invoke("layers")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    (default,) = [line for line in lines if "default" in line]
    assert "top_activation" in default
    assert any("predictions" in line for line in lines)
    done = invoke("layers", "--model", "mobilenet")
    assert "conv_pw_13_relu" in done.stdout
    assert invoke("layers", "--model", "mobilnet").exit_code == 2


# A model of the catalogue with weights from a file.


@pytest.fixture(scope="module")
def mobilenet_files(tmp_path_factory):
    """MobileNet with random weights in every kind of file."""
    folder = tmp_path_factory.mktemp("mobilenet")
    keras.utils.set_random_seed(9)
    model = keras.applications.MobileNet(weights=None)
    kernel, bias = model.get_layer("conv_preds").get_weights()
    kernel[..., 0] = -1  # Nothing ever speaks for this class.
    model.get_layer("conv_preds").set_weights([kernel, bias])
    paths = [folder / "m.weights.h5", folder / "m.h5", folder / "m.keras"]
    model.save_weights(paths[0])
    model.save(paths[1])
    model.save(paths[2])
    return model, paths


def test_weights_from_every_kind_of_file(invoke, dog, mobilenet_files):
    model, paths = mobilenet_files
    pixels = np.asarray(Image.open(dog).resize((224, 224), Image.Resampling.BICUBIC), np.float32)
    preprocessed = keras.applications.mobilenet.preprocess_input(pixels[None])
    expected = np.asarray(model(preprocessed))[0]
    # The layer's name says which model it is.
    classes = [part for index in range(8) for part in ("-c", index)]
    options = ["-l", "conv_pw_13_relu", "-w", paths[0], "--fit", "squash", *classes]
    done = invoke("dog.jpg", *options, "--json")
    assert done.exit_code == 0, done.output
    assert "mobilenet" in one_error_line(done.stderr)
    record = json.loads(done.stdout)
    assert record["model"] == "mobilenet"
    assert record["layer"] == "conv_pw_13_relu"
    assert record["predictions"][0]["index"] == expected.argmax()
    targets = record["targets"]
    assert targets[7]["probability"] == pytest.approx(expected[7], rel=1e-3)
    assert "no positive evidence" in targets[0]["note"]
    assert not all("note" in target for target in targets)
    # The command gets the same network from files of the other kinds.
    for path in paths[1:]:
        network = load_classifier(ModelOptions("mobilenet", weights=path)).network
        for found, saved in zip(network.model.get_weights(), model.get_weights(), strict=True):
            np.testing.assert_array_equal(found, saved)


def test_a_class_without_evidence_is_said_in_words(invoke, dog, mobilenet_files):
    done = invoke("dog.jpg", "-m", "mobilenet", "-w", mobilenet_files[1][0], "-c", 0)
    assert done.exit_code == 0, done.output
    assert "layer conv_pw_13_relu" in done.stdout
    assert done.stdout.count("no positive evidence") == 1


def test_weights_of_another_model_are_refused(invoke, dog, mobilenet_files, tmp_path):
    for path in mobilenet_files[1]:
        done = invoke("dog.jpg", "-m", "mobilenetv2", "-w", path)
        assert done.exit_code == 1, f"{path.name} was taken"
        assert "does not contain weights of mobilenetv2" in one_error_line(done.stderr)
    (tmp_path / "noise.h5").write_bytes(bytes(range(256)) * 9)
    done = invoke("dog.jpg", "-m", "mobilenet", "-w", "noise.h5")
    assert done.exit_code == 1
    assert "noise.h5" in one_error_line(done.stderr)
    assert files(tmp_path) == ["dog.jpg", "noise.h5"]


IMAGENET_MEAN, IMAGENET_DEVIATION = np.array([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])


@pytest.fixture(scope="module")
def efficientnet():
    """Like the published files, it has ImageNet's deviations where variances belong.

    Keras makes up for that with one more rescaling, but only for weights that it downloads itself.
    """
    keras.utils.set_random_seed(10)
    model = keras.applications.EfficientNetB0(weights=None)
    model.get_layer(index=2).set_weights([IMAGENET_MEAN, IMAGENET_DEVIATION, np.array(0)])
    return model


@pytest.mark.parametrize("kind", ["weights.h5", "h5"])
def test_efficientnet_normalises_its_input_as_it_was_trained(tmp_path, efficientnet, kind):
    path = tmp_path / f"b0.{kind}"
    efficientnet.save_weights(path) if kind == "weights.h5" else efficientnet.save(path)

    loaded = load_classifier(ModelOptions("efficientnetb0", weights=path)).network.model
    stem = keras.Model(loaded.inputs, loaded.get_layer("stem_conv_pad").output)
    pixels = np.random.default_rng(11).uniform(0, 255, (1, 32, 32, 3)).astype(np.float32)
    found = np.asarray(stem(pixels))[:, :32, :32]
    expected = (pixels / 255 - IMAGENET_MEAN) / IMAGENET_DEVIATION
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_options_that_would_do_nothing_are_refused(invoke, dog):
    for options, message in (
        (["--threshold", 0.5], "--threshold needs --contour, --box, --mask or --hot-only"),
        (["--fuse", "max"], "--fuse needs several --layer options"),
        (["--each", "-c", 5], "--each explains the most probable classes"),
        (["-c", ""], "a class needs a name or a number"),
    ):
        done = invoke("dog.jpg", *options)
        assert done.exit_code == 2
        assert message in one_error_line(done.stderr)


def test_long_names_are_shortened(invoke, tmp_path, samples):
    name = "x" * 245
    (tmp_path / f"{name}.jpg").write_bytes((samples / "dog.jpg").read_bytes())
    done = invoke(f"{name}.jpg", "--out", "out", "--json")
    assert done.exit_code == 0, done.stderr
    (written,) = (tmp_path / "out").iterdir()
    assert written.name.endswith("x_gradcam.png")
