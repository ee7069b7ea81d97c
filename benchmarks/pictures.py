"""Makes as many distinct pictures as are wanted from a few."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

Size = tuple[int, int]
SIZE = (500, 375)
SAMPLES = Path(__file__).resolve().parent.parent / "sample_images"
_SMALLEST_CROP = 0.4
_QUALITY = 90
# Shares of widths × heights among photographs as data sets and photo sites have them.
_COMMON_SIZES = {
    (500, 375): 0.26,
    (375, 500): 0.09,
    (500, 333): 0.11,
    (333, 500): 0.05,
    (500, 334): 0.03,
    (334, 500): 0.01,
    (500, 500): 0.01,
    (640, 480): 0.02,
    (480, 640): 0.01,
    (1024, 768): 0.01,
}
# The others: a long side of 500 pixels and any short one, and any size at all.
_ODD_SHARE, _ANY_SHARE = 0.28, 0.12
_ODD_SIDES = (250, 500)
_PIXELS = (0.05e6, 4e6)
_WIDEST = 1.8
_UPRIGHT_SHARE = 0.33
# One of a hundred comes from a camera as it is.
_CAMERA_SIZES = ((4000, 3000), (3000, 4000), (4032, 3024))
_CAMERA_EVERY, _CAMERA_FIRST = 100, 37
_GRAINY_PIXELS = 1e6
_GRAIN = 6.0
_GRAIN_SIDE = 512


def make_pictures(folder: Path, count: int, seed: int = 0) -> list[Path]:
    """Writes JPEG files of 500×375 pixels: crops of the sample pictures, half of them flipped.

    Picture number 7 is the same whatever the count is.
    """
    return _make(folder, count, seed, lambda _index, _rng: SIZE)


def make_mixed_pictures(folder: Path, count: int, seed: int = 0) -> list[Path]:
    """Writes JPEG files of the sizes that photographs have, one after the other at random.

    Crops of the sample pictures, half of them flipped: landscape and upright, mostly 500 pixels
    on the long side, others from 0.05 to 4 megapixels, one of a hundred with 12. Picture number 7
    is the same whatever the count is.
    """
    return _make(folder, count, seed, _draw_size)


def _make(
    folder: Path, count: int, seed: int, choose_size: Callable[[int, np.random.Generator], Size]
) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    sources = sorted(SAMPLES.glob("*.jpg"))

    def make(index: int) -> Path:
        path = folder / f"{index:06}.jpg"
        rng = np.random.default_rng([seed, index])
        size = choose_size(index, rng)
        crop(sources[index % len(sources)], rng, size).save(path, quality=_QUALITY)
        return path

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(make, range(count)))


def _draw_size(index: int, rng: np.random.Generator) -> Size:
    cameras, position = divmod(index, _CAMERA_EVERY)
    if position == _CAMERA_FIRST:
        return _CAMERA_SIZES[cameras % len(_CAMERA_SIZES)]
    kinds = [*_COMMON_SIZES, "odd", "any"]
    shares = [*_COMMON_SIZES.values(), _ODD_SHARE, _ANY_SHARE]
    kind = kinds[rng.choice(len(kinds), p=shares)]
    if kind == "odd":
        sides = (500, int(rng.integers(*_ODD_SIDES)))
    elif kind == "any":
        pixels = np.exp(rng.uniform(*np.log(_PIXELS)))
        shape = rng.uniform(1, _WIDEST)
        sides = (round(np.sqrt(pixels * shape)), round(np.sqrt(pixels / shape)))
    else:
        return kind
    return sides[::-1] if rng.random() < _UPRIGHT_SHARE else sides


def crop(source: Path, rng: np.random.Generator, size: Size = SIZE) -> Image.Image:
    """Cuts out a part at random, flips it at random, and gives it a size."""
    picture = _read(source)
    ratio = min(picture.width / size[0], picture.height / size[1])
    ratio *= rng.uniform(_SMALLEST_CROP, 1)
    width, height = ratio * size[0], ratio * size[1]
    left = rng.uniform(0, picture.width - width)
    top = rng.uniform(0, picture.height - height)
    cropped = picture.resize(
        size, Image.Resampling.BICUBIC, box=(left, top, left + width, top + height)
    )
    if rng.random() < 0.5:
        cropped = ImageOps.mirror(cropped)
    # An enlarged picture has no details, and would be decoded sooner than a photograph.
    return _add_grain(cropped, rng) if size[0] * size[1] > _GRAINY_PIXELS else cropped


def _add_grain(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    tile = rng.normal(0, _GRAIN, (_GRAIN_SIDE, _GRAIN_SIDE, 1)).astype(np.int16)
    repeats = (-(-picture.height // _GRAIN_SIDE), -(-picture.width // _GRAIN_SIDE), 1)
    grain = np.tile(tile, repeats)[: picture.height, : picture.width]
    return Image.fromarray(np.clip(np.asarray(picture) + grain, 0, 255).astype(np.uint8))


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
