"""Figures, regions, composites, reports and the screen, as the real command makes them."""

import contextlib
import json
import os
import re
import shutil
import struct
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from tasks import make_task

from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.cli.display import result_lines
from gradcam_cli.files.finding import InputPicture, find_pictures
from gradcam_cli.files.marks import is_result_of
from gradcam_cli.pictures.regions import find_region
from gradcam_cli.run.pipeline import explain_pictures

HALF_BLOCK = "▀"
OTHER_LAYER = "block5c_project_bn"


@pytest.fixture(scope="module")
def explained(samples, explainer, tmp_path_factory):
    """The citrus fruits with everything that can be asked for, and the folder of it all."""
    out = tmp_path_factory.mktemp("explained")
    task = make_task(
        classes=(-1, -2, -3), out=out, heatmap="npy", figure="svg", composite=True,
        contour=True, box=True, threshold=0.5, keeps_panels=True, keeps_card=True,
    )  # fmt: skip
    pictures = find_pictures([samples / "citrus.jpg"])
    (result,) = explain_pictures(pictures, [explainer], task)
    assert result.error is None
    return result, out


def test_each_class_has_an_overlay_and_all_have_one_composite(explained, samples):
    result, out = explained
    assert [target.prediction.name for target in result.targets] == ["orange", "lemon", "tray"]
    names = {path.name for path in out.iterdir() if path.suffix == ".png"}
    assert names == {
        "citrus_gradcam_950-orange.png",
        "citrus_gradcam_951-lemon.png",
        "citrus_gradcam_868-tray.png",
        "citrus_gradcam_composite.png",
    }
    with Image.open(result.composite) as composite, Image.open(result.targets[0].output) as first:
        assert composite.width == first.width == 1350
        assert composite.height > first.height
    assert is_result_of(result.composite, samples / "citrus.jpg")


def test_region_is_that_of_the_map_as_written(explained):
    result, _ = explained
    for target in result.targets:
        heatmap = np.load(target.heatmap)
        assert target.region.box == find_region(heatmap, 0.5).box
        left, top, right, bottom = target.region.box
        row, column = np.unravel_index(heatmap.argmax(), heatmap.shape)
        assert left <= column < right or top <= row < bottom
        inside = heatmap[top:bottom, left:right]
        assert (inside >= 0.5 * heatmap.max()).any(axis=0).all()


def test_the_table_gives_the_corners_of_the_box(explained):
    result, _ = explained
    left, top, right, bottom = result.targets[0].region.box
    assert f"box ({left}, {top})–({right}, {bottom})" in result_lines(result, 3, 200).plain


def test_outlines_and_boxes_are_drawn_on_the_overlays(explained, samples, explainer, tmp_path):
    result, _ = explained
    plain_task = make_task(out=tmp_path)
    pictures = find_pictures([samples / "citrus.jpg"])
    (plain,) = explain_pictures(pictures, [explainer], plain_task)
    with Image.open(plain.targets[0].output) as a, Image.open(result.targets[0].output) as b:
        changed = np.abs(np.asarray(a).astype(int) - np.asarray(b)).max(axis=-1) > 40
    points = np.concatenate(result.targets[0].region.outlines)
    x, y = np.clip(points.astype(int), 4, np.subtract(changed.shape[::-1], 5)).T
    near = np.stack([changed[y + down, x + right] for down in (-2, 0, 2) for right in (-2, 0, 2)])
    assert near.any(axis=0).mean() > 0.9
    assert changed.mean() < 0.2


def test_figure_has_a_panel_for_the_original_and_each_class(explained):
    result, _ = explained
    (row,) = result.panels
    assert row[0].title == "Original"
    assert [panel.title.split(" · ")[0] for panel in row[1:]] == [
        "orange", "lemon", "tray",
    ]  # fmt: skip
    # Four panels and the colour bar.
    assert len(re.findall("<image ", result.figure.read_text("utf-8"))) == 5


def test_report_card_has_a_map_for_each_class(explained):
    (card,) = explained[0].cards
    assert [entry.target.name for entry in card.maps] == ["orange", "lemon", "tray"]
    assert card.preview.size == (960, 633)
    assert "--layer top_activation" in card.maps[0].arguments


