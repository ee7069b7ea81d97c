"""Small networks that segment pictures, of the usual designs, and one whose weights are known."""

import keras
import numpy as np
from keras import layers

SIDE, CELL = 32, 4
CLASSES = ("background", "red", "green")


def known_segmenter(activation="softmax", classes=3, size=(SIDE, SIDE), final=None):
    """A network that finds red and green, whose weights are set by hand.

    Its bottleneck has cells of 4 pixels, with the mean excess of red and of green. The score of a
    class is ten times that of its colour, and that of the background is 1. With one class, the
    only score is that of red above 1.
    """
    picture = keras.Input((*size, 3))
    shallow = layers.Conv2D(2, 1, use_bias=False, name="shallow")(picture)
    deep = layers.AveragePooling2D(CELL)(picture)
    deep = layers.Conv2D(2, 1, use_bias=False, activation="relu", name="deep")(deep)
    up = layers.UpSampling2D(CELL, name="up")(deep)
    joined = layers.Concatenate()([up, shallow])
    scores = layers.Conv2D(classes, 1, activation=activation, name="scores")(joined)
    model = keras.Model(picture, scores if final is None else final(scores))
    excess = np.array([[1, -0.5], [-0.5, 1], [-0.5, -0.5]]) / 255
    model.get_layer("deep").set_weights([excess[None, None]])
    model.get_layer("shallow").set_weights([np.zeros((1, 1, 3, 2))])
    weights = np.zeros((4, 3))
    weights[0, 1] = weights[1, 2] = 10
    bias = np.float32([1, 0, 0])
    if classes == 1:
        weights, bias = weights[:, 1:2], np.float32([-1])
    model.get_layer("scores").set_weights([weights[None, None], bias])
    return model


def scene(squares, size=(SIDE, SIDE), ground=(90, 90, 90)):
    """Squares of 8 pixels on grey: {(left, top): color}."""
    picture = np.full((*size, 3), ground, np.uint8)
    for (left, top), color in squares.items():
        picture[top : top + 8, left : left + 8] = color
    return picture


def unet(size=(32, 32), classes=3, activation="softmax", up="transpose"):
    """A U-Net of two levels (Ronneberger et al. 2015)."""
    x = picture = keras.Input((*size, 3))
    skips = []
    for _ in range(2):
        x = layers.Conv2D(4, 3, padding="same", activation="relu")(x)
        skips.append(x)
        x = layers.MaxPooling2D()(x)
    x = layers.Conv2D(8, 3, padding="same", activation="relu", name="end")(x)
    x = layers.Dropout(0.5)(x)
    for skip in reversed(skips):
        if up == "transpose":
            x = layers.Conv2DTranspose(4, 2, strides=2, padding="same")(x)
        else:
            x = layers.UpSampling2D(interpolation=up)(x)
        x = layers.Concatenate()([skip, x])
        x = layers.Conv2D(4, 3, padding="same", activation="relu")(x)
    return keras.Model(picture, layers.Conv2D(classes, 1, activation=activation)(x))


def valid_unet():
    """A U-Net without padding, whose output covers only the middle of its input."""
    picture = keras.Input((44, 44, 1))
    fine = layers.Conv2D(4, 3, activation="relu")(picture)
    x = layers.MaxPooling2D()(fine)
    x = layers.Conv2D(8, 3, activation="relu", name="end")(x)
    x = layers.Conv2DTranspose(4, 2, strides=2)(x)
    x = layers.Concatenate()([layers.Cropping2D(2)(fine), x])
    x = layers.Conv2D(4, 3, activation="relu")(x)
    return keras.Model(picture, layers.Conv2D(2, 1)(x))


