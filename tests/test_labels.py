import os
import pickle
import re
import tracemalloc

import pytest

from gradcam_cli.errors import GradcamWarning, LabelsError, UnknownClassError
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
        ("kana.txt", "ねこ\nいぬ\nスーパー\n".encode("shift-jis")),
        ("control.txt", b"cat\xe4\n\x01\x02\nfox\n"),
        ("unmarked.txt", "cat\ndog\nfox\n".encode("utf-16-le")),
        ("cut.csv", "cat\ndog\nfox".encode("utf-16")[:-1]),
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


def names_in(path, content, encoding="utf-8"):
    path.write_bytes(content.encode(encoding))
    labels = read_labels(path, None)
    return [labels.name(index) for index in range(len(labels))]


@pytest.mark.parametrize("ending", ["txt", "json", "csv"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_marked_encodings_are_read_without_a_word(tmp_path, ending, encoding, recwarn):
    contents = {"txt": "Bär\nKüken\n", "json": '["Bär", "Küken"]', "csv": "0,Bär\n1,Küken\n"}
    path = tmp_path / f"names.{ending}"
    assert names_in(path, contents[ending], encoding) == ["Bär", "Küken"]
    assert not recwarn.list


def test_other_text_is_read_as_windows_writes_it_and_quoted(tmp_path):
    path = tmp_path / "names.txt"
    with pytest.warns(GradcamWarning) as told:
        assert names_in(path, "cat\nKüken – jung\nBär\n", "cp1252") == [
            "cat",
            "Küken – jung",
            "Bär",
        ]
    (warning,) = told.list
    assert str(warning.message) == (
        f"--labels {path}: is not UTF-8; read as Windows-1252 ('Küken – jung'); if that is "
        f"wrong, save it as UTF-8"
    )


def test_an_unmarked_encoding_is_named(tmp_path):
    with pytest.raises(LabelsError, match="it is UTF-16 without a byte order mark; save it as"):
        names_in(tmp_path / "names.txt", "cat\ndog\n", "utf-16-be")


def test_a_pointer_of_git_lfs_is_called_that(tmp_path):
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
    with pytest.raises(LabelsError, match=r"it is a Git LFS pointer, .*'git lfs pull'"):
        names_in(tmp_path / "names.txt", pointer)


@pytest.mark.parametrize(
    ("content", "names"),
    [
        # Teachable Machine's.
        ("0 Cat\n1 Dog\n", ["Cat", "Dog"]),
        ("2 My old dog\r\n0 Cat\r\n\r\n1  3 birds\r\n", ["Cat", "3 birds", "My old dog"]),
        # Coral's.
        ("1: dog\n0: cat\n", ["cat", "dog"]),
        ("\n".join(f"{n} class {n}" for n in range(12)), [f"class {n}" for n in range(12)]),
        # Numbers that belong to the names.
        ("1 euro\n2 euros\n5 euros\n", ["1 euro", "2 euros", "5 euros"]),
        ("2 fingers\n1 finger\n0 fingers", ["2 fingers", "1 finger", "0 fingers"]),
        ("0 Cat\n1 Dog\nBird\n", ["0 Cat", "1 Dog", "Bird"]),
        ("1 Cat\n2 Dog\n", ["1 Cat", "2 Dog"]),
        ("0 Cat\n0 Dog\n", ["0 Cat", "0 Dog"]),
        ("0\n1\n", ["0", "1"]),
        ("0th\n1st\n", ["0th", "1st"]),
        ("٠ cat\n١ dog\n", ["٠ cat", "١ dog"]),
        # As lists of ImageNet's classes are.
        (
            "n01440764 tench, Tinca tinca\nn01443537 goldfish\n",
            ["n01440764 tench, Tinca tinca", "n01443537 goldfish"],
        ),
    ],
)
def test_numbers_before_names_are_indices_only_if_all_are(tmp_path, content, names):
    assert names_in(tmp_path / "labels.txt", content) == names


def test_names_in_the_order_of_their_numbers_say_so(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_text("1 Dog\n0 Cat\n")
    labels = read_labels(path, 2)
    assert labels.origin == "labels.txt, by its numbers"
    with pytest.raises(UnknownClassError, match=r"called 'bird' among those of labels\.txt"):
        labels.find("bird")
    path.write_text("Cat\nDog\n")
    assert read_labels(path, 2).origin == ""


def test_names_that_are_numbers_stay_what_they_are(tmp_path):
    path = tmp_path / "digits.json"
    path.write_text("[0, 1, 2]")
    labels = read_labels(path, 3)
    assert [labels.name(index) for index in range(3)] == ["0", "1", "2"]