def test_a_figure_without_a_mark_is_replaced_only_if_it_is_the_tools_own(
    samples, explainer, tmp_path
):
    (tmp_path / "cat_gradcam_figure.pdf").write_bytes(b"mine")
    task = make_task(out=tmp_path, figure="pdf")
    paths = [
        next(explain_pictures(find_pictures([samples / "cat.jpg"]), [explainer], task)).figure.name
        for _ in range(2)
    ]
    assert paths == ["cat_jpg_gradcam_figure.pdf"] * 2
    assert (tmp_path / "cat_gradcam_figure.pdf").read_bytes() == b"mine"


def test_other_layers_get_a_row_of_the_figure_and_maps_in_the_report(
    samples, builtin, explainer, tmp_path
):
    other = Explainer(builtin, OTHER_LAYER)
    task = make_task(
        classes=(-1, -2), out=tmp_path, figure="svg", keeps_panels=True, keeps_card=True
    )
    pictures = find_pictures([samples / "cat.jpg"])
    (result,) = explain_pictures(pictures, [explainer, other], task)
    assert result.error is None, result.error
    first, second = result.panels
    assert [panel and panel.detail for panel in second] == [
        None, f"Grad-CAM · {OTHER_LAYER}", f"Grad-CAM · {OTHER_LAYER}",
    ]  # fmt: skip
    assert first[1].title == second[1].title
    assert np.abs(np.asarray(first[1].image).astype(int) - second[1].image).mean() > 5
    assert len(re.findall("<image ", result.figure.read_text("utf-8"))) == 6
    assert [(entry.method, entry.target.name) for entry in result.cards[0].maps] == [
        ("Grad-CAM · top_activation", "Egyptian cat"),
        ("Grad-CAM · top_activation", "tiger cat"),
        (f"Grad-CAM · {OTHER_LAYER}", "Egyptian cat"),
        (f"Grad-CAM · {OTHER_LAYER}", "tiger cat"),
    ]
    # Only the first explainer's overlays are files.
    assert len(list(tmp_path.glob("*.png"))) == 2


