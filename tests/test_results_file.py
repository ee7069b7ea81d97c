import json

import pytest

from gradcam_cli.cli.results_file import ResultsFile
from gradcam_cli.errors import OutputError, UsageError


def line(image, **more):
    return json.dumps({"image": image, **more})


def images(path):
    return [json.loads(text)["image"] for text in path.read_text().splitlines()]


def test_lines_are_there_as_soon_as_they_are_added(tmp_path):
    path = tmp_path / "new" / "told.jsonl"
    with ResultsFile(path) as results:
        assert results.done == set()
        results.add(("a.jpg", None), line("a.jpg"))
        assert images(path) == ["a.jpg"]
        results.add(("b.jpg", None), line("b.jpg", error="damaged"))
    with ResultsFile(path) as results:
        assert results.done == {("a.jpg", None)}
        results.add(("c.jpg", None), line("c.jpg"))
    assert images(path) == ["a.jpg", "b.jpg", "c.jpg"]


def test_a_new_line_replaces_an_older_one(tmp_path):
    path = tmp_path / "told.jsonl"
    path.write_text(f"{line('a.jpg')}\n{line('b.jpg', error='x')}\n")
    with ResultsFile(path) as results:
        results.add(("b.jpg", None), line("b.jpg", n=2))
    assert path.read_text() == f"{line('a.jpg')}\n{line('b.jpg', n=2)}\n"


def test_each_class_has_a_line(tmp_path):
    path = tmp_path / "told.jsonl"
    with ResultsFile(path) as results:
        results.add(("a.jpg", "lynx"), line("a.jpg", **{"class": "lynx"}))
        results.add(("a.jpg", None), line("a.jpg"))
    with ResultsFile(path) as results:
        assert results.done == {("a.jpg", None), ("a.jpg", "lynx")}
    assert images(path) == ["a.jpg", "a.jpg"]


def test_what_a_killed_run_left_is_mended(tmp_path):
    path = tmp_path / "told.jsonl"
    path.write_text(f"{line('a.jpg')}\n{line('b.jpg')}\n{line('a.jpg', n=2)}\n{line('c.jpg')[:9]}")
    with ResultsFile(path) as results:
        assert results.done == {("a.jpg", None), ("b.jpg", None)}
    assert path.read_text() == f"{line('b.jpg')}\n{line('a.jpg', n=2)}\n"


@pytest.mark.parametrize(
    "content",
    [
        "hello\n",
        "hello",
        '{"a": 1}\n',
        '{"lr": 0.1}',
        "[1]\n",
        '{"image": "a"}\n\n',
        f"{line('a.jpg')}\nmy own comment",
        "\xff\n",
    ],
)
def test_files_of_others_are_left_alone(tmp_path, content):
    path = tmp_path / "own.json"
    path.write_text(content, "latin-1")
    with pytest.raises(UsageError, match=r"own\.json"):
        ResultsFile(path)
    assert path.read_text("latin-1") == content


def test_folders_are_no_files(tmp_path):
    with pytest.raises(OutputError, match="cannot be written"):
        ResultsFile(tmp_path)
