import os
import pickle
import re
import tracemalloc

import pytest

from gradcam_cli.errors import LabelsError, UnknownClassError
from gradcam_cli.models.labels import Labels, imagenet_labels, read_labels


@pytest.fixture(scope="module")
def imagenet():
    return imagenet_labels()


def test_imagenet_has_its_thousand_classes_in_order(imagenet):
    assert len(imagenet) == 1000
    known = {
        0: ("n01440764", "tench"),
        281: ("n02123045", "tabby"),
        999: ("n15075141", "toilet tissue"),
    }
    for index, (wnid, name) in known.items():
        assert imagenet.wnid(index) == wnid
        assert imagenet.name(index) == name
    wnids = [imagenet.wnid(index) for index in range(1000)]
    # The classes of ImageNet are numbered in the order of their ids.
    assert wnids == sorted(set(wnids))


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("281", 281),
        ("n02123045", 281),
        ("N02123045", 281),
        ("tabby", 281),
        ("TABBY", 281),
        ("Tabby Cat", 281),
        ("tabby_cat", 281),
        ("  tabby   cat ", 281),
        ("Egyptian cat", 285),
        ("egyptian_cat", 285),
        ("lesser panda", 387),
        ("red panda", 387),
        ("alsatian", 235),
        ("0", 0),
        ("999", 999),
        ("capuchin", 378),
    ],
)
def test_finds_a_class_by_index_id_and_name(imagenet, text, index):
    assert imagenet.find(text) == index


def test_a_whole_name_wins_over_parts_of_other_names(imagenet):
    # "tiger" is also in "tiger cat", "tiger shark" and "tiger beetle".
    assert imagenet.name(imagenet.find("tiger")) == "tiger"


@pytest.mark.parametrize("text", ["1000", "-1", "99999999999"])
def test_tells_the_range_of_indices(imagenet, text):
    with pytest.raises(UnknownClassError, match="are 0 to 999"):
        imagenet.find(text)


def test_lists_several_matches_with_index_and_id_one_a_line(imagenet):
    with pytest.raises(UnknownClassError) as error:
        imagenet.find("crane")
    assert str(error.value).splitlines() == [
        "'crane' fits 2 classes; choose one by its index:",
        "  134  n02012849  crane",
        "  517  n03126707  crane",
    ]
    # Also after a way through another process.
    assert str(pickle.loads(pickle.dumps(error.value))) == str(error.value)


def test_a_long_list_of_matches_is_cut(imagenet):
    with pytest.raises(UnknownClassError) as error:
        imagenet.find("terrier")
    first, *lines, last = str(error.value).splitlines()
    number = int(re.search(r"(\d+) classes", first)[1])
    assert 10 < len(lines) < number
    assert last == f"  and {number - len(lines)} more"


def test_matches_without_ids_are_aligned():
    labels = Labels([["red fox"], *[["ant"]] * 9, ["grey fox", "fox"], ["arctic fox"]])
    with pytest.raises(UnknownClassError) as error:
        labels.find("fo")
    assert error.value.details == (" 0  red fox", "10  grey fox, fox", "11  arctic fox")


def test_a_wrong_name_gets_close_ones(imagenet):
    with pytest.raises(UnknownClassError, match="tabby"):
        imagenet.find("tabbi")
    with pytest.raises(UnknownClassError, match="no class is called 'xqzwv'"):
        imagenet.find("xqzwv")


@pytest.mark.parametrize("text", ["", "   ", "n00000000", "3.5"])
def test_refuses_what_means_no_class(imagenet, text):
    with pytest.raises(UnknownClassError):
        imagenet.find(text)


def test_classes_without_wordnet_ids():
    labels = Labels([["cat"], ["dog", "hound"]])
    assert len(labels) == 2
    assert labels.wnid(0) is None
    assert labels.find("hound") == 1
    assert labels.find("DOG") == 1
    with pytest.raises(UnknownClassError):
        labels.find("n02123045")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("null.json", "null"),
        ("number.json", "3"),
        ("text.json", '"cat"'),
        ("truth.json", "true"),
        ("lists.json", '[["cat"], ["dog"], ["fox"]]'),
        ("map.json", '{"0": {"name": "cat"}, "1": "dog", "2": "fox"}'),
        ("nulls.json", '[null, "dog", "fox"]'),
        ("deep.json", "[" * 200_000),
        ("deep_map.json", '{"a":' * 200_000),
        ("infinite.json", '{"cat": 1e999, "dog": 1, "fox": 2}'),
        ("long_number.json", '{"cat": 0, "dog": 1, "fox": ' + "9" * 5000 + "}"),
        ("half.json", r'["\ud800", "dog", "fox"]'),
        ("empty.json", ""),
        ("field.csv", "0," + "x" * 200_000 + "\n1,dog\n2,fox\n"),
        ("ragged.csv", "0,cat\n1\n2,fox\n"),
        ("words.csv", "cat,dog\nfox,bee\nant,elk\n"),
        ("latin.txt", "bär\nkuh\nfüchse\n".encode("latin-1")),
        ("utf16.txt", "cat\ndog\nfox\n".encode("utf-16")),
        ("cut.csv", b"cat\ndog\nf\xc3"),
    ],
)
def test_what_names_no_classes_is_refused_in_one_short_line(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(LabelsError) as error:
        read_labels(path, 3)
    message = str(error.value)
    assert message.startswith(f"--labels {path}: not a list of class names (")
    assert "\n" not in message
    assert len(message) < 500


@pytest.mark.parametrize("ending", ["txt", "json", "csv"])
def test_a_large_file_is_refused_in_little_memory(tmp_path, ending):
    path = tmp_path / f"zeros.{ending}"
    path.touch()
    os.truncate(path, 1 << 30)
    tracemalloc.start()
    try:
        with pytest.raises(LabelsError, match=rf"zeros.{ending}: .*larger than 16 MB"):
            read_labels(path, 3)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 1 << 26


def test_names_that_are_numbers_stay_what_they_are(tmp_path):
    path = tmp_path / "digits.json"
    path.write_text("[0, 1, 2]")
    labels = read_labels(path, 3)
    assert [labels.name(index) for index in range(3)] == ["0", "1", "2"]
