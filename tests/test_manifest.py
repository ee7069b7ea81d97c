import io
import shutil
from pathlib import Path

import pytest

from gradcam_cli.errors import UsageError
from gradcam_cli.files.manifest import read_manifest


@pytest.fixture
def folder(tmp_path, samples, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a" / "b").mkdir(parents=True)
    shutil.copy(samples / "cat.jpg", "a/cat.jpg")
    shutil.copy(samples / "dog.jpg", "a/b/dog, old.jpg")
    return tmp_path


def found(name):
    return [(str(p.path), str(p.folder), p.target) for p in read_manifest(name)]


def test_a_list_has_a_path_in_each_line(folder):
    Path("list.txt").write_text("a/b/dog, old.jpg\r\n\na/cat.jpg\na/cat.jpg\nnone.jpg\n")
    assert found("list.txt") == [
        ("a/b/dog, old.jpg", "a/b", None),
        ("a/cat.jpg", "a", None),
        ("none.jpg", ".", None),
    ]


def test_folders_are_searched(folder):
    Path("list.txt").write_text(f"a\n{folder}/a\n")
    assert found("list.txt") == [
        ("a/cat.jpg", "a", None),
        ("a/b/dog, old.jpg", "a/b", None),
        (f"{folder}/a/cat.jpg", ".", None),
        (f"{folder}/a/b/dog, old.jpg", "b", None),
    ]


def test_a_table_may_have_classes(folder):
    Path("list.csv").write_text(
        '\ufeffid, Path ,class\n1,a/cat.jpg,tabby\n2,"a/b/dog, old.jpg",\n3,a/cat.jpg,281\n'
        "1,a/cat.jpg,tabby\n5\n",
        "utf-8",
    )
    assert found("list.csv") == [
        ("a/cat.jpg", "a", "tabby"),
        ("a/b/dog, old.jpg", "a/b", None),
        ("a/cat.jpg", "a", "281"),
    ]


def test_a_table_may_have_come_from_a_spreadsheet(folder):
    shutil.copy("a/cat.jpg", "=cat.jpg")
    Path("list.csv").write_text("path,class\n'=cat.jpg,'@home\na/cat.jpg,'tis\n")
    assert found("list.csv") == [("=cat.jpg", ".", "@home"), ("a/cat.jpg", "a", "'tis")]


def test_standard_input_is_a_list_or_a_table(folder, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a/cat.jpg\n")))
    assert found("-") == [("a/cat.jpg", "a", None)]
    table = "class,path\nlynx,a/cat.jpg\n".encode("utf-16")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(table)))
    assert found("-") == [("a/cat.jpg", "a", "lynx")]


def test_names_that_are_no_text_are_found(folder):
    name = b"a/\xff.jpg"
    shutil.copy("a/cat.jpg", name)
    Path("list.txt").write_bytes(name + b"\n")
    (picture,) = read_manifest("list.txt")
    assert picture.path.exists()


def test_a_table_in_other_encodings_names_files_and_classes(folder, recwarn):
    shutil.copy("a/cat.jpg", "a/süß.jpg")
    table = "path,class\na/süß.jpg,Küken\na/cat.jpg,Bär\n"
    expected = [("a/süß.jpg", "a", "Küken"), ("a/cat.jpg", "a", "Bär")]
    Path("list.csv").write_bytes(table.encode("utf-16"))
    assert found("list.csv") == expected
    assert not recwarn.list
    Path("list.csv").write_bytes(table.encode("cp1252"))
    assert found("list.csv") == expected
    (warning,) = recwarn.list
    assert str(warning.message).startswith("--from-file list.csv: is not UTF-8; read as Windows-")
    # Names of files that are there leave nothing to guess.
    Path("list.txt").write_bytes("a/süß.jpg\n".encode("cp1252"))
    assert found("list.txt") == [("a/süß.jpg", "a", None)]
    assert len(recwarn.list) == 1


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("none.txt", None, "there is no such file"),
        ("a", None, "cannot be read"),
        ("list.csv", "a/cat.jpg\n", 'no column "path"'),
        ("list.bin", "\0\1", "binary"),
        ("lfs.txt", "version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        ("later.txt", "a/cat.jpg\n\0\1", "binary"),
        ("line.txt", "a/cat.jpg\n" + "x" * 1_000_000, "a line has 1,000,000 characters"),
        ("field.csv", "path\n" + "x" * 200_000, "is not a table"),
    ],
)
def test_lists_that_cannot_be_read(folder, name, content, words):
    if content is not None:
        Path(name).write_text(content)
    with pytest.raises(UsageError, match=words) as error:
        list(read_manifest(name))
    assert name in str(error.value)
    assert "\n" not in str(error.value)


def test_a_name_that_no_file_can_have_spares_the_others(folder):
    Path("list.txt").write_text(f"{'x' * 5000}.jpg\na/cat.jpg\n")
    assert found("list.txt")[1:] == [("a/cat.jpg", "a", None)]


def test_the_command_reads_a_list(run_gradcam, samples, tmp_path):
    table = f"path,class\n{samples}/cat.jpg,lynx\n{samples}/cat.jpg,nonsense\n{samples}/dog.jpg,\n"
    (tmp_path / "work.csv").write_text(table)
    ran = run_gradcam("--from-file", "work.csv", "--out", "out")
    assert ran.returncode == 1
    assert "cat.jpg: no class is called 'nonsense'" in ran.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "cat_gradcam_287-lynx.png",
        "dog_gradcam.png",
    ]
