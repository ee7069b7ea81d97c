"""What strangers name doesn't control the terminal."""

import json
import re

import pytest
from click.testing import CliRunner
from rich.text import Text

from gradcam_cli.cli import main
from gradcam_cli.cli.console import plain_table, say, stdout_console, to_json, visible

# A title for the window, red by one byte, the direction of writing, a line of its own.
NASTY = "\x1b]0;title\x07\x9b31m\u202egpj\u2069\r\nError: all is lost\x7f"
SHOWN = r"\x1b]0;title\x07\x9b31m\u202egpj\u2069\r\nError: all is lost\x7f"
CONTROLS = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
COLORS = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(*args, **environment):
        return CliRunner().invoke(main, [str(arg) for arg in args], env=environment)

    return run


@pytest.fixture
def nasty_model(small_model, tmp_path):
    """A model of such a name, with such classes; gives its arguments."""
    path = tmp_path / f"{NASTY}.keras"
    small_model().save(path)
    labels = tmp_path / "labels.json"
    labels.write_text(json.dumps([f"\x1b[2J{number}" for number in range(3)]))
    return "--model", path, "--labels", labels


def check(text):
    without_colors = COLORS.sub("", text)
    assert not CONTROLS.search(without_colors)
    assert not re.search("^Error: all is lost", without_colors, re.MULTILINE)
    assert SHOWN in without_colors


@pytest.mark.parametrize("terminal", ["", "1"])
def test_names_in_what_commands_print(run, nasty_model, save_picture, tmp_path, terminal):
    save_picture(tmp_path / f"{NASTY}.png")
    environment = {"FORCE_COLOR": terminal, "COLUMNS": "400"}
    check(run("info", *nasty_model, **environment).stdout)
    done = run(f"{NASTY}.png", *nasty_model, "--report", f"{NASTY}.html", **environment)
    assert done.exit_code == 0
    assert f"→ {SHOWN}.html" in done.stdout
    check(done.stdout)
    done = run(f"{NASTY}.png", *nasty_model, **environment)
    assert f"→ {SHOWN}_gradcam_" in done.stdout
    assert r"\x1b[2J0" in done.stdout
    check(done.stdout)
    done = run(f"{NASTY}.jpg", *nasty_model, **environment)
    assert done.exit_code == 1
    check(done.stderr)


def test_json_has_exact_values(run, nasty_model, save_picture, tmp_path):
    save_picture(tmp_path / f"{NASTY}.png")
    done = run(f"{NASTY}.png", *nasty_model, "--json")
    assert done.exit_code == 0, done.stderr
    assert not CONTROLS.search(done.stdout)
    record = json.loads(done.stdout)
    assert record["image"] == f"{NASTY}.png"
    assert record["model"] == f"{NASTY}.keras"
    assert {one["name"] for one in record["predictions"]} == {f"\x1b[2J{n}" for n in range(3)}
    assert (tmp_path / record["targets"][0]["output"]).is_file()


@pytest.mark.parametrize(
    "args",
    [
        [f"--{NASTY}"],
        ["layers", NASTY],
        ["a.png", "--model", NASTY],
        ["a.png", "--method", NASTY],
        ["a.png", "--colormap", NASTY],
        ["a.png", "--from-file", NASTY],
        ["a.png", "--report", f"/dev/null/{NASTY}/a.html"],
        ["--debug", "a.png", "--from-file", NASTY],
    ],
)
def test_arguments_in_errors(run, args):
    done = run(*args)
    assert done.exit_code in (1, 2)
    assert done.stdout == ""
    assert not CONTROLS.search(done.stderr)
    assert "title" in done.stderr


def test_colors_stay_where_escapes_come_in(capsys):
    console = stdout_console()
    text = Text("a\x1bb", style="bold").append("c\x07\x1bd", style="red").append(" é 漢 \u200d")
    console.print(text)
    table = plain_table(("name", "left"), ("", "left"))
    table.add_row("a\x1b\nb", Text("c\td"))
    console.print(table)
    say("a\tb\n\x1b[1mc")
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == [
        r"a\x1bbc\x1bd é 漢 " + "\u200d",
        "name",
        r"a\x1b\nb  c\td",
        "a\tb",
        r"\x1b[1mc",
    ]


def test_escapes():
    assert visible(NASTY) == SHOWN
    assert visible("\udcff\\ é") == r"\udcff\ é"
    line = to_json({"a": NASTY, "b": "\udcff\u202e"})
    assert not CONTROLS.search(line)
    assert json.loads(line) == {"a": NASTY, "b": "\udcff\u202e"}
