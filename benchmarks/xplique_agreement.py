"""Shows that our Grad-CAM maps are Xplique's: the same model, layers, inputs and targets.

    pip install -e ".[bench]" && pip install --no-deps "xplique>=2.0.2,<3"
    python benchmarks/xplique_agreement.py

Exits with 1 if any map differs by 1e-5 or more.
"""

import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
import xplique.attributions
from PIL import Image

import gradcam_cli

PICTURES = sorted((Path(__file__).parent.parent / "sample_images").glob("*.jpg"))
TOLERANCE = 1e-5


def main() -> int:
    model = gradcam_cli.load_model()
    before_softmax = keras.models.clone_model(model)
    before_softmax.set_weights(model.get_weights())
    before_softmax.layers[-1].activation = keras.activations.linear
    inputs = np.stack([read(path) for path in PICTURES])
    classes = np.argmax(model.predict(inputs, verbose=0), axis=-1)
    targets = np.eye(1000, dtype=np.float32)[classes]
    # A dataset, batched with another size than the explainers'.
    dataset = tf.data.Dataset.from_tensor_slices((inputs, targets)).batch(3)
    largest = 0.0
    for name, explained, output_layer in (
        ("probability", model, -1),
        ("score", before_softmax, None),
    ):
        for conv_layer in (None, "top_activation", "block5c_add"):
            options = {"output_layer": output_layer, "batch_size": 4, "conv_layer": conv_layer}
            ours = gradcam_cli.GradCAM(explained, **options)
            theirs = xplique.attributions.GradCAM(explained, **options)
            assert ours.conv_layer is theirs.conv_layer
            expected = theirs.explain(inputs, targets).numpy()
            for given in ((inputs, targets), (dataset,)):
                difference = float(np.abs(ours.explain(*given).numpy() - expected).max())
                largest = max(largest, difference)
                print(
                    f"{name:12} {ours.conv_layer.name:16} {type(given[0]).__name__:14} "
                    f"largest value {expected.max():8.4f}, largest difference {difference:.1e}"
                )
    return int(largest >= TOLERANCE)


def read(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB").resize((224, 224)), np.float32)


if __name__ == "__main__":
    sys.exit(main())
