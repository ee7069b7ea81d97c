"""Overlays of validation pictures, epoch by epoch."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from gradcam_cli import GradCAMCallback, LayerCAM
from gradcam_cli.errors import UsageError

RANDOM = np.random.default_rng(0)
X = RANDOM.uniform(0, 1, (24, 16, 12, 3)).astype(np.float32)
Y = RANDOM.integers(0, 3, 24)


@pytest.fixture
def model():
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((16, 12, 3)),
            keras.layers.Conv2D(6, 3),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    return model


def logged_images(folder):
    found = []
    for path in sorted(folder.rglob("events*")):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                # Two strings, width and height, come before the pictures.
                pictures = tf.make_ndarray(value.tensor)[2:]
                found.append((event.step, value.tag, [tf.io.decode_png(p) for p in pictures]))
    return found


def test_overlays_are_written_each_epoch(model, tmp_path):
    callback = GradCAMCallback(X[:2], Y[:2], tmp_path / "overlays", log_dir=tmp_path / "logs")
    model.fit(X, Y, epochs=3, verbose=0, callbacks=[callback])
    assert sorted(path.name for path in (tmp_path / "overlays").iterdir()) == [
        f"epoch-00{epoch}_picture-{number}.png" for epoch in (1, 2, 3) for number in (0, 1)
    ]
    overlays = []
    for epoch in (1, 2, 3):
        with Image.open(tmp_path / f"overlays/epoch-00{epoch}_picture-0.png") as overlay:
            overlays.append(np.asarray(overlay))
    # 12 and 16 pixels, enlarged to at least 128.
    assert overlays[0].shape == (176, 132, 3)
    # The weights change, and the maps with them.
    assert np.abs(overlays[0].astype(int) - overlays[2]).max() > 20
    logged = logged_images(tmp_path / "logs")
    assert [(step, tag) for step, tag, _ in logged] == [(step, "gradcam") for step in range(3)]
    for (_, _, pictures), overlay in zip(logged, overlays, strict=True):
        assert len(pictures) == 2
        np.testing.assert_array_equal(pictures[0], overlay)


def test_every_so_many_epochs_with_another_method(model, tmp_path):
    callback = GradCAMCallback(
        (X[:1] * 255).astype(np.uint8), folder=tmp_path, every=2, explainer=LayerCAM, conv_layer=0
    )
    model.fit(X, Y, epochs=3, verbose=0, callbacks=[callback])
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "epoch-001_picture-0.png",
        "epoch-003_picture-0.png",
    ]


def test_pictures_are_drawn_as_they_are(model, tmp_path):
    """With no colour on them, overlays are the pictures, in whatever range they come."""
    expected = np.rint(X[0] * 255)
    span = X[0].max() - X[0].min()
    for pictures, wanted in (
        (X[:1], expected),
        (expected[None], expected),
        (X[:1] * 4 - 2, (X[0] - X[0].min()) / span * 255),
    ):
        callback = GradCAMCallback(pictures, Y[:1], tmp_path, alpha=0)
        callback.set_model(model)
        callback.on_epoch_end(0)
        with Image.open(tmp_path / "epoch-001_picture-0.png") as overlay:
            np.testing.assert_allclose(np.asarray(overlay)[::11, ::11], wanted, atol=1)


def test_what_the_callback_needs():
    with pytest.raises(UsageError, match="a folder for overlays, a log_dir, or both"):
        GradCAMCallback(X[:1], Y[:1])
    with pytest.raises(UsageError, match="3 targets for 2 pictures"):
        GradCAMCallback(X[:2], Y[:3], "folder")
