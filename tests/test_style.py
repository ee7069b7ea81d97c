"""The checks of the source that belong to the test command."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("check", ["ruff check", "ruff format --check", "mypy"])
def test_the_source_is_clean(check):
    done = subprocess.run(
        [sys.executable, "-m", *check.split()],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_imports_go_one_way():
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_architecture_tells_of_files_that_there_are():
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    named = re.findall(r"`([\w/]+\.pyi?)`", text)
    assert len(named) > 40
    package = [path.as_posix() for path in (ROOT / "gradcam_cli").rglob("*.py*")]
    missing = [name for name in named if not any(path.endswith(f"/{name}") for path in package)]
    assert not missing
