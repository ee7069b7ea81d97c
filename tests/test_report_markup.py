"""Names in a report are text, whatever they hold; test_report_page.py sees it in a browser."""

import json
import os
import subprocess

import numpy as np
import pytest
from pages import Elements
from PIL import Image

from gradcam_cli.models.labels import Prediction
from gradcam_cli.pictures.fitting import Placement
from gradcam_cli.rendering.report import (
    ReportMap,
    ReportOptions,
    ReportPicture,
    ReportWriter,
    make_preview,
)

NAMES = [
    "<img src=x onerror=alert(1)>.jpg",
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "\"' onmouseover=alert(1) x='",
    "]]>&lt;\x1b[2J\u2028\x00",
]


def write_page(path, name):
    target = Prediction(1, name, None, 0.5)
    placement = Placement((0, 0), (8, 8), ((0, 0), (0, 0)), (0, 0, 2, 2))
    shown = ReportMap(target, name, [name], np.zeros((2, 2), np.float32), placement)
    with ReportWriter(path, ReportOptions(name, name, [name])) as report:
        preview = make_preview(Image.new("RGB", (8, 8)))
        report.add(ReportPicture(name, preview, [target], [shown], truth=name, correct=False))
        report.add(ReportPicture(name, error=name))
        report.write()
    return Elements(path.read_text("utf-8"))


@pytest.mark.parametrize("name", NAMES)
def test_names_are_text(tmp_path, name):
    plain = write_page(tmp_path / "plain.html", "cat.jpg")
    page = write_page(tmp_path / "page.html", name)
    assert page.found == plain.found
    first, second = json.loads(page.texts["data"])["pictures"]
    assert first["path"] == first["truth"] == first["maps"][0]["method"] == name
    assert first["predictions"][0]["name"] == name
    assert second["error"] == name


@pytest.mark.parametrize(
    "path",
    [
        "a b.jpg",
        "\x1b[201~\nreboot\n.jpg",
        "it's\\\x9b \u202e漢 é.jpg",
        "-\t.jpg",
        "\udcff\U000e0001.jpg",
    ],
)
def test_a_pasted_command_names_the_picture_without_control_characters(tmp_path, path):
    page = write_page(tmp_path / "page.html", path)
    argument = json.loads(page.texts["data"])["pictures"][0]["argument"]
    assert argument.isprintable()
    told = subprocess.run(
        ["bash", "-c", f"printf %s {argument}"],
        capture_output=True,
        check=True,
        env={"LC_ALL": "C.UTF-8"},
    )
    assert os.fsdecode(told.stdout).removeprefix("./") == path
