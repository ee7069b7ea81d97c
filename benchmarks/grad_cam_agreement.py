"""Shows that our maps of a vision transformer are pytorch-grad-cam's, with the same weights.

    pip install -e . && pip install torch grad-cam
    python benchmarks/grad_cam_agreement.py

Both explain what the last attention is given, (N, 1 + tokens, channels), as 5×7 maps. Compared
are the methods that mean the same in both. Eigen-CAM and Eigen-Grad-CAM don't: pytorch-grad-cam
subtracts the mean of each channel and leaves the sign open. Of the methods for attention it has
none.

Exits with 1 if any map differs by more of its largest value than `METHODS` says.
"""

import sys

# isort: off
# PyTorch before TensorFlow: the other way around their libraries crash in one process.
import pytorch_grad_cam
import torch
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

import gradcam_cli
import keras
import numpy as np
# isort: on

HEIGHT, WIDTH, PATCH = 40, 56, 8
ROWS, COLUMNS = HEIGHT // PATCH, WIDTH // PATCH
CHANNELS, HEADS, BLOCKS, CLASSES = 24, 3, 3, 10
EXPLAINED = f"norm_a{BLOCKS - 1}"
# By their name: ours, and the largest difference as a part of the largest value. To the divisors of
# XGrad-CAM and Grad-CAM++ theirs adds 1e-7 and 1e-6, which shows where the divisors are small.
METHODS = {
    "GradCAM": ("GradCAM", 1e-5),
    "HiResCAM": ("HiResCAM", 1e-5),
    "LayerCAM": ("LayerCAM", 1e-5),
    "XGradCAM": ("XGradCAM", 1e-3),
    "GradCAMPlusPlus": ("GradCAMPP", 2e-2),
}


class ClassToken(keras.layers.Layer):
    """Puts a class token before the patches, and adds positions."""

    def build(self, shape):
        self.token = self.add_weight(shape=(1, 1, shape[2]), initializer="normal")
        self.positions = self.add_weight(shape=(1, shape[1] + 1, shape[2]), initializer="normal")

    def call(self, x):
        ones = keras.ops.ones_like(x[:, :1])
        return keras.ops.concatenate([self.token * ones, x], axis=1) + self.positions


def keras_network() -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((HEIGHT, WIDTH, 3))
    x = keras.layers.Conv2D(CHANNELS, PATCH, PATCH, name="embedding")(inputs)
    x = ClassToken(name="token")(keras.layers.Reshape((-1, CHANNELS))(x))
    for number in range(BLOCKS):
        y = keras.layers.LayerNormalization(epsilon=1e-6, name=f"norm_a{number}")(x)
        attention = keras.layers.MultiHeadAttention(
            HEADS, CHANNELS // HEADS, name=f"attention{number}"
        )
        x = keras.layers.Add()([x, attention(y, y)])
        y = keras.layers.LayerNormalization(epsilon=1e-6, name=f"norm_b{number}")(x)
        y = keras.layers.Dense(2 * CHANNELS, "gelu", name=f"wide{number}")(y)
        x = keras.layers.Add()([x, keras.layers.Dense(CHANNELS, name=f"narrow{number}")(y)])
    x = keras.layers.LayerNormalization(epsilon=1e-6, name="norm")(x)
    return keras.Model(inputs, keras.layers.Dense(CLASSES, name="classes")(x[:, 0]))