def test_a_picture_that_cannot_be_read_spares_the_others(samples, explainer, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    pictures = [
        InputPicture(broken, tmp_path),
        InputPicture(samples / "cat.jpg", tmp_path),
    ]
    task = make_task(with_files=0, keeps_card=True)
    failed, done = explain_pictures(pictures, [explainer], task)
    assert failed.error is not None
    assert not failed.cards
    assert done.cards[0].predictions[0].name == "Egyptian cat"
    assert done.targets[0].output is None


def test_command_draws_tells_and_reports(samples, run_gradcam, tmp_path):
    ran = run_gradcam(
        samples / "cat.jpg", samples / "dog.jpg", "--out", "maps", "--figure", "--box", "--json",
        "--report", "out/report.html", "--report-assets", "--debug",
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    # Nothing but the results, whatever TensorFlow has to say.
    cat, dog = map(json.loads, ran.stdout.splitlines())
    left, top, right, bottom = dog["targets"][0]["region"]["box"]
    # The dog stands right of the middle, and its head is near the upper edge.
    assert 0 <= left < 300
    assert right > 850
    assert top < 120 < bottom
    assert dog["targets"][0]["region"]["threshold"] == 0.15
    documented = set(re.findall(r"`(\w+)`", (samples.parent / "docs/outputs.md").read_text()))
    assert {*dog, *dog["targets"][0], *dog["targets"][0]["region"]} <= documented
    assert (tmp_path / cat["figure"]).name == "cat_gradcam_box_figure.png"
    written = {path.name for path in (tmp_path / "maps").iterdir()}
    assert written == {
        *("cat_gradcam_box.png", "cat_gradcam_box_figure.png"),
        *("dog_gradcam_box.png", "dog_gradcam_box_figure.png"),
    }
    page = (tmp_path / "out/report.html").read_text("utf-8")
    assert page.count('"path"') == 2
    assert "--fit keep" in page
    assert len(list((tmp_path / "out/report_files").glob("*.webp"))) == 2
    assert list(find_pictures([tmp_path / "out"])) == []


@pytest.mark.skipif(os.name != "posix", reason="file names are bytes on POSIX alone")
def test_names_that_are_no_text_are_explained_too(samples, run_gradcam, tmp_path):
    (tmp_path / "photos").mkdir()
    name = os.fsdecode(b"caf\xe9 $x$ <b>.jpg")
    shutil.copy(samples / "cat.jpg", tmp_path / "photos" / name)
    ran = run_gradcam("photos", "--figure", "--report", "report.html", "--json", "-o", "maps")
    assert ran.returncode == 0, ran.stderr
    record = json.loads(ran.stdout)
    assert record["image"] == f"photos/{name}"
    assert record["predictions"][0]["index"] == 285
    assert (tmp_path / record["figure"]).is_file()
    assert len(list((tmp_path / "maps").iterdir())) == 2
    assert "<b>" not in (tmp_path / "report.html").read_text("utf-8")


def test_command_refuses_to_overwrite_what_is_no_report(samples, run_gradcam, tmp_path):
    (tmp_path / "notes.html").write_text("<p>mine</p>")
    ran = run_gradcam(samples / "cat.jpg", "--report", "notes.html")
    assert ran.returncode == 1
    assert "notes.html: exists and is not a report" in ran.stderr
    assert (tmp_path / "notes.html").read_text() == "<p>mine</p>"


def test_show_draws_half_blocks_that_can_be_recognised(samples, invoke, tmp_path):
    ran = invoke("show", samples / "macaw.jpg", "--alpha", "0", env={"DISPLAY": ""})
    assert ran.exit_code == 0, ran.output
    assert "macaw" in ran.stdout
    pixels = []
    colors = {38: (0, 0, 0), 48: (0, 0, 0)}
    for line in ran.stdout.splitlines():
        if HALF_BLOCK not in line:
            continue
        upper, lower = [], []
        for codes, _ in re.findall(rf"\x1b\[([\d;]*)m|({HALF_BLOCK})", line):
            if not codes:
                upper.append(colors[38])
                lower.append(colors[48])
            for ground, *rgb in re.findall(r"(38|48);2;(\d+);(\d+);(\d+)", codes):
                colors[int(ground)] = tuple(map(int, rgb))
        pixels += [upper, lower]
    shown = np.array(pixels, float)
    assert shown.shape[1] == 80
    with Image.open(samples / "macaw.jpg") as image:
        expected = np.asarray(image.resize(shown.shape[1::-1]), float)
    assert np.corrcoef(shown.ravel(), expected.ravel())[0, 1] > 0.97
    assert list(tmp_path.iterdir()) == []


def test_show_draws_without_colours_where_none_are_wanted(run_gradcam, samples):
    ran = run_gradcam("show", samples / "macaw.jpg", DISPLAY="", NO_COLOR="1")
    assert ran.returncode == 0, ran.stderr
    assert "\x1b" not in ran.stdout
    assert HALF_BLOCK not in ran.stdout
    drawn = [line for line in ran.stdout.splitlines() if "\u2800" <= line[0] <= "\u28ff"]
    assert len(drawn) > 10
    assert any("█" in line for line in drawn)


@pytest.mark.skipif(os.name != "posix", reason="Windows has no pseudo-terminals")
def test_show_keeps_the_table_and_the_prompt_in_view(samples, command_environment):
    import fcntl
    import pty
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    environment = command_environment | {"DISPLAY": "", "TERM": "xterm-256color"}
    running = subprocess.Popen(
        [sys.executable, "-m", "gradcam_cli", "show", samples / "koala.jpg"],
        stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs,
        env={key: value for key, value in environment.items() if key not in ("COLUMNS", "LINES")},
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    # Linux ends the other side of a terminal with an error.
    with contextlib.suppress(OSError):
        while part := os.read(ours, 65536):
            shown += part
    os.close(ours)
    assert running.wait(60) == 0
    lines = shown.decode().splitlines()
    assert any("koala" in line for line in lines[:3])
    assert sum(HALF_BLOCK in line for line in lines) >= 8
    # The command's own line is above, and the prompt below.
    assert len(lines) + 2 <= 24


def test_a_line_break_in_a_name_is_no_obstacle_to_a_figure(invoke, samples, tmp_path):
    (tmp_path / "a\nb.jpg").write_bytes((samples / "dog.jpg").read_bytes())
    done = invoke("a\nb.jpg", "--figure", "svg", "-q")
    assert done.exit_code == 0, done.output
    assert done.stdout == ""
    assert (tmp_path / "a\nb_gradcam_figure.svg").exists()
