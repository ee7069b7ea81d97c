"""The checks of the source that belong to the test command."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent


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


@pytest.mark.parametrize("path", sorted(TESTS.glob("*.py")), ids=lambda path: path.stem)
def test_tests_know_no_private_names(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = [f"line {line}: {name}" for line, name in names_reached_for(tree) if is_private(name)]
    assert not found


def is_private(name):
    return name.startswith("_") and not name.endswith("_")


def names_reached_for(tree):
    """Finds what is imported, or taken from an object other than a test's own."""
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(names=imported):
                yield from ((node.lineno, alias.name) for alias in imported)
            case ast.Attribute(value=ast.Name(id="self" | "cls")):
                pass
            case ast.Attribute(value=ast.Call(func=ast.Name(id="super"))):
                pass
            case ast.Attribute(attr=name):
                yield node.lineno, name
            case ast.Call(func=ast.Attribute(attr="setattr"), args=[_, ast.Constant(str(name)), _]):
                yield node.lineno, name
