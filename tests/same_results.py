"""What docs/many-pictures.md promises: nearly the same results, whatever runs beside them.

Processors round differently, and so does one processor in batches of another size. Each
function says in one line what differs: pytest would take minutes to compare whole files.
"""

from pathlib import Path

import numpy as np
from PIL import Image

# A probability differs by less.
PROBABILITY = 1e-5
# Where rounding takes a pixel to the next colour of the default map, at the default strength.
COLOR_STEP = 3
# Of a million bytes, so many may be of such a pixel. (FullGrad and Guided Grad-CAM need more.)
BYTES_PER_MILLION = 300


def assert_same_values(found, expected, within, name="values"):
    """Compares arrays that rounding alone may tell apart."""
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    assert found.shape == expected.shape, f"{name}: shape {found.shape}, not {expected.shape}"
    steps = np.abs(found - expected)
    # Written so that NaN is over it too.
    over = int(np.sum(~(steps <= within)))
    assert not over, f"{name}: {over} of {steps.size} differ by more than {within}: {steps.max()}"


def assert_same_predictions(found, expected, name="predictions"):
    """Compares the most probable classes that are told of one picture."""
    classes = [(prediction.index, prediction.name) for prediction in found]
    others = [(prediction.index, prediction.name) for prediction in expected]
    assert classes == others, f"{name}: classes {classes}, not {others}"
    assert_same_values(
        [prediction.probability for prediction in found],
        [prediction.probability for prediction in expected],
        PROBABILITY,
        f"{name}: probabilities",
    )


def assert_same_overlays(folder, other):
    """Compares all PNG files of two folders, pixel by pixel."""
    names = _png_names(folder)
    assert names == _png_names(other), f"{folder} and {other} have files of different names"
    bytes_, differing = 0, 0
    for name in names:
        found, expected = (_pixels(Path(place, name)) for place in (folder, other))
        assert found.shape == expected.shape, f"{name}: shape {found.shape}, not {expected.shape}"
        steps = np.abs(found - expected)
        largest = steps.max()
        assert largest <= COLOR_STEP, (
            f"{name}: {np.count_nonzero(steps)} of {steps.size} bytes differ, by up to {largest}"
        )
        bytes_ += steps.size
        differing += np.count_nonzero(steps)
    assert differing * 1e6 <= bytes_ * BYTES_PER_MILLION, (
        f"{folder} and {other}: {differing} of {bytes_} bytes differ"
    )


def assert_same_files(found, expected):
    """Compares bytes by the names of their files, where a run promises the same files."""
    assert set(found) == set(expected), f"only in one: {sorted(set(found) ^ set(expected))}"
    differing = [str(name) for name in sorted(found) if found[name] != expected[name]]
    assert not differing, f"{len(differing)} of {len(found)} files differ: {differing[:3]}"


def _png_names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*.png"))


def _pixels(path):
    with Image.open(path) as image:
        return np.asarray(image, np.int16)
