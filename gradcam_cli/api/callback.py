"""Draws where a network looks during training, epoch by epoch."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from gradcam_cli.api.grad_cam import GradCAM, Inputs
from gradcam_cli.api.model_inputs import ModelInputs
from gradcam_cli.cam.scaling import scale_by_maximum
from gradcam_cli.cam.upsampling import upsample
from gradcam_cli.errors import UsageError
from gradcam_cli.files.writing import written_whole
from gradcam_cli.models.task_detection import trained_task
from gradcam_cli.networks.tasks import REGRESSION
from gradcam_cli.rendering.color_scale import DEFAULT_ALPHA, DEFAULT_COLORMAP
from gradcam_cli.rendering.encoding import encode_picture
from gradcam_cli.rendering.overlay import draw_overlay

_MAXIMUM = 255.0
_RANK_OF_PICTURE = 3
# Smaller inputs are enlarged to this, so that the overlay shows the map, not single pixels.
_SMALLEST_SIDE = 128
_TAG = "gradcam"
# (N, classes)
_RANK_OF_SCORES = 2
# The metadata of ``tf.summary.image``, which itself requires TensorBoard to be installed.
_IMAGE_SUMMARY = tf.compat.v1.SummaryMetadata(
    plugin_data=tf.compat.v1.SummaryMetadata.PluginData(plugin_name="images"),
    data_class="DATA_CLASS_BLOB_SEQUENCE",
)


class GradCAMCallback(keras.callbacks.Callback):  # type: ignore[misc]
    """Writes overlays of a few validation pictures after each epoch of ``fit``.

    The files are named ``epoch-003_picture-0.png`` and so on. TensorBoard shows the overlays
    under "Images", with a slider over the epochs, next to the output of Keras's own callback.

    Example:
        >>> callback = GradCAMCallback(x_val[:4], y_val[:4], "overlays", log_dir="logs")
        >>> model.fit(x, y, callbacks=[callback])
    """

    def __init__(
        self,
        pictures: Inputs,
        targets: Sequence[int] | np.ndarray | None = None,
        folder: str | os.PathLike[str] | None = None,
        *,
        log_dir: str | os.PathLike[str] | None = None,
        every: int = 1,
        explainer: type[GradCAM] = GradCAM,
        colormap: str = DEFAULT_COLORMAP,
        alpha: float = DEFAULT_ALPHA,
        **options: Any,
    ) -> None:
        """Takes the pictures and the output folders.

        Args:
            pictures: (N, H, W, C) as the model takes them, with 1 or 3 channels. Values in
                [0, 255] or [0, 1] are drawn as they are. Other values are scaled from their
                minimum to their maximum. For a model with several inputs, a tuple, a list or a
                dictionary of them; the pictures of the explained one are drawn.
            targets: (N,) class indices or (N, classes) one-hot; None for the class that is
                most probable at each epoch or, for a regression, the first output. The true
                values of a regression aren't targets.
            folder: The folder for PNG files, created if it doesn't exist; None to write none.
            log_dir: TensorBoard's log folder; None to log nothing. Images are written to its
                subfolder "gradcam".
            every: The number of epochs between overlays, starting with the first epoch.
            explainer: `GradCAM` or a class derived from it.
            colormap: The name of a Matplotlib colormap.
            alpha: The opacity of the map, 0 to 1.
            **options: Arguments of the explainer, such as ``conv_layer`` or ``output_layer``.

        Raises:
            UsageError: Neither a folder nor a log folder is given, or the number of targets
                differs from the number of pictures.
        """
        super().__init__()
        if folder is None and log_dir is None:
            raise UsageError("give the callback a folder for overlays, a log_dir, or both")
        self._inputs = _to_arrays(pictures)
        number = len(tf.nest.flatten(self._inputs)[0])
        if targets is not None and len(targets) != number:
            raise UsageError(f"{len(targets)} targets for {number} pictures")
        self._targets = None if targets is None else np.asarray(targets)
        self._folder = None if folder is None else Path(folder)
        self._log_dir = None if log_dir is None else Path(log_dir)
        self._every = every
        self._explainer_class = explainer
        self._colormap = colormap
        self._alpha = alpha
        self._options = options
        self._writer: Any = None
        self._explainer: GradCAM | None = None

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Writes the overlays of an epoch. Keras calls this."""
        if epoch % self._every:
            return
        overlays = self._draw()
        if self._folder is not None:
            for number, overlay in enumerate(overlays):
                path = self._folder / f"epoch-{epoch + 1:03}_picture-{number}.png"
                with written_whole(path) as file:
                    file.write(encode_picture(overlay))
        if self._log_dir is not None:
            self._log(self._log_dir, overlays, epoch)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Closes TensorBoard's log file. Keras calls this."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _draw(self) -> list[Image.Image]:
        if self._explainer is None or self._explainer.model is not self.model:
            # One explainer serves all epochs: it reads the weights anew at each call.
            self._explainer = self._explainer_class(self.model, **self._options)
        maps = self._explainer.explain(self._inputs, self._one_hot())
        overlays = []
        explained, _ = ModelInputs(self._explainer.network).split(self._inputs)
        pictures = map(_to_picture, explained)
        for picture, heatmap in zip(pictures, maps[:, :, :, 0], strict=True):
            size = tf.constant([picture.height, picture.width])
            heat = scale_by_maximum(tf.nn.relu(upsample(heatmap[None], size)))[0].numpy()
            if not np.isfinite(heatmap).all():
                # The explainer has warned.
                heat = np.zeros_like(heat)
            overlays.append(
                draw_overlay(
                    picture,
                    heat,
                    colormap=self._colormap,
                    alpha=self._alpha,
                )
            )
        return overlays

    def _one_hot(self) -> np.ndarray:
        outputs = np.asarray(self.model(self._inputs, training=False))
        if self._targets is None and outputs.ndim > _RANK_OF_SCORES:
            raise UsageError(
                "the model segments pictures: give the callback targets, a class for each picture"
            )
        is_regression = trained_task(self.model) == REGRESSION
        if is_regression and self._targets is not None:
            _check_outputs(self._targets, outputs.shape[-1])
        if self._targets is None:
            classes = outputs.argmax(-1) * (not is_regression)
        elif self._targets.ndim == outputs.ndim:
            return np.asarray(self._targets, np.float32)
        else:
            classes = self._targets
        is_mask = outputs.ndim > _RANK_OF_SCORES and outputs.shape[-1] == 1
        number = 2 if is_mask else outputs.shape[-1]
        one_hot: np.ndarray = np.eye(number, dtype=np.float32)[classes]
        return one_hot

    def _log(self, folder: Path, overlays: Sequence[Image.Image], epoch: int) -> None:
        if self._writer is None:
            self._writer = tf.summary.create_file_writer(str(folder / "gradcam"))
        width, height = overlays[0].size
        values = [str(width), str(height), *(encode_picture(overlay) for overlay in overlays)]
        with self._writer.as_default():
            tf.summary.write(
                _TAG, tf.constant(np.array(values, object), tf.string), epoch, _IMAGE_SUMMARY
            )
        self._writer.flush()


