"""`gradcam demo`: the first thing that a newcomer runs, without a clone."""

import os
from importlib.resources import files

from gradcam_cli import cli


def test_the_demo_explains_its_pictures_again_and_again(run_gradcam, invoke, tmp_path):
    # A newcomer's, who has no cache folder yet.
    first = run_gradcam("demo", HOME=str(tmp_path / "home"))
    assert first.returncode == 0, first.stderr
    second = invoke("demo")
    assert second.exit_code == 0, second.output
    for ran in (first, second):
        assert "German shepherd" in ran.stdout
        assert "orange" in ran.stdout
        assert "→ gradcam-demo/dog_gradcam.png" in ran.stdout.replace("\\", "/")
        assert ran.stderr.splitlines()[-1].startswith("Next: gradcam ")
        names = {path.name for path in (tmp_path / "gradcam-demo").iterdir()}
        assert names == {"citrus.jpg", "citrus_gradcam.png", "dog.jpg", "dog_gradcam.png"}


def test_the_demo_leaves_other_files_alone(run_gradcam, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "dog.jpg").write_text("mine")
    ran = run_gradcam("demo", "--out", "mine")
    assert ran.returncode == 1
    assert "dog.jpg: exists already and is not a demo picture; choose another --out" in ran.stderr
    assert (tmp_path / "mine" / "dog.jpg").read_text() == "mine"


def test_where_nothing_can_be_written_the_demo_says_so(run_gradcam, tmp_path):
    (tmp_path / "notes.txt").write_text("a file, which can't have files in it")
    ran = run_gradcam("demo", "--out", os.path.join("notes.txt", "demo"))
    assert ran.returncode == 1
    assert ran.stderr.startswith("Error: --out notes.txt")
    assert ran.stderr.count("\n") == 1


def test_the_pictures_of_the_demo_are_small():
    folder = files(cli).joinpath("demo_pictures")
    sizes = [len(path.read_bytes()) for path in folder.iterdir() if path.name.endswith(".jpg")]
    assert len(sizes) == 2
    assert sum(sizes) <= 100_000
