"""Closed streams, full disks, signals: the command in a process of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from gradcam_cli.cli.results_file import ResultsFile
from gradcam_cli.errors import OutputError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /dev/full and signals")


@pytest.fixture
def run_in_shell(tmp_path, command_environment):
    """Runs the command with redirections and limits of a shell, in an empty folder."""

    def run(*args, redirected="", before=":", unbuffered="", **options):
        script = f'{before}; exec "$@" {redirected}'
        return subprocess.run(
            ["/bin/sh", "-c", script, "sh", sys.executable, "-m", "gradcam_cli", *args],
            cwd=tmp_path,
            env=command_environment | {"PYTHONUNBUFFERED": unbuffered},
            text=True,
            timeout=120,
            check=False,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options,
        )

    return run


@pytest.mark.parametrize("redirected", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-", "2>/dev/full"])
def test_closed_streams(run_in_shell, redirected):
    done = run_in_shell("methods", redirected=redirected)
    assert done.returncode == 0
    assert done.stderr == ""
    assert ("layercam" in done.stdout) != (" >&-" in f" {redirected}")


def test_pictures_take_no_closed_stream_s_place(run_in_shell, tmp_path, save_picture):
    save_picture(tmp_path / "a.png")
    done = run_in_shell(
        *("a.png", "missing.png", "-v", "-o", "maps", "--json", "told.jsonl"),
        redirected="<&- >&- 2>&-",
    )
    assert done.returncode == 1
    overlay = tmp_path / "maps" / "a_gradcam.png"
    Image.open(overlay).load()
    assert overlay.read_bytes().endswith(b"IEND\xaeB`\x82")
    lines = (tmp_path / "told.jsonl").read_text().splitlines()
    assert [json.loads(line)["image"] for line in lines] == ["a.png", "missing.png"]


@pytest.mark.parametrize(("argument", "unbuffered"), [("methods", ""), ("--help", "1")])
def test_a_full_disk_under_standard_output(run_in_shell, argument, unbuffered):
    done = run_in_shell(argument, redirected="> /dev/full", unbuffered=unbuffered)
    assert done.returncode == 1
    assert done.stderr == ("Error: standard output: cannot be written (No space left on device)\n")


@pytest.mark.parametrize(("argument", "unbuffered"), [("methods", "1"), ("--help", "")])
def test_nobody_reads_standard_output(run_in_shell, argument, unbuffered):
    reader, writer = os.pipe()
    os.close(reader)
    done = run_in_shell(argument, stdout=writer, unbuffered=unbuffered)
    os.close(writer)
    assert done.returncode == 128 + signal.SIGPIPE
    assert done.stderr == ""


def test_a_full_disk_under_results(run_in_shell, tmp_path, save_picture):
    save_picture(tmp_path / "a.png", size=(320, 240))
    done = run_in_shell(
        *("a.png", "-o", "maps", "--json", "told.jsonl", "--report", "report.html"),
        before="ulimit -f 4",
    )
    assert done.returncode == 1
    assert [line.partition(" (")[0] for line in done.stderr.splitlines()] == [
        "Error: maps/a_gradcam.png: cannot be written",
        "Error: report.html: cannot be written",
    ]
    assert "cannot be written" in json.loads((tmp_path / "told.jsonl").read_text())["error"]
    assert sorted(os.listdir(tmp_path)) == ["a.png", "maps", "told.jsonl"]
    assert os.listdir(tmp_path / "maps") == []


def test_a_line_of_results_is_whole_or_not_there(tmp_path):
    path = tmp_path / "told.jsonl"
    program = (
        "import resource, sys; from pathlib import Path\n"
        "from gradcam_cli.cli.results_file import ResultsFile\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (50, 50))\n"
        "with ResultsFile(Path(sys.argv[1])) as file:\n"
        "    for name in 'abcd': file.add((name, None), '{\"image\": \"%s\"}' % name)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, path], capture_output=True, text=True, check=False
    )
    assert done.stderr.splitlines()[-1].endswith(
        f"OutputError: --json {path}: cannot be written (File too large)"
    )
    assert path.read_text() == '{"image": "a"}\n{"image": "b"}\n{"image": "c"}\n'


def test_results_may_go_to_a_device():
    with ResultsFile(Path("/dev/full")) as file, pytest.raises(OutputError, match="No space left"):
        file.add(("a.jpg", None), '{"image": "a.jpg"}')
    with ResultsFile(Path("/dev/null")) as file:
        file.add(("a.jpg", None), '{"image": "a.jpg"}')
        file.add(("a.jpg", None), '{"image": "a.jpg"}')


def test_a_report_that_cannot_be_written_is_refused_at_once(run_in_shell, tmp_path, save_picture):
    save_picture(tmp_path / "a.png")
    done = run_in_shell("a.png", "--report", "a.png/report.html")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: a.png/report.html: cannot be written (Not a directory)")
    assert os.listdir(tmp_path) == ["a.png"]


def start(folder, environment, *args, ignored=()):
    def before():
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)

    return subprocess.Popen(
        [sys.executable, "-m", "gradcam_cli", *args],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=before,
    )


@pytest.mark.parametrize(("number", "told"), [("SIGTERM", "Terminated."), ("SIGHUP", "Hung up.")])
@pytest.mark.parametrize("ignored", [False, True])
def test_signals_while_the_command_waits(tmp_path, command_environment, number, told, ignored):
    number = getattr(signal, number)
    os.mkfifo(tmp_path / "list")
    ignoring = [number] if ignored else []
    process = start(tmp_path, command_environment, "--from-file", "list", ignored=ignoring)
    # Once it reads, it heeds signals.
    with open(tmp_path / "list", "w"):
        process.send_signal(number)
        if not ignored:
            process.wait(60)
    _, stderr = process.communicate(timeout=60)
    if ignored:
        assert process.returncode == 1
        assert "no pictures in list" in stderr
    else:
        assert process.returncode == 128 + number
        assert stderr == f"\n{told}\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_a_line_is_printed(tmp_path, command_environment, save_picture, number):
    for seed in range(40):
        save_picture(tmp_path / f"photos/{seed:03}.jpg", size=(64, 48), seed=seed)
    # A line with every class is longer than a pipe takes, so the command waits for the reader.
    results = ["-o", "maps", "--json", "--top-k", "1000", "--batch-size", "2"]
    process = start(tmp_path, command_environment, "photos", *results)
    deadline = time.monotonic() + 120
    while len(list(tmp_path.glob("maps/*.png"))) < 4 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    stdout, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    records = [json.loads(line) for line in stdout.splitlines()]
    written = sorted(os.listdir(tmp_path / "maps"))
    assert 4 <= len(written) < 40
    assert [record["targets"][0]["output"] for record in records] == [
        f"maps/{name}" for name in written
    ]


def test_a_signal_while_results_are_written(tmp_path, command_environment, save_picture):
    for seed in range(300):
        save_picture(tmp_path / f"photos/{seed:03}.jpg", size=(320, 240), seed=seed)
    results = ["-o", "maps", "--json", "told.jsonl", "--report", "report.html"]
    process = start(tmp_path, command_environment, "photos", *results)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("maps/*.png")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGHUP
    assert stderr.count("\n") == 1, stderr
    line = stderr
    assert line.startswith("Hung up: ")
    records = [json.loads(line) for line in (tmp_path / "told.jsonl").read_text().splitlines()]
    written = sorted(os.listdir(tmp_path / "maps"))
    assert 0 < len(records) < 300
    assert [record["targets"][0]["output"] for record in records] == [
        f"maps/{name}" for name in written
    ]
    for name in written:
        Image.open(tmp_path / "maps" / name).load()
    assert (tmp_path / "report.html").read_text("utf-8").rstrip().endswith("</html>")
    assert sorted(os.listdir(tmp_path)) == ["maps", "photos", "report.html", "told.jsonl"]
