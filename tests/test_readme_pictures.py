"""The pictures of the documentation are what the command makes of the sample pictures today."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs/pictures"
# Without a browser these are not made.
SCREENSHOTS = {"gallery.jpg", "large-view.jpg"}
# It takes minutes.
SHEET_OF_METHODS = {"methods.jpg"}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("pictures")
    subprocess.run(
        [sys.executable, ROOT / "docs/make_pictures.py", out, "--quick"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=True,
        timeout=300,
    )
    return out


def test_the_documentation_shows_every_picture():
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    text = "".join(page.read_text("utf-8") for page in pages)
    names = {path.name for path in PICTURES.iterdir()}
    assert len(names) == 10
    assert [name for name in names if f"pictures/{name}" not in text] == []


def test_links_lead_to_files():
    for page in (ROOT / "README.md", ROOT / "SECURITY.md", *(ROOT / "docs").glob("*.md")):
        for link in re.findall(r"\]\(([^)#:]+)[#)]", page.read_text("utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_one_command_makes_them_all_again(made):
    names = {path.name for path in made.iterdir()}
    drawn_by_hand = {path.name for path in PICTURES.glob("*.svg")}
    there = {path.name for path in PICTURES.iterdir()} - drawn_by_hand
    assert names | SCREENSHOTS | SHEET_OF_METHODS == there
    for name in names:
        with Image.open(made / name) as new, Image.open(PICTURES / name) as old:
            assert new.size == old.size, name
            pixels = [np.asarray(image.convert("RGB"), int) for image in (new, old)]
        # Fonts and decoders differ a little between machines.
        assert np.abs(pixels[0] - pixels[1]).mean() < 12, name
