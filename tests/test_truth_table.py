import fsspec
import pytest

from gradcam_cli.errors import UsageError
from gradcam_cli.files.finding import InputPicture
from gradcam_cli.models.labels import Labels
from gradcam_cli.run.truth import Truth

LABELS = Labels([["cat"], ["dog"]])


def test_a_table_tells_what_pictures_show(tmp_path):
    path = tmp_path / "truth.csv"
    path.write_text("picture,class\n\na.jpg,dog,sure\nsub/b.jpg, cat\n")
    truth = Truth(str(path), LABELS)
    shown = [truth.of(InputPicture(tmp_path / name, tmp_path)) for name in ("a.jpg", "sub/b.jpg")]
    assert shown == [1, 0]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "each row should hold"),
        (b"a.jpg,dog\nb.jpg\n", "each row should hold"),
        (b"a.jpg,dog\n\0", "binary file"),
        (b"a.jpg,d\xff\n", "cannot be read"),
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
        Truth(str(path), LABELS)
    assert str(error.value).startswith(f"--truth {path}: ")
    assert "\n" not in str(error.value)


def test_a_missing_table_is_told_in_one_line(tmp_path):
    for path in (f"{tmp_path}/none.csv", "memory://truth/none.csv"):
        with pytest.raises(UsageError, match=f"^--truth {path}: there is no such file$"):
            Truth(path, LABELS)
