"""Videos, animations and pages of a red square that moves to the right, in every format."""

from fractions import Fraction

import numpy as np
from PIL import Image

SIZE = 64, 48
STEP, SIDE, TOP = 4, 10, 6
NUMBER = 12
# The form of pixels, and the encoder, by the extension.
ENCODERS = {
    ".mp4": ("libx264", "yuv420p"),
    ".mov": ("libx264", "yuv420p"),
    ".m4v": ("mpeg4", "yuv420p"),
    ".mkv": ("libx265", "yuv420p10le"),
    ".webm": ("libvpx-vp9", "yuv420p"),
    ".avi": ("mjpeg", "yuvj420p"),
}
ANIMATIONS = (".gif", ".webp", ".png")


def square(number, color=(220, 40, 40), opacity=None, noise=0):
    """The picture of a number; its ground has an opacity, or noise."""
    pixels = np.full((*SIZE[::-1], 3), 60, np.uint8)
    if noise:
        pixels += np.random.default_rng(number).integers(0, noise, (*SIZE[::-1], 1), np.uint8)
    rows, columns = slice(TOP, TOP + SIDE), slice(STEP * number, STEP * number + SIDE)
    pixels[rows, columns] = color
    if opacity is not None:
        alpha = np.full((*SIZE[::-1], 1), opacity, np.uint8)
        alpha[rows, columns] = 255
        pixels = np.concatenate([pixels, alpha], axis=-1)
    return Image.fromarray(pixels)


def place(picture):
    """The centre of what is red: x and y."""
    red, green, blue = np.moveaxis(np.asarray(picture, np.float32), -1, 0)
    weights = np.clip(red - np.maximum(green, blue) - 30, 0, None)
    ys, xs = np.mgrid[: picture.height, : picture.width]
    return (xs * weights).sum() / weights.sum(), (ys * weights).sum() / weights.sum()


def place_of(number):
    """Where the square of a number is."""
    return STEP * number + (SIDE - 1) / 2, TOP + (SIDE - 1) / 2


def save_squares(path, number=NUMBER, noise=0, **options):
    """Writes a file of the kind of its extension, with ten pictures a second."""
    pictures = [square(k, noise=noise) for k in range(number)]
    if path.suffix in ENCODERS:
        return save_video(path, pictures, [k / 10 for k in range(number)], **options)
    duration = {} if path.suffix == ".tif" else {"duration": 100, "loop": 0}
    lossless = {"lossless": True} if path.suffix == ".webp" else {}
    pictures[0].save(
        path, save_all=True, append_images=pictures[1:], **duration, **lossless, **options
    )
    return path


def save_video(path, pictures, seconds, encoder=None, pixels=None, container=None, prepare=None):
    """Writes a video of pictures at times."""
    import av

    usual = ENCODERS[path.suffix]
    with av.open(str(path), "w", container_options=container or {}) as file:
        stream = file.add_stream(encoder or usual[0], rate=10)
        stream.width, stream.height = pictures[0].size
        stream.pix_fmt = pixels or usual[1]
        unit = Fraction(1, 10) if path.suffix == ".avi" else Fraction(1, 1000)
        stream.codec_context.time_base = unit
        if stream.codec_context.name == "libx265":
            stream.codec_context.options = {"x265-params": "log-level=none"}
        if prepare is not None:
            prepare(file, stream)
        for picture, time in zip(pictures, seconds, strict=True):
            form = "rgba" if picture.mode == "RGBA" else "rgb24"
            frame = av.VideoFrame.from_ndarray(np.asarray(picture), format=form)
            frame.pts, frame.time_base = round(time / unit), unit
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path
