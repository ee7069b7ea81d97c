import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from gradcam_cli.files.finding import find_pictures
from gradcam_cli.files.marks import mark


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("b.jpg", "a.PNG", "c.webp", "d.bmp", "e.tif", "f.tiff", "g.gif", "h.jpeg"):
        Path(name).touch()
    for name in ("notes.txt", "movie.mp4", "no_ending", ".hidden.jpg", "model.keras", "jpg"):
        Path(name).touch()
    for name in ("sub/deep/x.jpg", "sub/y.jpg", "other/b.jpg", ".git/z.jpg"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    return tmp_path


def names(*paths):
    return [str(picture.path) for picture in find_pictures(paths)]


def test_folders_are_searched_in_the_order_of_names(folder):
    top = ["a.PNG", "b.jpg", "c.webp", "d.bmp", "e.tif", "f.tiff", "g.gif", "h.jpeg"]
    assert names(".") == [*top, "other/b.jpg", "sub/y.jpg", "sub/deep/x.jpg"]
    assert [str(picture.folder) for picture in find_pictures(["."])][-3:] == [
        "other",
        "sub",
        "sub/deep",
    ]


def test_folders_are_seen_from_the_one_that_was_named(folder):
    found = list(find_pictures(["sub", folder / "other"]))
    assert [str(picture.path) for picture in found] == [
        "sub/y.jpg",
        "sub/deep/x.jpg",
        str(folder / "other/b.jpg"),
    ]
    assert [str(picture.folder) for picture in found] == [".", "deep", "."]


def test_named_files_are_taken_whatever_they_are_called(folder):
    assert names("notes.txt", ".hidden.jpg", "missing.jpg", "b.jpg") == [
        "notes.txt",
        ".hidden.jpg",
        "missing.jpg",
        "b.jpg",
    ]


def test_each_file_comes_once(folder):
    os.symlink("b.jpg", "link.jpg")
    assert names("b.jpg", "./b.jpg", folder / "b.jpg", "link.jpg") == ["b.jpg"]
    assert names("other", ".", "other/b.jpg").count("other/b.jpg") == 1
    assert len(names(".", ".", str(folder))) == 11


def test_links_that_go_round_end(folder):
    os.symlink(folder, "sub/round")
    assert len(names(".")) == 11


def test_own_results_are_passed_over_and_look_alikes_are_not(folder):
    picture = Image.new("RGB", (4, 4))
    ours = mark(Path("b.jpg"), Path(), "a title").png
    picture.save("b_gradcam.png", pnginfo=ours)
    picture.save("b_gradcam_281-tabby.png", pnginfo=ours)
    picture.save("b_heatmap.png", pnginfo=ours)
    picture.save("user_gradcam.png")
    picture.save("user_heatmap.jpg")
    found = names(".")
    assert "user_gradcam.png" in found
    assert "user_heatmap.jpg" in found
    assert not {"b_gradcam.png", "b_gradcam_281-tabby.png", "b_heatmap.png"} & set(found)
    # Whoever names one means it.
    assert names("b_gradcam.png") == ["b_gradcam.png"]


def test_results_that_were_moved_are_still_known(folder):
    Image.new("RGB", (4, 4)).save(
        "b_gradcam.png", pnginfo=mark(Path("b.jpg"), Path(), "a title").png
    )
    shutil.move("b_gradcam.png", "sub/b_gradcam.png")
    assert "sub/b_gradcam.png" not in names("sub")


def test_an_empty_folder_has_no_pictures(tmp_path):
    assert names(tmp_path) == []
    assert names() == []