def residual():
    """Blocks with shortcuts, in the decoder too, as in Keras's tutorial on pets."""
    x = picture = keras.Input((32, 32, 3))
    for filters in (4, 8):
        shortcut = layers.Conv2D(filters, 1, strides=2, padding="same")(x)
        x = layers.SeparableConv2D(filters, 3, padding="same", activation="relu")(x)
        x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
        x = layers.Add(name="end" if filters == 8 else None)([x, shortcut])
    for filters in (8, 4):
        shortcut = layers.Conv2D(filters, 1, padding="same")(layers.UpSampling2D()(x))
        x = layers.Conv2DTranspose(filters, 3, padding="same")(layers.ReLU()(x))
        x = layers.UpSampling2D()(layers.BatchNormalization()(x))
        x = layers.Add()([x, shortcut])
    return keras.Model(picture, layers.Conv2D(3, 3, activation="softmax", padding="same")(x))


def deeplab():
    """Dilated convolutions beside each other, an image pool, and a skip (Chen et al. 2018)."""
    picture = keras.Input((64, 64, 3))
    low = layers.Conv2D(4, 3, strides=4, padding="same", activation="relu")(picture)
    deep = layers.Conv2D(8, 3, strides=4, padding="same", activation="relu")(low)
    pool = layers.GlobalAveragePooling2D(keepdims=True)(deep)
    pool = layers.Conv2D(8, 1, activation="relu")(pool)
    beside = [layers.UpSampling2D(4, interpolation="bilinear")(pool)]
    for rate in (1, 2):
        conv = layers.Conv2D(8, 3, dilation_rate=rate, padding="same", activation="relu")
        beside.append(conv(deep))
    x = layers.Conv2D(8, 1, activation="relu", name="end")(layers.Concatenate()(beside))
    x = layers.UpSampling2D(4, interpolation="bilinear")(x)
    x = layers.Concatenate()([x, layers.Conv2D(4, 1, activation="relu")(low)])
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(x)
    x = layers.UpSampling2D(4, interpolation="bilinear")(layers.Conv2D(5, 1)(x))
    return keras.Model(picture, x)


def fully_convolutional():
    """Scores at two levels, added and upsampled by transposed convolutions (Long et al. 2015)."""
    x = picture = keras.Input((32, 32, 3))
    x = fine = layers.Conv2D(4, 3, strides=4, padding="same", activation="relu")(x)
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu", name="end")(x)
    x = layers.Conv2D(4, 1)(x)
    x = layers.Conv2DTranspose(4, 4, strides=2, padding="same")(x)
    x = layers.Add()([x, layers.Conv2D(4, 1)(fine)])
    x = layers.Conv2DTranspose(4, 8, strides=4, padding="same")(x)
    return keras.Model(picture, layers.Softmax()(x))


def pyramid():
    """Pools of several sizes beside the features (Zhao et al. 2017)."""
    picture = keras.Input((48, 48, 3))
    x = layers.Conv2D(8, 3, strides=4, padding="same", activation="relu")(picture)
    beside = [x]
    for cells in (2, 3, 6):
        pool = layers.AveragePooling2D(12 // cells)(x)
        pool = layers.Conv2D(2, 1, activation="relu")(pool)
        beside.append(layers.UpSampling2D(12 // cells, interpolation="bilinear")(pool))
    x = layers.Concatenate()(beside)
    x = layers.Conv2D(8, 3, padding="same", activation="relu", name="end")(x)
    x = layers.UpSampling2D(4, interpolation="bilinear")(layers.Conv2D(4, 1)(x))
    return keras.Model(picture, x)


def flat():
    """A segmenter whose output has one axis for all positions, as in image-segmentation-keras."""
    x = picture = keras.Input((32, 32, 3))
    x = layers.MaxPooling2D(4)(x)
    x = layers.Conv2D(8, 3, padding="same", activation="relu", name="end")(x)
    x = layers.Conv2D(4, 3, padding="same")(layers.UpSampling2D(4)(x))
    return keras.Model(picture, layers.Activation("softmax")(layers.Reshape((1024, 4))(x)))