class TorchNetwork(torch.nn.Module):
    """The same network, with torch's own layers."""

    def __init__(self, model: keras.Model) -> None:
        super().__init__()
        self.embedding = torch.nn.Conv2d(3, CHANNELS, PATCH, PATCH)
        self.token = torch.nn.Parameter(torch.zeros(1, 1, CHANNELS))
        self.positions = torch.nn.Parameter(torch.zeros(1, ROWS * COLUMNS + 1, CHANNELS))
        for number in range(BLOCKS):
            for part in "ab":
                norm = torch.nn.LayerNorm(CHANNELS, eps=1e-6)
                self.add_module(f"norm_{part}{number}", norm)
            attention = torch.nn.MultiheadAttention(CHANNELS, HEADS, batch_first=True)
            self.add_module(f"attention{number}", attention)
            self.add_module(f"wide{number}", torch.nn.Linear(CHANNELS, 2 * CHANNELS))
            self.add_module(f"narrow{number}", torch.nn.Linear(2 * CHANNELS, CHANNELS))
        self.norm = torch.nn.LayerNorm(CHANNELS, eps=1e-6)
        self.classes = torch.nn.Linear(CHANNELS, CLASSES)
        with torch.no_grad():
            for layer in model.layers:
                weights = [torch.tensor(weight) for weight in layer.get_weights()]
                if weights:
                    self.take(layer.name, weights)

    def take(self, name: str, weights: list[torch.Tensor]) -> None:
        module = getattr(self, name)
        if name == "token":
            self.token.copy_(weights[0])
            self.positions.copy_(weights[1])
        elif name == "embedding":
            module.weight.copy_(weights[0].permute(3, 2, 0, 1))
            module.bias.copy_(weights[1])
        elif name.startswith("attention"):
            kernels, biases = weights[0:6:2], weights[1:6:2]
            flat = [kernel.reshape(CHANNELS, CHANNELS).T for kernel in kernels]
            module.in_proj_weight.copy_(torch.cat(flat))
            module.in_proj_bias.copy_(torch.cat([bias.reshape(-1) for bias in biases]))
            module.out_proj.weight.copy_(weights[6].reshape(CHANNELS, CHANNELS).T)
            module.out_proj.bias.copy_(weights[7])
        else:
            module.weight.copy_(weights[0].T if weights[0].ndim > 1 else weights[0])
            module.bias.copy_(weights[1])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.embedding(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], dim=1) + self.positions
        for number in range(BLOCKS):
            y = getattr(self, f"norm_a{number}")(x)
            x = x + getattr(self, f"attention{number}")(y, y, y, need_weights=False)[0]
            y = getattr(self, f"wide{number}")(getattr(self, f"norm_b{number}")(x))
            y = torch.nn.functional.gelu(y)
            x = x + getattr(self, f"narrow{number}")(y)
        return self.classes(self.norm(x)[:, 0])


def to_maps(tokens: torch.Tensor) -> torch.Tensor:
    """Makes (N, channels, rows, columns) of tokens, without the class token."""
    return tokens[:, 1:].transpose(1, 2).reshape(len(tokens), -1, ROWS, COLUMNS)


def main() -> int:
    model = keras_network()
    network = TorchNetwork(model).eval()
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(6, HEIGHT, WIDTH, 3)).astype(np.float32)
    as_torch = torch.tensor(inputs).permute(0, 3, 1, 2)
    classes = rng.integers(0, CLASSES, len(inputs))
    difference = np.abs(network(as_torch).detach().numpy() - model(inputs).numpy()).max()
    print(f"{'scores':16} largest difference {difference:.1e}")
    agrees = True
    for theirs, (ours, tolerance) in METHODS.items():
        layer = getattr(network, EXPLAINED)
        explainer = getattr(pytorch_grad_cam, theirs)(
            model=network, target_layers=[layer], reshape_transform=to_maps
        )
        targets = [ClassifierOutputTarget(int(number)) for number in classes]
        explainer(as_torch, targets)
        # Before it scales and resizes them, as we compare before we do.
        expected = explainer.get_cam_image(
            as_torch,
            layer,
            targets,
            explainer.activations_and_grads.activations[0].numpy(),
            explainer.activations_and_grads.gradients[0].numpy(),
            eigen_smooth=False,
        )
        found = getattr(gradcam_cli, ours)(model, conv_layer=EXPLAINED).raw_maps(
            inputs, np.eye(CLASSES)[classes]
        )
        scale = np.abs(expected).max()
        difference = float(np.abs(found.numpy() - expected).max() / scale)
        agrees &= difference <= tolerance
        print(f"{ours:16} largest value {scale:8.4f}, largest difference {difference:.1e} of it")
    return int(not agrees)


if __name__ == "__main__":
    sys.exit(main())
