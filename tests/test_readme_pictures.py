"""The pictures of the README are what the command makes of the sample pictures today."""

import os
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


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("pictures")
    subprocess.run(
        [sys.executable, ROOT / "docs/make_pictures.py", out],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=True,
        timeout=300,
    )
    return out


def test_readme_shows_every_picture():
    readme = (ROOT / "README.md").read_text("utf-8")
    names = {path.name for path in PICTURES.iterdir()}
    assert len(names) == 7
    assert [name for name in names if f"docs/pictures/{name}" not in readme] == []


def test_one_command_makes_them_all_again(made):
    names = {path.name for path in made.iterdir()}
    assert names | SCREENSHOTS == {path.name for path in PICTURES.iterdir()}
    for name in names:
        with Image.open(made / name) as new, Image.open(PICTURES / name) as old:
            assert new.size == old.size, name
            pixels = [np.asarray(image.convert("RGB"), int) for image in (new, old)]
        # Fonts and decoders differ a little between machines.
        assert np.abs(pixels[0] - pixels[1]).mean() < 12, name
