"""The documentation site: built strictly from the pages, and complete."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import gradcam_cli
from gradcam_cli import evaluation

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site. Broken links, missing references and all other warnings are errors."""
    folder = tmp_path_factory.mktemp("site")
    # test_tutorial.py runs the notebook.
    options = ["--fail-on-warning", "--keep-going", "-D", "nb_execution_mode=off"]
    folders = ["-c", "docs", "-d", folder / "doctrees", ".", folder / "html"]
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *options, *folders],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    # TensorFlow's own messages begin otherwise.
    problems = re.findall(r"^\S+: (?:WARNING|ERROR): .*$", done.stderr, re.MULTILINE)
    assert done.returncode == 0, "\n".join(problems) or done.stderr
    return folder / "html"


def test_it_has_every_page(site):
    pages = [*(ROOT / "docs").glob("*.md"), *(ROOT / "docs").glob("*.ipynb")]
    assert len(pages) > 12
    assert [page for page in pages if not (site / "docs" / f"{page.stem}.html").exists()] == []
    assert 'url=docs/index.html"' in (site / "index.html").read_text("utf-8")


def test_the_reference_has_every_public_name(site):
    page = (site / "docs/api.html").read_text("utf-8")
    names = [f"gradcam_cli.{name}" for name in gradcam_cli.__all__ if name != "__version__"]
    names += [f"gradcam_cli.evaluation.{name}" for name in evaluation.__all__]
    assert len(names) > 40
    assert [name for name in names if f'id="{name}"' not in page] == []


def test_formulas_need_no_script(site):
    page = (site / "docs/methods.html").read_text("utf-8")
    assert page.count("<math") > 20
    assert "merror" not in page


def test_pages_load_nothing_from_elsewhere(site):
    loading = re.compile(r"<(?:script|img|link|iframe)\b[^>]*\b(?:src|href)=\"(https?:)?//[^>]*>")
    found = [
        f"{page.name}: {tag.group()}"
        for page in site.rglob("*.html")
        for tag in loading.finditer(page.read_text("utf-8"))
    ]
    assert found == []
    styles = [style.read_text("utf-8") for style in site.rglob("*.css")]
    assert not any(re.search(r"url\(['\"]?(https?:)?//", style) for style in styles)
