"""Small vision transformers with random weights, and what they compute, in NumPy's words.

The pass forward is written down once more from the weights alone, on TensorFlow's arrays, so that
a tape gives its gradients.
"""

import keras
import numpy as np
import tensorflow as tf

from gradcam_cli.cam.methods.attention import AttentionMethod
from gradcam_cli.cam.methods.base import find_implementation
from gradcam_cli.cam.methods.table import METHODS

HEIGHT, WIDTH, PATCH = 12, 20, 4
ROWS, COLUMNS = HEIGHT // PATCH, WIDTH // PATCH
CHANNELS, HEADS, BLOCKS, CLASSES = 8, 2, 3, 4
KEY = CHANNELS // HEADS


def _needs_attention(info):
    implementation = find_implementation(info)
    return isinstance(implementation, type) and issubclass(implementation, AttentionMethod)


ATTENTION_METHODS = [name for name, info in METHODS.items() if _needs_attention(info)]
# What explains a convolutional network too.
OTHER_METHODS = [
    name
    for name, info in METHODS.items()
    if name not in ATTENTION_METHODS and not info.only_for_detection
]


class Extend(keras.layers.Layer):
    """Puts a class token before the patches, where there is one, and adds positions."""

    def __init__(self, class_tokens, **options):
        super().__init__(**options)
        self.class_tokens = class_tokens

    def build(self, shape):
        tokens = shape[1] + self.class_tokens
        if self.class_tokens:
            self.token = self.add_weight(
                shape=(1, self.class_tokens, shape[2]), initializer="normal", name="token"
            )
        self.positions = self.add_weight(
            shape=(1, tokens, shape[2]), initializer="normal", name="positions"
        )

    def call(self, x):
        if self.class_tokens:
            token = keras.ops.broadcast_to(
                self.token, (keras.ops.shape(x)[0], self.class_tokens, x.shape[-1])
            )
            x = keras.ops.concatenate([token, x], axis=1)
        return x + self.positions

    def get_config(self):
        return {**super().get_config(), "class_tokens": self.class_tokens}


def build(class_tokens=1, blocks=BLOCKS, seed=3):
    """A pre-norm vision transformer; without class tokens its patches are pooled."""
    keras.utils.set_random_seed(seed)
    large = {"kernel_initializer": keras.initializers.RandomNormal(stddev=0.6)}
    inputs = keras.Input((HEIGHT, WIDTH, 3))
    x = keras.layers.Conv2D(CHANNELS, PATCH, PATCH, name="embedding", **large)(inputs)
    x = keras.layers.Reshape((-1, CHANNELS))(x)
    x = Extend(class_tokens, name="extend")(x)
    for number in range(blocks):
        y = keras.layers.LayerNormalization(name=f"norm_a{number}")(x)
        attention = keras.layers.MultiHeadAttention(HEADS, KEY, name=f"attention{number}", **large)
        x = keras.layers.Add()([x, attention(y, y)])
        y = keras.layers.LayerNormalization(name=f"norm_b{number}")(x)
        y = keras.layers.Dense(16, "gelu", name=f"wide{number}", **large)(y)
        y = keras.layers.Dense(CHANNELS, name=f"narrow{number}", **large)(y)
        x = keras.layers.Add(name=f"block{number}")([x, y])
    x = keras.layers.LayerNormalization(name="norm")(x)
    x = x[:, 0] if class_tokens else keras.layers.GlobalAveragePooling1D()(x)
    outputs = keras.layers.Dense(CLASSES, "softmax", name="classes", **large)(x)
    model = keras.Model(inputs, outputs)
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        # Fresh normalizations and biases would hide what is done with theirs.
        if "norm" in layer.name:
            gamma, beta = layer.get_weights()
            layer.set_weights(
                [gamma + rng.normal(0, 0.2, gamma.shape), rng.normal(0, 0.2, beta.shape)]
            )
    return model


def random_inputs(number):
    return np.random.default_rng(1).normal(size=(number, HEIGHT, WIDTH, 3)).astype(np.float32)


