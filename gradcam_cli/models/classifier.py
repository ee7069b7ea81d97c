"""What everything else needs to know of a model, wherever the model came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gradcam_cli.models.labels import Labels

if TYPE_CHECKING:
    import keras

# The modes of ``keras.applications.imagenet_utils.preprocess_input`` by the names used
# here; a network without an entry does its preprocessing itself.
PREPROCESSING_MODES = {"caffe": "caffe", "torch": "torch", "-1-1": "tf"}


@dataclass(frozen=True)
class Classifier:
    """An image classifier: a Keras model, what it wants as input and what it returns.

    Attributes:
        name: What the user calls it.
        model: From (N, height, width, channels) float32 to (N, classes).
        input_size: (height, width) that it was trained for, in pixels.
        any_size: Whether inputs of other sizes fit, because it ends in global pooling.
        preprocessing: "none", "caffe", "torch" or "-1-1" (for what RGB in [0, 255] is
            turned into before the model sees it).
        labels: The names of the classes.
    """

    name: str
    model: keras.Model
    input_size: tuple[int, int]
    any_size: bool
    preprocessing: str
    labels: Labels

    @property
    def input_shape(self) -> tuple[int | None, int | None, int]:
        """(height, width, channels), None where any size fits."""
        return (None, None, 3) if self.any_size else (*self.input_size, 3)

    def preprocess(self, inputs: Any) -> Any:
        """Turns RGB in [0, 255] into what the model was trained on.

        Args:
            inputs: (N, height, width, 3) float32, a tensor or an array.

        Returns:
            The same shape and dtype.
        """
        if self.preprocessing == "none":
            return inputs
        from keras.applications import imagenet_utils

        mode = PREPROCESSING_MODES[self.preprocessing]
        return imagenet_utils.preprocess_input(inputs, mode=mode)
