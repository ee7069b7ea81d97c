"""A file that an option names and that isn't there: the same words and the same exit code."""

import click
import pytest
from click.testing import CliRunner

from gradcam_cli.cli import main

# Each option that names a file to be read, and a name that it could have.
READ = {
    "--model": "nothere.keras",
    "--weights": "nothere.weights.h5",
    "--labels": "nothere.txt",
    "--custom-objects": "nothere.py",
    "--truth": "nothere.csv",
    "--from-file": "nothere.txt",
    "--annotations": "nothere.json",
}
WRITTEN = {"--out", "--report", "--json"}


def options_of_files():
    for name, command in main.commands.items():
        for parameter in command.params:
            shown = parameter.metavar or ""
            if isinstance(parameter, click.Option) and ("FI" in shown or "LIST" in shown):
                yield name, next(one for one in parameter.opts if one.startswith("--"))


def commands_with_files():
    return [(command, option) for command, option in options_of_files() if option not in WRITTEN]


def test_each_option_of_a_file_is_known_here():
    assert {option for _, option in options_of_files()} == READ.keys() | WRITTEN


@pytest.fixture
def gradcam(tmp_path, monkeypatch, save_picture):
    """Runs the command in an empty folder with a picture."""
    monkeypatch.chdir(tmp_path)
    save_picture(tmp_path / "photo.png")
    return lambda *args: CliRunner().invoke(main, [str(arg) for arg in args])


@pytest.mark.parametrize(("command", "option"), commands_with_files())
def test_a_missing_file_is_wrong_usage_for_every_option(gradcam, tmp_path, command, option):
    pictures = [] if command in ("info", "layers") else ["photo.png"]
    more = ["--method", "gradcam,layercam"] if command == "compare" else []
    done = gradcam(command, *pictures, option, READ[option], *more)
    assert done.exit_code == 2
    assert done.stderr == f"Error: {option} {READ[option]}: there is no such file\n"
    assert done.stdout == ""
    assert [path.name for path in tmp_path.iterdir()] == ["photo.png"]


@pytest.mark.parametrize("name", ["nothere.h5", "below/nothere", "nothere/", "photo.png/model"])
@pytest.mark.parametrize("command", ["info", "layers"])
def test_a_missing_model_may_also_be_an_argument(gradcam, command, name):
    done = gradcam(command, name)
    assert done.exit_code == 2
    assert done.stderr == f"Error: --model {name}: there is no such file\n"


@pytest.mark.parametrize(
    "command", ["explain", "show", "evaluate", "best-layer", "audit", "info", "layers"]
)
def test_code_for_a_model_is_refused_where_it_would_be_ignored(gradcam, tmp_path, command):
    for name in ("code.py", "own.keras", "graph/saved_model.pb"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("raise SystemExit('it was run')")
    pictures = [] if command in ("info", "layers") else ["photo.png"]
    named = "Error: --custom-objects code.py: the named models need no code; give the file of your "
    for options, told in [
        ([], named),
        (["--unsafe", "--model", "resnet50"], named),
        (["--model", "own.keras"], "Error: --custom-objects code.py: runs the code in this file; "),
        (["--model", "graph", "--unsafe"], "Error: --custom-objects code.py: a SavedModel is a "),
    ]:
        done = gradcam(command, *pictures, "--custom-objects", "code.py", *options)
        assert done.exit_code == 2
        assert done.stderr.startswith(told)
        assert len(done.stderr.splitlines()) == 1
    folder = [*pictures, "--custom-objects", "graph", "--unsafe", "--model", "own.keras"]
    done = gradcam(command, *folder)
    assert done.stderr == "Error: --custom-objects graph: is not a Python file\n"


def test_a_name_that_no_file_can_have_is_told_with_its_reason(gradcam):
    done = gradcam("photo.png", "--labels", "x" * 5000)
    assert done.exit_code == 2
    assert "cannot be read (File name too long)" in done.stderr
    assert len(done.stderr.splitlines()) == 1
