"""Programs and notebooks that use the Python interface see no log lines of TensorFlow's."""

import os
import re
import subprocess
import sys

import pytest

# As docs/python.md begins.
PROGRAM = """
import os, sys
from gradcam_cli import explain_image

print("mine", file=sys.stderr)
explanation = explain_image(sys.argv[1])
explanation.predictions, explanation.heatmap, explanation.overlay
print(explanation.predictions[0].name, os.environ.get("TF_CPP_MIN_LOG_LEVEL"))
"""
# What this begins with. Keras, which comes after it, writes nothing by itself.
ITS_IMPORT = (
    "import sys; from gradcam_cli.runtime.tensorflow_import import import_for_programs as do; do()"
)
LOG_LINE = re.compile(r"^[IWE]\d{4} |absl::InitializeLog|oneDNN custom operations", re.MULTILINE)


@pytest.fixture
def run_program(command_environment, samples):
    def run(code, **environment):
        clean = {
            key: value for key, value in command_environment.items() if not key.startswith("TF_")
        }
        return subprocess.run(
            [sys.executable, "-c", code, samples / "cat.jpg"],
            env=clean | environment,
            capture_output=True,
            text=True,
            timeout=200,
            check=True,
        )

    return run


def test_a_program_is_quiet_and_keeps_its_settings(run_program):
    ran = run_program(PROGRAM)
    assert ran.stdout.split() == ["Egyptian", "cat", "None"]
    assert ran.stderr == "mine\n"


def test_who_asks_for_messages_gets_them(run_program):
    assert LOG_LINE.search(run_program(ITS_IMPORT, TF_CPP_MIN_LOG_LEVEL="0").stderr)


def test_only_log_lines_of_the_level_are_left_out():
    code = """
import os, sys
from gradcam_cli.runtime.stderr import without_log_lines
with without_log_lines(2):
    os.write(2, b"I0000 00:00:1795740372.818597   14148 port.cc:153] information\\n")
    os.write(2, b"W0000 00:00:1795740372.818597   14148 port.cc:153] a warning\\n")
    os.write(2, b"E0000 00:00:1795740372.818597   14148 port.cc:153] an error\\n")
    os.write(2, b"2026-01-01 12:00:00.123456: I tensorflow/core/util/port.cc:153] older\\n")
    print("I wrote this", file=sys.stderr)
print("after", file=sys.stderr)
"""
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    error, own, after = ran.stderr.splitlines()
    assert error.endswith("an error")
    assert (own, after) == ("I wrote this", "after")


@pytest.mark.skipif(os.name != "posix", reason="a closed descriptor as a POSIX shell leaves it")
def test_a_program_without_standard_error_imports_too(command_environment):
    code = f"{ITS_IMPORT}; print(sys.modules['tensorflow'].constant(1).numpy())"
    ran = subprocess.run(
        ["/bin/sh", "-c", 'exec "$0" -c "$1" 2>&-', sys.executable, code],
        env=command_environment, stdout=subprocess.PIPE, text=True, check=True, timeout=200,
    )  # fmt: skip
    assert ran.stdout.split() == ["1"]
