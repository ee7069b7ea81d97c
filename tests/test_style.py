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


@pytest.fixture(scope="module")
def private_names():
    """What the package defines for itself. (What Keras does is the business of some tests.)"""
    sources = (ROOT / "gradcam_cli").rglob("*.py")
    names = {name for path in sources for _, name in names_in(path, ast.Store)}
    return {name for name in names if name.startswith("_") and not name.endswith("_")}


@pytest.mark.parametrize("path", sorted(TESTS.glob("*.py")), ids=lambda path: path.stem)
def test_tests_know_no_private_names(path, private_names):
    found = [f"line {n}: {name}" for n, name in names_in(path, ast.Load) if name in private_names]
    assert not found


def names_in(path, context):
    """Finds what a file defines, or what it takes from others: `self` and `cls` are its own."""
    defines = context is ast.Store
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case (
                ast.FunctionDef(name=name)
                | ast.ClassDef(name=name)
                | ast.Name(id=name, ctx=ast.Store())
                | ast.Attribute(attr=name, ctx=ast.Store())
            ) if defines:
                yield node.lineno, name
            case _ if defines:
                pass
            case ast.ImportFrom(names=names):
                yield from ((node.lineno, alias.name) for alias in names)
            case ast.Attribute(value=ast.Name(id="self" | "cls")):
                pass
            case (
                ast.Attribute(attr=name)
                | ast.Call(func=ast.Attribute(attr="setattr"), args=[_, ast.Constant(name), _])
            ):
                yield node.lineno, name
