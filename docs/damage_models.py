"""Damages model files at random, and loads them.

    python docs/damage_models.py            # 250 times each
    python docs/damage_models.py COUNT

Every file must either load or be refused in one line.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from pathlib import Path

import keras
import numpy as np

from gradcam_cli.errors import GradcamError
from gradcam_cli.models.loading import load_classifier
from gradcam_cli.models.options import ModelOptions


def save_model(folder):
    """Writes the same small network in each format; gives the file to damage and the model."""
    model = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
    model.save(folder / "model.keras")
    model.save(folder / "model.h5")
    model.export(folder / "exported", verbose=False)
    for name in ("model.keras", "model.h5"):
        yield folder / name, folder / name
    for name in ("saved_model.pb", "variables/variables.index"):
        yield folder / "exported" / name, folder / "exported"


def damage(content, random):
    """Changes some bytes, or cuts the file short."""
    if random.random() < 0.2:
        return content[: random.integers(len(content))]
    damaged = np.frombuffer(content, np.uint8).copy()
    places = random.integers(len(content), size=random.integers(1, 20))
    damaged[places] = random.integers(256, size=len(places))
    return damaged.tobytes()


def main(count):
    """Prints how each format fared."""
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        for file, model in save_model(Path(folder)):
            content = file.read_bytes()
            outcomes = Counter()
            for _ in range(count):
                file.write_bytes(damage(content, random))
                try:
                    load_classifier(ModelOptions(str(model)))
                    outcomes["loaded"] += 1
                except GradcamError as error:
                    lines = str(error).count("\n") + 1
                    outcomes[type(error).__name__ if lines == 1 else f"{lines} lines"] += 1
            file.write_bytes(content)
            print(f"{model.name} ({file.name}):", dict(outcomes), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 250)
