"""``gradcam evaluate`` and ``gradcam best-layer`` in processes of their own."""

import csv
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def photos(tmp_path, samples):
    (tmp_path / "photos").mkdir()
    for name in ("dog.jpg", "koala.jpg"):
        shutil.copy(samples / name, tmp_path / "photos")
    (tmp_path / "boxes").mkdir()
    (tmp_path / "boxes" / "dog.xml").write_text(
        "<annotation><object><name>n02106662</name><bndbox><xmin>100</xmin><ymin>50</ymin>"
        "<xmax>800</xmax><ymax>740</ymax></bndbox></object></annotation>"
    )
    mask = np.zeros((1000, 750), np.uint8)
    mask[100:900, 150:650] = 255
    Image.fromarray(mask).save(tmp_path / "boxes" / "koala.png")
    return tmp_path


def read_csv(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_evaluate(photos, run_gradcam):
    arguments = ("evaluate", "photos", "--method", "gradcam", "--method", "layercam")
    layers = ("--layer", "top_activation", "--layer", "block5c_add")
    result = run_gradcam(
        *arguments, *layers, "--metric", "deletion", "--metric", "average_drop",
        "--annotations", "boxes", "--sanity", "--out", "out",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    names = [
        f"{method} · {layer}"
        for method in ("Grad-CAM", "LayerCAM")
        for layer in ("top_activation", "block5c_add")
    ]
    for name in [*names, "random map", "centre Gaussian"]:
        assert re.search(rf"^{re.escape(name)}  .*±", result.stdout, re.MULTILINE), result.stdout
    # One best in each column at least.
    assert result.stdout.count("★") >= 1 + 7
    for name in names:
        assert re.search(
            rf"{name} keeps \d+ % of the confidence ± \d+; a random map keeps", result.stdout
        )
        assert f"{name}: with nothing learned left" in result.stdout
    assert result.stdout.count("the centre Gaussian") == 4
    table = read_csv(photos / "out" / "evaluation_gradcam.csv")
    # Two faithful figures and three of localisation for six rows; the dog's class is known.
    assert len(table) == 6 * 7
    for row in table:
        assert float(row["low"]) <= float(row["mean"]) <= float(row["high"])
        assert row["pictures"] == ("1" if row["metric"].startswith("localisation") else "2")
    details = read_csv(photos / "out" / "evaluation_gradcam_pictures.csv")
    assert len(details) == 2 * 6
    deletions = [float(row["deletion"]) for row in details if row["layer"] == "block5c_add"]
    means = [
        float(row["mean"])
        for row in table
        if row["metric"] == "deletion" and row["layer"] == "block5c_add"
    ]
    assert np.mean(deletions) == pytest.approx(np.mean(means), abs=1e-5)
    sanity = read_csv(photos / "out" / "sanity_gradcam.csv")
    assert len(sanity) == 4 * 2 * 13
    for name in ("evaluation", "sanity"):
        with Image.open(photos / "out" / f"{name}_gradcam.png") as plot:
            assert plot.width > 1000
            assert np.asarray(plot.convert("RGB")).std() > 10


def test_json_and_results_of_its_own_and_of_others(photos, run_gradcam):
    (photos / "photos" / "bad.jpg").write_text("no picture")
    arguments = ("evaluate", "photos", "--metric", "sparseness", "--out", "photos")
    result = run_gradcam(*arguments, "--json", "--class", "koala")
    assert result.returncode == 1
    assert "bad.jpg" in result.stderr
    assert "Traceback" not in result.stderr
    record = json.loads(result.stdout)
    assert [row["method"] for row in record["rows"]] == [
        "gradcam", "random map", "centre Gaussian",
    ]  # fmt: skip
    figure = record["rows"][0]["figures"]["sparseness"]
    assert figure["low"] <= figure["mean"] <= figure["high"]
    assert figure["pictures"] == 2
    assert len(record["errors"]) == 1
    # Its own results are replaced, and its plot is no picture to be measured.
    (photos / "photos" / "bad.jpg").unlink()
    again = run_gradcam(*arguments, "--quiet")
    assert again.returncode == 0, again.stderr
    assert "2 pictures" in again.stdout
    # A user's file stays as it is.
    (photos / "evaluation_gradcam.csv").write_text("mine")
    refused = run_gradcam("evaluate", "photos")
    assert refused.returncode == 1
    assert "evaluation_gradcam.csv: exists already" in refused.stderr
    assert (photos / "evaluation_gradcam.csv").read_text() == "mine"


def test_best_layer(photos, run_gradcam):
    layers = ("--layer", "top_activation", "--layer", "block4a_activation")
    result = run_gradcam(
        "best-layer", "photos", *layers, "--metric", "deletion", "--metric", "road", "--json"
    )
    assert result.returncode == 0, result.stderr
    record = json.loads(result.stdout)
    assert [entry["layer"] for entry in record["ranking"]] == [
        "top_activation", "block4a_activation",
    ]  # fmt: skip
    assert record["ranking"][0]["mean_rank"] == 1
    assert "top_activation" in record["verdicts"][0]


def test_the_readme_table_is_current():
    """Its two cheapest columns, for the default method and the baselines."""
    script = ROOT / "benchmarks" / "measure_samples.py"
    result = subprocess.run(
        [sys.executable, str(script), "--check", "--method", "gradcam",
         "--metric", "average_drop", "--metric", "deletion"],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    assert "0 figures differ" in result.stdout