class ByHand:
    """A pass through such a network for one input, computed from its weights.

    `attention[l]` is (heads, tokens, tokens), `tokens[l]` what block l hands on.
    """

    def __init__(self, model, x):
        self.weights = {
            layer.name: [tf.constant(weight) for weight in layer.get_weights()]
            for layer in model.layers
        }
        self.class_tokens = model.get_layer("extend").class_tokens
        kernel, bias = self.weights["embedding"]
        x = tf.constant(x)
        cells = [
            tf.einsum(
                "ijc,ijcd->d",
                x[r * PATCH : (r + 1) * PATCH, c * PATCH : (c + 1) * PATCH],
                kernel,
            )
            + bias
            for r in range(ROWS)
            for c in range(COLUMNS)
        ]
        extra = self.weights["extend"]
        z = tf.stack(cells)
        if self.class_tokens:
            z = tf.concat([extra[0][0], z], axis=0)
        z = z + extra[-1][0]
        self.attention, self.tokens = [], []
        with tf.GradientTape(persistent=True) as self.tape:
            for number in range(sum(name.startswith("attention") for name in self.weights)):
                z = self._block(z, number)
                self.tokens.append(z)
            self.scores_of_blocks = [self.head(tokens) for tokens in self.tokens]
        self.scores = self.scores_of_blocks[-1]

    def _normalized(self, z, name):
        gamma, beta = self.weights[name]
        mean = tf.reduce_mean(z, -1, keepdims=True)
        variance = tf.reduce_mean((z - mean) ** 2, -1, keepdims=True)
        return (z - mean) / tf.sqrt(variance + 1e-3) * gamma + beta

    def _block(self, z, number, normalized=None):
        y = self._normalized(z, f"norm_a{number}") if normalized is None else normalized
        wq, bq, wk, bk, wv, bv, wo, bo = self.weights[f"attention{number}"]
        heads, outputs = [], []
        for head in range(HEADS):
            q, k, v = (y @ w[:, head] + b[head] for w, b in ((wq, bq), (wk, bk), (wv, bv)))
            exponentials = tf.exp(q @ tf.transpose(k) / np.sqrt(KEY))
            heads.append(exponentials / tf.reduce_sum(exponentials, -1, keepdims=True))
            self.tape.watch(heads[-1])
            outputs.append(heads[-1] @ v @ wo[head])
        if normalized is None:
            self.attention.append(heads)
        z = z + tf.add_n(outputs) + bo
        y = self._normalized(z, f"norm_b{number}")
        (w1, b1), (w2, b2) = self.weights[f"wide{number}"], self.weights[f"narrow{number}"]
        return z + tf.nn.gelu(y @ w1 + b1) @ w2 + b2

    @property
    def normalized_before_last(self):
        """What the last attention is given: (tokens, channels)."""
        return self._normalized(self.tokens[-2], f"norm_a{len(self.tokens) - 1}").numpy()

    def scores_from_last(self, normalized):
        """The scores that follow if the last attention is given something else."""
        last = len(self.tokens) - 1
        return self.head(self._block(self.tokens[-2], last, tf.constant(normalized)))

    def head(self, tokens):
        """The scores that follow from tokens as from those of the last block."""
        y = self._normalized(tokens, "norm")
        read = y[0] if self.class_tokens else tf.reduce_mean(y, 0)
        kernel, bias = self.weights["classes"]
        return tf.linalg.matvec(tf.transpose(kernel), read) + bias

    def gradients(self, block, target, of_block=-1):
        """∂y/∂A: (heads, tokens, tokens) of one block; y is that which follows from a block."""
        score = np.zeros(CLASSES, np.float32)
        score[target] = 1
        found = self.tape.gradient(
            self.scores_of_blocks[of_block], self.attention[block], output_gradients=score
        )
        return np.stack([gradient.numpy() for gradient in found])

    def probabilities(self, block):
        """A: (heads, tokens, tokens) of one block."""
        return np.stack([head.numpy() for head in self.attention[block]])