def _check_outputs(targets: np.ndarray, outputs: int) -> None:
    """Refuses true values as targets of a regression: they don't say what to explain."""
    if targets.ndim == 1:
        fits = np.isin(targets, range(outputs)).all() and targets.dtype.kind in "iu"
    else:
        fits = np.isin(targets, (-1, 0, 1)).all()
    if not fits:
        raise UsageError(
            "the model is a regression: give the callback the index of an output for each picture "
            "as targets, not its true value, or None to explain the first output"
        )


def _to_arrays(inputs: Any) -> Any:
    """Converts the inputs to arrays, in the same structure; a list of pictures to one array."""
    several = isinstance(inputs, Mapping | tuple)
    if isinstance(inputs, list):
        several = any(np.ndim(one) > _RANK_OF_PICTURE for one in inputs)
    return tf.nest.map_structure(np.asarray, inputs) if several else np.asarray(inputs)


def _to_picture(values: np.ndarray) -> Image.Image:
    """Converts an input (H, W, C) to a picture of mode "RGB"."""
    low, high = float(values.min()), float(values.max())
    if low < 0 or high > _MAXIMUM:
        values = (values - low) / (high - low) * _MAXIMUM
    elif high <= 1 and values.dtype.kind == "f":
        values = values * _MAXIMUM
    picture = Image.fromarray(np.squeeze(np.rint(values).astype(np.uint8))).convert("RGB")
    factor = -(-_SMALLEST_SIDE // min(picture.size))
    size = picture.width * factor, picture.height * factor
    return picture if factor == 1 else picture.resize(size, Image.Resampling.NEAREST)
