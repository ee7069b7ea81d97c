"""The warning of a size at which the network doesn't recognize pictures any more."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from gradcam_cli.cli import main
from gradcam_cli.files.finding import InputPicture
from gradcam_cli.run.size_check import describe_collapse


@pytest.fixture
def warning(explainer, samples):
    """Gives the warning for sample pictures at a size, if there is one."""

    def find(size, *names):
        pictures = [InputPicture(samples / name, Path()) for name in names]
        return describe_collapse(explainer, pictures, explainer.classifier.input_for(size=size))

    return find


@pytest.mark.parametrize("side", [160, 224, 288])
def test_good_sizes_do_not_warn(warning, sample_classes, side):
    assert [name for name in sample_classes if warning((side, side), name)] == []


def test_each_picture_warns_at_twice_the_size(warning, sample_classes):
    assert all(warning((512, 512), name) for name in sample_classes)


def test_the_warning_says_what_is_lost_and_what_to_do(warning):
    text = warning((512, 512), "dog.jpg")
    assert text.startswith("efficientnet-lite0 recognizes little at 512×512 px: ")
    assert "dog.jpg has 2." in text
    assert "but 89." in text
    assert text.endswith("choose a size closer to 256×256")


def test_several_pictures_count_by_their_mean(warning):
    # The citrus fruits alone would still do.
    assert warning((384, 384), "citrus.jpg") is None
    text = warning((384, 384), "citrus.jpg", "dog.jpg", "koala.jpg", "missing.jpg")
    assert "of the first 3 pictures have" in text
    assert "on average" in text
    assert warning((384, 384), "missing.jpg") is None


@pytest.mark.parametrize(
    "command",
    [
        ["explain", "--out", "maps", "--json"],
        ["show", "--as", "blocks"],
        ["evaluate", "--metric", "sparseness"],
    ],
    ids=lambda command: command[0],
)
def test_commands_warn_once(command, samples, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    picture = str(samples / "dog.jpg")
    done = CliRunner().invoke(main, [*command, picture, "--size", "448"])
    assert done.exit_code == 0, done.output
    assert done.stderr.count("Warning: efficientnet-lite0 recognizes little") == 1
    assert "Warning" not in done.stdout
