"""Small image classifiers with attention, built as people build them by hand.

Each function gives an untrained model that takes (N, height, width, 3) in [0, 255] and returns how
probable it is of each class that the picture shows it.
"""

import keras
from keras import ops

L = keras.layers
DIM, HEADS, PATCH = 32, 4, 8


def rescaled(height, width):
    inputs = keras.Input((height, width, 3))
    return inputs, L.Rescaling(1 / 127.5, offset=-1)(inputs)


def scores(x, classes):
    return L.Dense(classes, activation="sigmoid")(x)


def weighed(branch):
    """Gives attention little weight beside what goes past it, as CaiT's LayerScale does at first.

    A small network that is trained for seconds would otherwise tell each token at once what the
    object is, so that all tokens speak for it, wherever they lie.
    """
    return L.Rescaling(0.1)(branch)


def attention_block(x, mixes_fully=False):
    """One block of a transformer's encoder, normalised before attention and perceptron."""
    normal = L.LayerNormalization()(x)
    attended = L.MultiHeadAttention(HEADS, DIM // HEADS)(normal, normal)
    x = L.Add()([x, attended if mixes_fully else weighed(attended)])
    hidden = L.Dense(2 * DIM, activation="gelu")(L.LayerNormalization()(x))
    return L.Add()([x, L.Dense(DIM)(hidden)])


def token_encoder(x):
    """An encoder whose extra tokens have learned from the patches when it ends."""
    return L.LayerNormalization()(attention_block(attention_block(x), mixes_fully=True))


def patch_encoder(x):
    """An encoder after which each token still tells of its own patch."""
    return L.LayerNormalization()(attention_block(attention_block(x)))


def patch_embedding(x):
    x = L.Conv2D(DIM, PATCH, strides=PATCH)(x)
    return L.Reshape((-1, DIM))(x)


class LearnedPositions(L.Layer):
    """Adds to each token what is learned for its place."""

    def build(self, shape):
        self.positions = self.add_weight(shape=(1, *shape[1:]), initializer="random_normal")

    def call(self, tokens):
        return tokens + self.positions


class ExtraTokens(L.Layer):
    """Puts learned tokens before the others, or after them.

    They start as large as normalised patches. A small one would become all that it attends to,
    and then normalisation would leave the score no gradient along just that.
    """

    def __init__(self, number=1, after=False):
        super().__init__()
        self.number, self.after = number, after

    def build(self, shape):
        self.extra = self.add_weight(
            shape=(1, self.number, shape[-1]),
            initializer=keras.initializers.RandomNormal(stddev=1.0),
        )

    def call(self, tokens):
        extra = ops.broadcast_to(self.extra, (ops.shape(tokens)[0], *self.extra.shape[1:]))
        return ops.concatenate([tokens, extra] if self.after else [extra, tokens], axis=1)


def class_token_vit(height, width, classes):
    """A vision transformer whose class token alone is classified."""
    inputs, x = rescaled(height, width)
    x = ExtraTokens()(patch_embedding(x))
    x = token_encoder(LearnedPositions()(x))
    return keras.Model(inputs, scores(x[:, 0], classes))


def pooled_vit(height, width, classes):
    """A vision transformer that averages its tokens."""
    inputs, x = rescaled(height, width)
    x = patch_encoder(LearnedPositions()(patch_embedding(x)))
    return keras.Model(inputs, scores(L.GlobalAveragePooling1D()(x), classes))


class Patches(L.Layer):
    """Cuts pictures into patches, (N, patches, pixels × channels)."""

    def call(self, pictures):
        cut = ops.image.extract_patches(pictures, (PATCH, PATCH))
        _, rows, columns, values = cut.shape
        return ops.reshape(cut, (-1, rows * columns, values))


class PatchEncoder(L.Layer):
    """Projects patches, and adds an embedding of their numbers."""

    def __init__(self, patches):
        super().__init__()
        self.patches = patches
        self.projection = L.Dense(DIM)
        self.positions = L.Embedding(patches, DIM)

    def call(self, patches):
        return self.projection(patches) + self.positions(ops.arange(self.patches)[None])


def flattened_vit(height, width, classes):
    """The vision transformer of the usual tutorial: its head sees all tokens in a row."""
    inputs, x = rescaled(height, width)
    x = PatchEncoder((height // PATCH) * (width // PATCH))(Patches()(x))
    x = L.Flatten()(patch_encoder(x))
    x = L.Dropout(0.5)(x)
    x = L.Dense(64, activation="gelu")(x)
    return keras.Model(inputs, scores(L.Dropout(0.5)(x), classes))


class SequencePooling(L.Layer):
    """Averages the tokens, by weights that follow from the tokens: at first nearly the same."""

    def __init__(self):
        super().__init__()
        self.importance = L.Dense(1)

    def call(self, tokens):
        weights = ops.softmax(0.1 * self.importance(tokens), axis=1)
        return ops.squeeze(ops.matmul(ops.transpose(weights, (0, 2, 1)), tokens), axis=1)


def compact_transformer(height, width, classes):
    """A compact convolutional transformer: convolutions make the tokens."""
    inputs, x = rescaled(height, width)
    for filters in (16, 24, DIM):
        x = L.Conv2D(filters, 3, padding="same", kernel_initializer="he_normal")(x)
        x = L.ReLU()(x)
        x = L.MaxPooling2D(3, strides=2, padding="same")(x)
    x = L.Reshape((-1, DIM))(x)
    x = patch_encoder(LearnedPositions()(x))
    return keras.Model(inputs, scores(SequencePooling()(x), classes))


class WindowAttention(L.Layer):
    """Attention within windows of a grid of tokens, (N, rows, columns, channels).

    With a shift the windows lie across the corners of the unshifted ones, and those at the border
    go on at the opposite side.
    """

    def __init__(self, window, shift):
        super().__init__()
        self.window, self.shift = window, shift
        self.attention = L.MultiHeadAttention(HEADS, DIM // HEADS)

    def call(self, x):
        _, rows, columns, channels = x.shape
        side, shift = self.window, self.shift
        if shift:
            x = ops.roll(x, (-shift, -shift), axis=(1, 2))
        x = ops.reshape(x, (-1, rows // side, side, columns // side, side, channels))
        x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
        windows = ops.reshape(x, (-1, side * side, channels))
        windows = self.attention(windows, windows)
        x = ops.reshape(windows, (-1, rows // side, columns // side, side, side, channels))
        x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
        x = ops.reshape(x, (-1, rows, columns, channels))
        return ops.roll(x, (shift, shift), axis=(1, 2)) if shift else x


class PatchMerging(L.Layer):
    """Joins two by two neighbouring tokens into one."""

    def __init__(self, channels):
        super().__init__()
        self.norm = L.LayerNormalization()
        self.reduction = L.Dense(channels, use_bias=False)

    def call(self, x):
        corners = [x[:, row::2, column::2] for column in (0, 1) for row in (0, 1)]
        return self.reduction(self.norm(ops.concatenate(corners, axis=-1)))


def window_block(x, window, shift):
    normal = L.LayerNormalization()(x)
    x = L.Add()([x, weighed(WindowAttention(window, shift)(normal))])
    hidden = L.Dense(2 * DIM, activation="gelu")(L.LayerNormalization()(x))
    return L.Add()([x, L.Dense(x.shape[-1])(hidden)])


def shifted_windows(height, width, classes):
    """A small relative of the Swin transformer: two stages, two blocks."""
    inputs, x = rescaled(height, width)
    x = L.Conv2D(DIM, 4, strides=4)(x)
    x = window_block(x, 4, shift=0)
    x = PatchMerging(DIM)(x)
    x = window_block(x, 2, shift=1)
    x = L.GlobalAveragePooling2D()(L.LayerNormalization()(x))
    return keras.Model(inputs, scores(x, classes))


def convolutions(x, filters):
    for number in filters:
        x = L.Conv2D(number, 3, strides=2, padding="same", kernel_initializer="he_normal")(x)
        x = L.ReLU()(x)
    return x


def self_attention(x):
    """Attention among the cells of feature maps, added to them."""
    _, rows, columns, channels = x.shape
    tokens = L.LayerNormalization()(L.Reshape((rows * columns, channels))(x))
    tokens = L.MultiHeadAttention(HEADS, channels // HEADS)(tokens, tokens)
    return L.Add()([x, weighed(L.Reshape((rows, columns, channels))(tokens))])


def attention_on_top(height, width, classes):
    """A CNN whose last feature maps become tokens, attend to each other and are averaged."""
    inputs, x = rescaled(height, width)
    x = convolutions(x, (16, 24, DIM))
    x = L.Reshape((-1, DIM))(x)
    x = L.Add()([x, weighed(L.MultiHeadAttention(HEADS, DIM // HEADS)(x, x))])
    x = L.GlobalAveragePooling1D()(L.LayerNormalization()(x))
    return keras.Model(inputs, scores(x, classes))


def attention_in_the_middle(height, width, classes):
    """A CNN with attention between its convolutions."""
    inputs, x = rescaled(height, width)
    x = self_attention(convolutions(x, (16, 24, DIM)))
    x = L.Conv2D(DIM, 3, padding="same", activation="relu")(x)
    return keras.Model(inputs, scores(L.GlobalAveragePooling2D()(x), classes))


def squeeze_and_excite(x):
    """Scales each channel by what all channels are on average."""
    channels = x.shape[-1]
    scale = L.Dense(channels // 4, activation="relu")(L.GlobalAveragePooling2D()(x))
    scale = L.Dense(channels, activation="sigmoid")(scale)
    return L.Multiply()([x, L.Reshape((1, 1, channels))(scale)])


def se_network(height, width, classes):
    """A CNN with squeeze-and-excitation blocks, the last after its last convolution."""
    inputs, x = rescaled(height, width)
    for filters in (16, 24, DIM):
        x = squeeze_and_excite(convolutions(x, [filters]))
    return keras.Model(inputs, scores(L.GlobalAveragePooling2D()(x), classes))


def channel_and_spatial_attention(x):
    """A convolutional block attention module: first channels are scaled, then places."""
    channels = x.shape[-1]
    hidden, out = L.Dense(channels // 4, activation="relu"), L.Dense(channels)
    pooled = [
        out(hidden(pool(keepdims=True)(x)))
        for pool in (L.GlobalAveragePooling2D, L.GlobalMaxPooling2D)
    ]
    x = L.Multiply()([x, L.Activation("sigmoid")(L.Add()(pooled))])
    across = [ops.mean(x, axis=-1, keepdims=True), ops.max(x, axis=-1, keepdims=True)]
    places = L.Conv2D(1, 7, padding="same", activation="sigmoid")(L.Concatenate()(across))
    return L.Multiply()([x, places])


def cbam_network(height, width, classes):
    """A CNN with convolutional block attention modules, the last after its last convolution."""
    inputs, x = rescaled(height, width)
    for filters in (16, 24, DIM):
        x = channel_and_spatial_attention(convolutions(x, [filters]))
    return keras.Model(inputs, scores(L.GlobalAveragePooling2D()(x), classes))


def distilled_vit(height, width, classes):
    """Two tokens before the patches, each with a head of its own, as in DeiT."""
    inputs, x = rescaled(height, width)
    x = ExtraTokens(number=2)(patch_embedding(x))
    x = token_encoder(LearnedPositions()(x))
    heads = [L.Dense(classes)(x[:, token]) for token in (0, 1)]
    return keras.Model(inputs, L.Activation("sigmoid")(L.Average()(heads)))


class Block(L.Layer):
    """`attention_block` as a layer of its own."""

    def __init__(self, weight):
        super().__init__()
        self.weight = weight
        self.before_attention = L.LayerNormalization()
        self.attention = L.MultiHeadAttention(HEADS, DIM // HEADS)
        self.before_perceptron = L.LayerNormalization()
        self.perceptron = keras.Sequential([L.Dense(2 * DIM, activation="gelu"), L.Dense(DIM)])

    def call(self, x):
        normal = self.before_attention(x)
        x = x + self.weight * self.attention(normal, normal)
        return x + self.perceptron(self.before_perceptron(x))


class RegisterViT(keras.Model):
    """A subclassed vision transformer with a class token first and registers last."""

    def __init__(self, classes):
        super().__init__()
        self.scale = L.Rescaling(1 / 127.5, offset=-1)
        self.embedding = L.Conv2D(DIM, PATCH, strides=PATCH)
        self.positions = LearnedPositions()
        self.class_token = ExtraTokens()
        self.registers = ExtraTokens(number=4, after=True)
        self.blocks = [Block(0.1), Block(1.0)]
        self.norm = L.LayerNormalization()
        self.head = L.Dense(classes, activation="sigmoid")

    def call(self, pictures):
        x = self.embedding(self.scale(pictures))
        _, rows, columns, channels = x.shape
        x = self.positions(ops.reshape(x, (-1, rows * columns, channels)))
        x = self.registers(self.class_token(x))
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0])


def register_vit(height, width, classes):
    inputs = keras.Input((height, width, 3))
    return keras.Model(inputs, RegisterViT(classes)(inputs))
