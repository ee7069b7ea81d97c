"""What pictures really show: from tables and the names of folders, checked before the work."""

from contextlib import nullcontext
from pathlib import Path

import fsspec
import pytest

from gradcam_cli.errors import GradcamWarning, TruthError, UnknownClassError, UsageError
from gradcam_cli.files.finding import InputPicture
from gradcam_cli.models.labels import Labels, imagenet_labels, numbered_labels
from gradcam_cli.run.truth import Truth, TruthNames

LABELS = Labels([["cat"], ["dog"]])


def test_a_table_tells_what_pictures_show(tmp_path):
    path = tmp_path / "truth.csv"
    path.write_text("picture,class\n\na.jpg,dog,sure\nsub/b.jpg, cat\n")
    truth = Truth(TruthNames(str(path)), LABELS)
    shown = [truth.of(InputPicture(tmp_path / name, tmp_path)) for name in ("a.jpg", "sub/b.jpg")]
    assert shown == [1, 0]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "each row must contain"),
        (b"a.jpg,dog\nb.jpg\n", "each row must contain"),
        (b"a.jpg,dog\n\0", "binary file"),
        (b"a.jpg,d\x81\n", "neither UTF-8 nor Windows-1252"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer"),
        (b"a.jpg," + b"x" * 200_000, "field larger than field limit"),
        (b"a.jpg," + b"x" * 1_000_000, "a line has 1,000,000 characters"),
    ],
)
@pytest.mark.parametrize("place", ["here", "store"])
def test_what_is_no_table_is_told_in_one_line(tmp_path, content, told, place):
    path = tmp_path / "truth.csv"
    if place == "here":
        path.write_bytes(content)
    else:
        path = "memory://truth/truth.csv"
        fsspec.filesystem("memory").pipe_file("/truth/truth.csv", content)
    with pytest.raises(UsageError, match=told) as error:
        TruthNames(str(path))
    assert str(error.value).startswith(f"--truth {path}: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_a_table_may_be_in_other_encodings(tmp_path, encoding):
    path = tmp_path / "truth.csv"
    path.write_bytes("süß.jpg,Bär\n".encode(encoding))
    with pytest.warns(GradcamWarning, match="'Bär'") if encoding == "cp1252" else nullcontext():
        names = TruthNames(str(path))
    assert names.of(InputPicture(tmp_path / "süß.jpg", Path())).name == "Bär"


def test_a_missing_table_is_told_in_one_line(tmp_path):
    for path in (f"{tmp_path}/none.csv", "memory://truth/none.csv"):
        with pytest.raises(UsageError, match=f"^--truth {path}: there is no such file$"):
            TruthNames(path)


def test_nearly_folders_is_told_what_it_may_mean():
    with pytest.raises(UsageError, match=r"--truth folder: .* file; did you mean folders\?$"):
        TruthNames("folder")


def pictures_in(*folders):
    return [InputPicture(Path("photos", folder, "1.jpg"), Path(folder)) for folder in folders]


def refusal(truth, pictures):
    with pytest.raises(UnknownClassError) as error:
        truth.check(pictures)
    return error.value


def test_folders_are_found_as_classes_are():
    # By index, id, name, another name, and a part of one.
    pictures = pictures_in("281", "n02123394", "Egyptian_cat", "tabby cat", "schipper")
    truth = Truth(TruthNames("folders"), imagenet_labels())
    truth.check(pictures)
    assert [truth.of(picture) for picture in pictures] == [281, 283, 285, 281, 223]


def test_a_flat_folder_is_no_class_because_of_a_part_of_its_name():
    truth = Truth(TruthNames("folders"), imagenet_labels())
    assert str(refusal(truth, pictures_in("val", "val"))) == (
        "--truth folders: photos/val: no class is called 'val'; did you mean vale or vault or "
        "vat? (put the pictures of each class into a folder named after it)"
    )
    truth.check(pictures_in("valley"))


def test_what_was_understood_of_a_part_of_a_name_is_told():
    truth = Truth(TruthNames("folders"), imagenet_labels())
    truth.check(pictures_in("281", "n02123394", "tabby cat"))
    assert truth.describe_guesses() is None
    truth.check(pictures_in("val", "schipper"))
    assert truth.describe_guesses() == (
        "--truth folders: took 'val' as 'valley' (979), 'schipper' as 'schipperke' (223); "
        "if that is wrong, use the full name or the index of the class"
    )


def test_a_picture_that_is_linked_belongs_to_the_folder_with_the_link(tmp_path, save_picture):
    save_picture(tmp_path / "all/1.png")
    (tmp_path / "dog").mkdir()
    (tmp_path / "dog/1.png").symlink_to(tmp_path / "all/1.png")
    truth = Truth(TruthNames("folders"), LABELS)
    assert truth.of(InputPicture(tmp_path / "dog/1.png", Path())) == 1


def test_a_flat_folder_is_refused_once():
    truth = Truth(TruthNames("folders"), LABELS)
    pictures = [InputPicture(Path("photos", f"{number}.jpg"), Path()) for number in range(99)]
    assert str(refusal(truth, pictures)) == (
        "--truth folders: photos: no class is called 'photos' (put the pictures of each class "
        "into a folder named after it)"
    )


def test_all_unknown_folders_are_listed_with_what_they_may_mean():
    truth = Truth(TruthNames("folders"), imagenet_labels())
    pictures = pictures_in("tabby", "crane", "cat", "xqzwv", "tabby")
    assert str(refusal(truth, pictures)).splitlines() == [
        "--truth folders: 3 of 4 classes are not classes of the model:",
        "  photos/crane: 'crane' fits 2 classes; choose one by its index:",
        "    134  n02012849  crane",
        "    517  n03126707  crane",
        "  photos/cat: 'cat' fits 16 classes; choose one by its index:",
        "    281  n02123045  tabby, tabby cat",
        "    282  n02123159  tiger cat",
        "    283  n02123394  Persian cat",
        "    284  n02123597  Siamese cat, Siamese",
        "    and 12 more",
        "  photos/xqzwv: no class is called 'xqzwv'",
    ]


def test_classes_without_names_have_no_folders():
    truth = Truth(TruthNames("folders"), numbered_labels(3))
    error = refusal(truth, pictures_in("ant", "bee"))
    assert str(error) == (
        "--truth folders: the model's 3 classes have no names, and there are 2 folders; "
        "name the classes with --labels FILE"
    )
    truth.check(pictures_in("0", "2"))


def test_an_unknown_class_of_a_table_is_refused_with_its_line(tmp_path):
    path = tmp_path / "truth.csv"
    path.write_text("picture,class\na.jpg,dog\n\nb.jpg,purple\nc.jpg,purple\nd.jpg,grey\n")
    truth = Truth(TruthNames(str(path)), LABELS)
    a, b, c, d = (InputPicture(tmp_path / f"{name}.jpg", Path()) for name in "abcd")
    # Rows of other pictures don't matter.
    truth.check([a])
    assert str(refusal(truth, [a, b, c])) == (
        f"--truth {path}: line 4: no class is called 'purple'"
    )
    assert str(refusal(truth, [a, b, c, d])).splitlines() == [
        f"--truth {path}: 2 of 3 classes are not classes of the model:",
        "  line 4: no class is called 'purple'",
        "  line 6: no class is called 'grey'",
    ]


def test_a_table_of_other_pictures_is_refused_but_may_lack_some(tmp_path):
    path = tmp_path / "truth.csv"
    path.write_text("a.jpg,dog\n")
    names = TruthNames(str(path))
    known, unknown = (InputPicture(tmp_path / name, Path()) for name in ("a.jpg", "z.jpg"))
    names.check([unknown, known])
    with pytest.raises(UsageError, match="contains none of the pictures"):
        names.check([unknown])
    with pytest.raises(TruthError, match=r"z\.jpg: not in the table of --truth"):
        Truth(names, LABELS).of(unknown)
