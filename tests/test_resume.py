"""Runs that were stopped and go on, by the real command."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from PIL import Image
from same_results import assert_same_overlays
from tasks import make_task

from gradcam_cli.files.finding import InputPicture, find_pictures
from gradcam_cli.files.writing import written_whole
from gradcam_cli.pictures.fitting import choose_input_size
from gradcam_cli.run.pipeline import explain_pictures


@pytest.fixture
def photos(tmp_path, samples):
    """Sixty different pictures in two folders."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for number, path in enumerate(sorted(samples.glob("*.jpg"))):
        with Image.open(path) as picture:
            picture.thumbnail((400, 400))
            for cut in range(6):
                part = picture.crop((3 * cut, 2 * cut, picture.width, picture.height))
                name = f"{number}-{cut}.jpg"
                part.save(folder / "more" / name if cut % 2 else folder / name)
    return folder


@pytest.fixture
def start(tmp_path, command_environment):
    def run(*arguments):
        return subprocess.Popen(
            [sys.executable, "-m", "gradcam_cli", *map(str, arguments)],
            cwd=tmp_path,
            env=command_environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    return run


def files_below(folder):
    return {path.relative_to(folder): path for path in folder.rglob("*") if path.is_file()}


def lines_of(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_a_killed_run_leaves_whole_files_and_goes_on(tmp_path, photos, start, invoke):
    out, told = tmp_path / "out", tmp_path / "told.jsonl"
    command = ["photos", "--out", out, "--json", told, "--batch-size", "2", "-q"]
    running = start(*command)
    deadline = time.monotonic() + 90
    while len(list(out.rglob("*.png"))) < 12:
        assert running.poll() is None, running.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    running.send_signal(signal.SIGKILL)
    running.wait()
    partly = files_below(out)
    assert 12 <= len(partly) < 60
    for path in partly.values():
        assert path.suffix == ".png"
        with Image.open(path) as image:
            image.load()
    # Whatever is told was written before.
    assert all(os.path.exists(line["targets"][0]["output"]) for line in lines_of(told))

    again = start(*command, "--skip-existing", "-v")
    printed, errors = again.communicate(timeout=90)
    assert again.returncode == 0, errors
    assert printed == ""
    complete = files_below(out)
    assert len(complete) == 60
    images = [line["image"] for line in lines_of(told)]
    assert sorted(images) == sorted(str(p.relative_to(tmp_path)) for p in photos.rglob("*.jpg"))

    whole = tmp_path / "whole"
    assert invoke("photos", "--out", whole, "-q", "--workers", "1").exit_code == 0
    assert_same_overlays(whole, out)


def test_what_exists_is_left_out_and_told(run_gradcam, invoke, samples, tmp_path):
    arguments = [samples / "cat.jpg", samples / "dog.jpg", "--out", "out"]
    assert invoke(*arguments).exit_code == 0
    before = (tmp_path / "out" / "dog_gradcam.png").stat()
    (tmp_path / "out" / "cat_gradcam.png").unlink()
    again = run_gradcam(*arguments, "--skip-existing")
    assert again.returncode == 0
    assert "dog.jpg" not in again.stdout
    assert "1 picture explained, 1 skipped" in again.stderr
    assert (tmp_path / "out" / "cat_gradcam.png").exists()
    assert (tmp_path / "out" / "dog_gradcam.png").stat().st_mtime_ns == before.st_mtime_ns


@pytest.fixture
def explain(explainer, tmp_path):
    def run(pictures, **options):
        classifier = explainer.classifier
        size = choose_input_size(classifier.input_size, classifier.any_size, "keep")
        task = make_task(size=size, out=tmp_path / "out", skip_existing=True, **options)
        return list(explain_pictures(pictures, [explainer], task))

    return run


@pytest.fixture
def two(tmp_path, samples):
    """Two pictures that want the same names, and a user's own file in the way."""
    folder = tmp_path / "two"
    folder.mkdir()
    with Image.open(samples / "cat.jpg") as picture:
        picture.save(folder / "a.jpg")
        picture.save(folder / "a.png")
    return list(find_pictures([folder]))


def test_names_stay_with_their_pictures(tmp_path, explain, two):
    first = explain(two)
    names = [result.targets[0].output.name for result in first]
    assert names == ["a_gradcam.png", "a_png_gradcam.png"]
    assert [result.skipped for result in explain(two)] == [True, True]
    (tmp_path / "out" / "a_gradcam.png").unlink()
    by_name = {result.picture.path.name: result for result in explain(two)}
    assert by_name["a.png"].skipped
    assert by_name["a.jpg"].targets[0].output.name == "a_gradcam.png"


def test_a_users_file_is_no_result(tmp_path, explain, two):
    (tmp_path / "out").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "out" / "a_gradcam.png")
    (result,) = explain(two[:1])
    assert result.targets[0].output.name == "a_jpg_gradcam.png"
    assert [result.skipped for result in explain(two[:1])] == [True]


def test_every_file_of_a_picture_has_to_be_there(tmp_path, explain, two):
    options = {"heatmap": "npy", "figure": "png"}
    explain(two[:1], **options)
    assert explain(two[:1], **options)[0].skipped
    for name in ("a_heatmap.npy", "a_gradcam_figure.png"):
        (tmp_path / "out" / name).unlink()
        assert not explain(two[:1], **options)[0].skipped
        assert (tmp_path / "out" / name).exists()
    assert not explain(two[:1], **options, format="jpg")[0].skipped


def test_several_classes_and_classes_of_a_list(tmp_path, explain, two):
    assert not explain(two[:1], classes=[281, 285])[0].skipped
    assert explain(two[:1], classes=[281, 285])[0].skipped
    assert not explain(two[:1], classes=[281, 287])[0].skipped
    ranks = {"classes": [-1, -2], "composite": True}
    assert not explain(two[:1], **ranks)[0].skipped
    assert explain(two[:1], **ranks)[0].skipped
    lynx = InputPicture(two[0].path, two[0].folder, target="lynx")
    (result,) = explain([lynx])
    # The overlay of this class was written above.
    assert result.skipped
    dalmatian = InputPicture(two[0].path, two[0].folder, target="dalmatian")
    (result,) = explain([dalmatian])
    assert result.targets[0].output.name == "a_gradcam_251-dalmatian.png"
    assert explain([dalmatian])[0].skipped
    nothing = InputPicture(two[0].path, two[0].folder, target="nonsense")
    (result,) = explain([nothing])
    assert str(two[0].path) in str(result.error)


def test_what_is_not_recorded_is_done_again(explain, two):
    explain(two[:1])
    again = InputPicture(two[0].path, two[0].folder, redo=True)
    assert not explain([again])[0].skipped


def test_nothing_is_left_of_a_file_that_was_not_finished(tmp_path):
    path = tmp_path / "folder" / "a.png"

    def fail():
        with written_whole(path) as file:
            file.write(b"half")
            file.flush()
            assert not path.exists()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(path.parent.iterdir()) == []
    for content in (b"first", b"second"):
        with written_whole(path) as file:
            file.write(content)
        assert path.read_bytes() == content
        assert [entry.name for entry in path.parent.iterdir()] == ["a.png"]
