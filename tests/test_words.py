"""What people type that isn't quite a command, a method or an option."""

import click
import pytest
from click.testing import CliRunner

from gradcam_cli.cam.methods.table import METHODS
from gradcam_cli.cli import main
from gradcam_cli.cli.method_names import MethodName, MethodNames


@pytest.fixture
def typed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda line: CliRunner().invoke(main, line.split())


@pytest.mark.parametrize(
    ("line", "meant"),
    [("shw dog.jpg", "show"), ("layer", "layers"), ("evaluat photos", "evaluate")],
)
def test_a_misspelt_command_explains_nothing(typed, line, meant):
    done = typed(line)
    assert done.exit_code == 2
    assert f"did you mean {meant}" in done.stderr
    assert "neither a command nor a file" in done.stderr


def test_a_file_of_such_a_name_is_a_file(typed, tmp_path):
    (tmp_path / "shw").write_text("no picture")
    done = typed("shw")
    assert done.exit_code == 1
    assert "command" not in done.stderr


def test_a_word_like_no_command_is_a_file(typed):
    done = typed("holiday")
    assert "holiday: there is no such file" in done.stderr


@pytest.mark.parametrize("name", METHODS)
def test_methods_are_found_however_they_are_written(name):
    find = MethodName().convert
    for spelling in (name, name.upper(), METHODS[name].title, METHODS[name].title.lower()):
        assert find(spelling, None, None) == name


def test_several_methods_in_one_option():
    found = MethodNames().convert("Grad-CAM, layer_cam,score cam", None, None)
    assert found == ("gradcam", "layercam", "scorecam")


def test_an_unknown_method_names_those_that_are_close():
    with pytest.raises(click.BadParameter, match="did you mean layercam") as caught:
        MethodName().convert("layrcam", None, None)
    assert "eigencam" not in str(caught.value)


def test_a_model_is_named_once(typed):
    done = typed("layers vgg16 --model vgg19")
    assert done.exit_code == 2
    assert "give the model once: vgg16 or --model vgg19" in done.stderr


@pytest.mark.parametrize("value", ["maps/", "maps/dog.png", "dog2.png"])
def test_output_is_no_place(typed, value):
    done = typed(f"dog.jpg --output {value}")
    assert done.exit_code == 2
    assert "to choose where to write, use --out" in done.stderr


def test_the_old_name_of_head_is_taken_but_not_shown(typed):
    shown = typed("explain --help").stdout
    assert "--head NAME" in shown
    assert "--output" not in shown
    done = typed("dog.jpg --output scores")
    assert "--head needs a model file" in done.stderr or "no such file" in done.stderr
