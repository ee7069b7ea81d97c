import os
from pathlib import Path

import pytest
from PIL import Image

from gradcam_cli.errors import OutputError
from gradcam_cli.files.finding import InputPicture
from gradcam_cli.files.marks import is_result_of, mark
from gradcam_cli.files.naming import OutputNamer
from gradcam_cli.files.writing import written_whole

OVERLAY = ["{stem}_gradcam.png"]


@pytest.fixture(autouse=True)
def in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def picture(path, folder=""):
    return InputPicture(Path(path), Path(folder))


def write_result(path, source):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (2, 2)).save(
        path, pnginfo=mark(Path(source), Path(path).parent, "a title").png
    )


def names(namer, path, patterns=tuple(OVERLAY), folder=""):
    return [str(path) for path in namer.name(picture(path, folder), patterns)]


def test_results_lie_beside_their_picture():
    assert names(OutputNamer(), "photos/cat.jpg") == ["photos/cat_gradcam.png"]
    assert names(OutputNamer(), "cat.tar.jpg") == ["cat.tar_gradcam.png"]


def test_or_in_the_tree_below_out():
    namer = OutputNamer(Path("maps"))
    assert names(namer, "photos/a/cat.jpg", folder="a") == ["maps/a/cat_gradcam.png"]
    assert names(namer, "elsewhere/dog.jpg") == ["maps/dog_gradcam.png"]


def test_two_pictures_never_share_a_result():
    namer = OutputNamer()
    found = [
        names(namer, path)[0] for path in ("a.jpg", "a.png", "a_png.jpg", "A.jpg", "a_jpg.webp")
    ]
    assert found[:2] == ["a_gradcam.png", "a_png_gradcam.png"]
    # File systems may not tell upper case from lower.
    assert len({name.casefold() for name in found}) == 5


def test_pictures_of_several_folders_below_one_out():
    namer = OutputNamer(Path("maps"))
    found = [names(namer, f"{folder}/a.jpg")[0] for folder in ("x", "y", "z", "w")]
    assert found == [
        "maps/a_gradcam.png",
        "maps/a_jpg_gradcam.png",
        "maps/a_jpg_2_gradcam.png",
        "maps/a_jpg_3_gradcam.png",
    ]


def test_an_earlier_result_of_the_same_picture_is_replaced():
    write_result("a_gradcam.png", "a.jpg")
    assert names(OutputNamer(), "a.jpg") == ["a_gradcam.png"]
    # That of another picture isn't.
    assert names(OutputNamer(), "a.png") == ["a_png_gradcam.png"]


def test_the_users_own_files_are_never_taken():
    Image.new("RGB", (2, 2)).save("a_gradcam.png")
    Path("a_jpg_gradcam.png").write_text("notes")
    assert names(OutputNamer(), "a.jpg") == ["a_jpg_2_gradcam.png"]
    Path("b_gradcam.png").mkdir()
    assert names(OutputNamer(), "b.jpg") == ["b_jpg_gradcam.png"]
    os.symlink("nowhere", "c_gradcam.png")
    assert names(OutputNamer(), "c.jpg") == ["c_jpg_gradcam.png"]


def test_a_result_never_replaces_an_input_that_was_itself_a_result():
    # gradcam b.jpg; gradcam b_gradcam.png b.jpg: the first input is the second's result.
    write_result("b_gradcam.png", "b.jpg")
    namer = OutputNamer()
    first = names(namer, "b_gradcam.png")
    assert first == ["b_gradcam_gradcam.png"]


def test_results_of_several_classes_share_their_beginning():
    endings = ["_gradcam_1-a.png", "_heatmap_1-a.npy", "_gradcam_2-b.png", "_heatmap_2-b.npy"]
    patterns = [f"{{stem}}{ending}" for ending in endings]
    assert names(OutputNamer(), "a.jpg", patterns) == [f"a{ending}" for ending in endings]
    Path("a_heatmap_2-b.npy").write_bytes(b"the user's own numbers")
    assert names(OutputNamer(), "a.jpg", patterns) == [f"a_jpg{ending}" for ending in endings]


def test_an_array_of_the_users_is_not_replaced_beside_an_own_overlay():
    write_result("a_gradcam.png", "a.jpg")
    Path("a_heatmap.npy").write_bytes(b"the user's own numbers")
    assert names(OutputNamer(), "a.jpg", ["{stem}_gradcam.png", "{stem}_heatmap.npy"]) != [
        "a_gradcam.png",
        "a_heatmap.npy",
    ]


def test_the_mark_follows_results_that_move_with_their_pictures(tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    write_result("one/a_gradcam.png", "one/a.jpg")
    os.rename("one/a_gradcam.png", "two/a_gradcam.png")
    assert is_result_of(Path("two/a_gradcam.png"), Path("two/a.jpg"))
    assert not is_result_of(Path("two/missing.png"), Path("two/a.jpg"))


def test_a_file_appears_whole(tmp_path):
    path = tmp_path / "new" / "folder" / "a.png"
    with written_whole(path) as file:
        file.write(b"half")
        file.flush()
        assert not path.exists()
        file.write(b"whole")
    assert path.read_bytes() == b"halfwhole"
    assert os.listdir(path.parent) == ["a.png"]
    if os.name == "posix":
        # As any other program's files, not as a temporary file's.
        umask = os.umask(0)
        os.umask(umask)
        assert path.stat().st_mode & 0o777 == 0o666 & ~umask


def write(path, content=b"half", error=None):
    with written_whole(path) as file:
        file.write(content)
        if error is not None:
            raise error


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_or_not_at_all(tmp_path, error):
    path = tmp_path / "a.png"
    path.write_bytes(b"before")
    with pytest.raises(error):
        write(path, error=error)
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["a.png"]


def test_what_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    for place in (tmp_path / "file", "/proc/nowhere"):
        with pytest.raises(OutputError, match=r"a\.png: cannot be written .*--out"):
            write(Path(place, "a.png"))


def test_a_name_too_long_is_told(tmp_path):
    with pytest.raises(OutputError, match="cannot be written"):
        write(tmp_path / f"{'a' * 300}.png")
    assert os.listdir(tmp_path) == []
