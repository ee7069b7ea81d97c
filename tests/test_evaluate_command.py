"""``gradcam evaluate`` and ``gradcam best-layer``, as far as possible with a small network."""

import csv
import http.server
import importlib
import json
import os
import re
import signal
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from red_squares import red_model, save_squares

from gradcam_cli import evaluate
from gradcam_cli.cli import main
from gradcam_cli.cli.evaluation_view import describe_duration
from gradcam_cli.errors import UsageError

ROOT = Path(__file__).resolve().parent.parent
PICTURES = 7
MODEL = ("-m", "red.keras", "--preprocess", "none")
BOX = (
    "<annotation><object><name>red</name><bndbox><xmin>0</xmin><ymin>0</ymin><xmax>30</xmax>"
    "<ymax>30</ymax></bndbox></object></annotation>"
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with pictures, masks, a box and the model that finds red squares."""
    monkeypatch.chdir(tmp_path)
    save_squares(tmp_path, PICTURES)
    red_model().save("red.keras")
    Path("names.txt").write_text("grey\nred\n")
    Path("masks/00.png").unlink()
    Path("masks/00.xml").write_text(BOX)
    return tmp_path


def gradcam(*arguments):
    return CliRunner().invoke(main, list(map(str, arguments)))


def read_csv(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def files_in(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))


def test_evaluate(folder):
    before = files_in(folder)
    arguments = ("evaluate", "photos", *MODEL, "--labels", "names.txt", "--class", "red")
    rows = ("--method", "gradcam,layercam", "--layer", "last", "--layer", "red")
    metrics = ("--metric", "deletion", "--metric", "average_drop")
    done = gradcam(
        *(*arguments, *rows, *metrics, "--annotations", "masks", "--sanity", "--out", "out")
    )
    assert done.exit_code == 0, done.output
    names = [
        f"{method} · {layer}" for method in ("Grad-CAM", "LayerCAM") for layer in ("last", "red")
    ]
    for name in [*names, "random map", "centre Gaussian"]:
        assert re.search(rf"^{re.escape(name)}  .*±", done.stdout, re.MULTILINE), done.stdout
    for name in names:
        assert f"{name}: with nothing learned left" in done.stdout
    assert re.search("^(Recommended: |No difference beyond chance)", done.stdout, re.MULTILINE)
    made = [name for name in files_in(folder) if name not in before]
    tables = ("evaluation.csv", "evaluation.json", "evaluation.png", "evaluation_pictures.csv")
    assert made == [f"out/{name}" for name in (*tables, "sanity.csv", "sanity.png")]
    assert all(name in done.stderr for name in made)
    table = read_csv("out/evaluation.csv")
    # Two faithful figures and three of localisation for six rows, and the mean ranks of four. The
    # class of the first picture is known: its box names it.
    assert len(table) == 6 * 7 + 4
    for row in table:
        assert float(row["low"]) <= float(row["mean"]) <= float(row["high"])
        is_error = row["metric"].startswith("localisation")
        assert row["pictures"] == ("1" if is_error else str(PICTURES))
    details = read_csv("out/evaluation_pictures.csv")
    assert len(details) == PICTURES * 6
    deletions = [float(row["deletion"]) for row in details if row["layer"] == "last"]
    means = [
        float(row["mean"])
        for row in table
        if row["metric"] == "deletion" and row["layer"] == "last"
    ]
    assert np.mean(deletions) == pytest.approx(np.mean(means), abs=1e-5)
    # The trained network, then its layers one by one, in two modes.
    sanity = read_csv("out/sanity.csv")
    assert len(sanity) == 4 * 2 * (1 + 3)
    record = json.loads(Path("out/evaluation.json").read_text())
    assert len(record["ranking"]) == 4
    assert len(record["sanity"]["curves"]) == 4 * 2
    for name in ("evaluation", "sanity"):
        with Image.open(f"out/{name}.png") as plot:
            assert plot.width > 1000
            assert np.asarray(plot.convert("RGB")).std() > 10


def test_json_and_results_of_its_own_and_of_others(folder):
    Path("photos/bad.jpg").write_text("no picture")
    arguments = ("evaluate", "photos", *MODEL, "--metric", "sparseness")
    before = files_in(folder)
    done = gradcam(*arguments, "--json", "--class", 1)
    assert done.exit_code == 1
    assert "bad.jpg" in done.stderr
    assert "Traceback" not in done.output
    # Nothing is written that nobody asked for.
    assert files_in(folder) == before
    record = json.loads(done.stdout)
    assert [row["method"] for row in record["rows"]] == [
        "gradcam", "random map", "centre Gaussian",
    ]  # fmt: skip
    figure = record["rows"][0]["figures"]["sparseness"]
    assert figure["low"] <= figure["mean"] <= figure["high"]
    assert figure["pictures"] == PICTURES
    assert len(record["errors"]) == 1
    assert (record["ranking"], record["kendalls_w"], record["recommended"]) == ([], None, None)
    # Its own results are replaced, and its plot is no picture to be measured.
    Path("photos/bad.jpg").unlink()
    for _ in range(2):
        again = gradcam(*arguments, "--quiet", "--out", "photos")
        assert again.exit_code == 0, again.output
        assert f"{PICTURES} pictures" in again.stdout
        assert not again.stderr
    # A user's file stays as it is.
    for name in ("evaluation.csv", "evaluation.json", "evaluation.png"):
        own = Path(name.partition(".")[2], name)
        own.parent.mkdir()
        own.write_text("mine")
        refused = gradcam(*arguments, "--out", own.parent)
        assert refused.exit_code == 1
        assert f"{own}: exists already" in refused.stderr
        assert files_in(own.parent) == [name]
        assert own.read_text() == "mine"


def test_best_layer(folder):
    before = files_in(folder)
    arguments = ("best-layer", "photos", *MODEL, "--class", 1, "--layer", "last", "--layer", "red")
    done = gradcam(*arguments, "--metric", "average_drop", "--out", "out")
    assert done.exit_code == 0, done.output
    assert "last (default)" in done.stdout
    made = [name for name in files_in(folder) if name not in before]
    assert made == [
        "out/best-layer.csv", "out/best-layer.json", "out/best-layer.png",
        "out/best-layer_pictures.csv",
    ]  # fmt: skip
    record = json.loads(Path("out/best-layer.json").read_text())
    assert [entry["layer"] for entry in record["ranking"]] == ["red", "last"]
    assert record["ranking"][0]["mean_rank"] < 1.5 < record["ranking"][1]["mean_rank"]
    assert record["default_layer"] == "last"
    assert record["recommended"] == {"method": "gradcam", "layer": "red"}
    assert record["verdicts"][0].startswith("Recommended: red.")


@pytest.fixture
def interrupting():
    """The address of a picture that interrupts this process while it is read."""

    class Interrupting(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            os.kill(os.getpid(), signal.SIGINT)
            self.server.ended.wait(60)

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Interrupting) as server:
        server.ended = threading.Event()
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        handler = signal.signal(signal.SIGINT, signal.default_int_handler)
        yield f"http://127.0.0.1:{server.server_port}/picture.png"
        signal.signal(signal.SIGINT, handler)
        server.ended.set()
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("command", ["evaluate", "best-layer"])
def test_an_interrupted_command_prints_what_it_has(folder, interrupting, command):
    before = files_in(folder)
    pictures = ("photos/01.png", "photos/02.png", interrupting, "photos/03.png")
    options = (*MODEL, "--metric", "deletion", "--layer", "last", "--layer", "red", "--out", "out")
    done = gradcam(command, *pictures, *options)
    assert done.exit_code == 130
    assert "interrupted: only 2 of 4 pictures" in done.stdout
    assert re.search("^red .*±", done.stdout, re.MULTILINE)
    assert done.stderr.endswith("Interrupted.\n")
    # An incomplete result doesn't replace a complete one.
    assert files_in(folder) == before
    nothing = gradcam(command, interrupting, *options)
    assert (nothing.exit_code, nothing.stdout) == (130, "")


def test_interrupted_json_tells_what_is_left(folder, interrupting):
    done = gradcam(
        "evaluate", "photos/01.png", interrupting, *MODEL, "--metric", "sparseness", "--json"
    )
    record = json.loads(done.stdout)
    assert done.exit_code == 130
    assert (len(record["pictures"]), record["pictures_left"]) == (1, 1)


def test_only_a_terminal_shows_running_means(folder, monkeypatch):
    arguments = ("evaluate", "photos", *MODEL, "--metric", "deletion", "--metric", "sparseness")
    done = gradcam(*arguments)
    assert "\x1b" not in done.output
    assert re.fullmatch(r"\(\d+ s\)\n", done.stderr)
    monkeypatch.setenv("FORCE_COLOR", "1")
    shown = gradcam(*arguments).stderr
    assert "\x1b" in shown
    assert re.search(r"Deletion.*\n.*Grad-CAM · last\s+0\.\d+", shown)
    assert "\x1b" not in gradcam(*arguments, "--quiet").stderr


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(3.4, "3 s"), (14, "10 s"), (44, "40 s"), (58, "1 min"), (170, "3 min"), (3500, "58 min"),
     (3590, "1 h"), (7800, "2 h 10 min")],
)  # fmt: skip
def test_durations(seconds, said):
    assert describe_duration(seconds) == said


def test_the_documented_table_is_current(monkeypatch, capsys):
    """Its cheapest column, for the default method and the baselines."""
    options = ("--check", "--method", "gradcam", "--metric", "average_drop")
    monkeypatch.setattr(sys, "argv", ["measure_samples.py", *options])
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    assert importlib.import_module("measure_samples").main() == 0
    assert "0 figures differ" in capsys.readouterr().out


def test_python_returns_what_the_command_prints(folder):
    maps, so_far = [], []
    found = evaluate(
        "photos",
        model="red.keras",
        preprocess="none",
        layers=["last", "red"],
        metrics=["average_drop"],
        target=1,
        progress=maps.append,
        report=so_far.append,
    )
    assert sum(maps) == PICTURES * 4
    assert so_far[-1] is found
    assert found.judge().recommended.layer == "red"
    with pytest.raises(UsageError, match="--metric drop is not a metric; choose among average_"):
        evaluate("photos", model="red.keras", metrics=["drop"])
