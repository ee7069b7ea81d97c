"""Makes as many distinct pictures as are wanted from a few."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

SIZE = (500, 375)
SAMPLES = Path(__file__).resolve().parent.parent / "sample_images"
_SMALLEST_CROP = 0.4
_QUALITY = 90


def make_pictures(folder: Path, count: int, seed: int = 0) -> list[Path]:
    """Writes JPEG files of 500×375 pixels: crops of the sample pictures, half of them flipped.

    Picture number 7 is the same whatever the count is.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sources = sorted(SAMPLES.glob("*.jpg"))

    def make(index: int) -> Path:
        path = folder / f"{index:06}.jpg"
        crop(sources[index % len(sources)], np.random.default_rng([seed, index])).save(
            path, quality=_QUALITY
        )
        return path

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(make, range(count)))


def crop(source: Path, rng: np.random.Generator) -> Image.Image:
    picture = _read(source)
    ratio = min(picture.width / SIZE[0], picture.height / SIZE[1])
    ratio *= rng.uniform(_SMALLEST_CROP, 1)
    width, height = ratio * SIZE[0], ratio * SIZE[1]
    left = rng.uniform(0, picture.width - width)
    top = rng.uniform(0, picture.height - height)
    cropped = picture.resize(
        SIZE, Image.Resampling.BICUBIC, box=(left, top, left + width, top + height)
    )
    return ImageOps.mirror(cropped) if rng.random() < 0.5 else cropped


@cache
def _read(path: Path) -> Image.Image:
    with Image.open(path) as picture:
        return picture.convert("RGB")


def link_pictures(folder: Path, pictures: Sequence[Path]) -> Path:
    """Fills a folder with links to pictures, numbered, so that no two have one name."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, picture in enumerate(pictures):
        link = folder / f"{number:06}{picture.suffix}"
        if not link.is_symlink():
            link.symlink_to(picture.resolve())
    return folder
