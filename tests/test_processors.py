"""Runs what depends on the processor as on others, which round differently or can do less."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gradcam_cli.networks.internals import has_onednn_on

PYTEST = [
    sys.executable,
    "-m",
    "pytest",
    "-q",
    "-n0",
    "--tb=short",
    "--color=no",
    "--disable-warnings",
]
TESTS = Path(__file__).resolve().parent
LAST_LINES = 30


# TensorFlow alone, and oneDNN with the instructions of processors since 2013 and before.
SETTINGS = [
    {"TF_ENABLE_ONEDNN_OPTS": "0"},
    {"TF_ENABLE_ONEDNN_OPTS": "1", "ONEDNN_MAX_CPU_ISA": "AVX2"},
    {"TF_ENABLE_ONEDNN_OPTS": "1", "ONEDNN_MAX_CPU_ISA": "SSE41"},
]
if has_onednn_on() is False:
    # The files themselves are run like that here.
    del SETTINGS[0]


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: "-".join(settings.values()))
def test_results_are_the_same_on_every_processor(settings):
    # Collecting the other files would take longer than these tests.
    files = [path for path in TESTS.glob("test_*.py") if "mark.processor" in path.read_text()]
    done = subprocess.run(
        [*PYTEST, "-m", "processor", *sorted(files)],
        cwd=TESTS.parent,
        env=os.environ | settings,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = done.stdout.splitlines()[-LAST_LINES:] + done.stderr.splitlines()[-LAST_LINES:]
        pytest.fail("\n".join(last), pytrace=False)
