"""Lossless PNG encoders and JPEG decoders side by side, on one core."""

import importlib.util
import io
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.parts import draw_overlays
from gradcam_cli.rendering.encoding import encode_picture

_REPEATS = 3
_RLE, _FIXED = 3, 4
Codec = Callable[[Any], Any]


def encoders(pictures: Sequence[Path]) -> dict[str, Any]:
    overlays = draw_overlays(pictures)
    arrays = [np.asarray(overlay) for overlay in overlays]
    found = []
    for library, choices in (
        ("PIL", {**_pillow_encoders(), "gradcam": encode_picture}),
        ("cv2", _opencv_encoders),
        ("imagecodecs", _imagecodecs_encoders),
    ):
        items = overlays if library == "PIL" else arrays
        found += _measure(library, choices, items, _check_lossless)
    return {"codecs": found}


def decoders(pictures: Sequence[Path]) -> dict[str, Any]:
    files = [path.read_bytes() for path in pictures]
    found = []
    for library, choices in (
        ("PIL", {"Pillow": _decode_with_pillow}),
        ("cv2", _opencv_decoders),
        ("tensorflow", _tensorflow_decoders),
        ("imagecodecs", _imagecodecs_decoders),
    ):
        found += _measure(library, choices, files, None)
    return {"codecs": found}


CODECS = {"encoders": encoders, "decoders": decoders}


def _measure(
    library: str,
    choices: Mapping[str, Codec] | Callable[[], Mapping[str, Codec]],
    items: Sequence[Any],
    check: Callable[[Any, Any], None] | None,
) -> list[dict[str, Any]]:
    """Gives core-seconds and bytes of each; one item goes through all before the next."""
    if importlib.util.find_spec(library) is None:
        return [{"subject": library, "pictures": 0, "reason": "not installed"}]
    codecs = choices() if callable(choices) else choices
    found = []
    usable: dict[str, Codec] = {}
    for name, codec in codecs.items():
        try:
            result = codec(items[0])
            if check is not None:
                check(items[0], result)
            usable[name] = codec
        # A library may lack a codec or an option in this build.
        except Exception as error:
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            found.append({"subject": name, "pictures": 0, "reason": reason})
    seconds = dict.fromkeys(usable, 0.0)
    size = dict.fromkeys(usable, 0)
    for _ in range(_REPEATS):
        for item in items:
            for name, codec in usable.items():
                started = time.process_time()
                result = codec(item)
                seconds[name] += time.process_time() - started
                if isinstance(result, bytes):
                    size[name] += len(result)
    found += [
        {
            "subject": name,
            "pictures": len(items),
            "seconds": seconds[name] / _REPEATS,
            "bytes": size[name] // _REPEATS or None,
        }
        for name in usable
    ]
    return found


def _check_lossless(item: Image.Image | np.ndarray, encoded: bytes) -> None:
    decoded = np.asarray(Image.open(io.BytesIO(encoded)).convert("RGB"))
    if not np.array_equal(decoded, np.asarray(item)):
        raise ValueError("isn't lossless")


def _pillow_encoders() -> dict[str, Codec]:
    def encoder(**options):
        def encode(image):
            file = io.BytesIO()
            image.save(file, "PNG", **options)
            return file.getvalue()

        return encode

    return {
        "Pillow, level 6 (default)": encoder(),
        "Pillow, level 4": encoder(compress_level=4),
        "Pillow, level 1": encoder(compress_level=1),
        "Pillow, run lengths": encoder(compress_level=1, compress_type=_RLE),
        "Pillow, fixed codes": encoder(compress_level=1, compress_type=_FIXED),
    }


def _opencv_encoders() -> dict[str, Codec]:
    import cv2

    cv2.setNumThreads(1)

    def encoder(**options):
        parameters = []
        for name, value in options.items():
            parameters += [getattr(cv2, f"IMWRITE_PNG_{name.upper()}"), value]

        def encode(array):
            return cv2.imencode(".png", cv2.cvtColor(array, cv2.COLOR_RGB2BGR), parameters)[
                1
            ].tobytes()

        return encode

    rle = cv2.IMWRITE_PNG_STRATEGY_RLE
    named = {
        "OpenCV, defaults": encoder(),
        "OpenCV, level 1": encoder(compression=1),
        "OpenCV, level 3": encoder(compression=3),
        "OpenCV, run lengths": encoder(strategy=rle),
    }
    for filter_ in ("sub", "up", "avg", "paeth"):
        # OpenCV has them since its version 4.11.
        value = getattr(cv2, f"IMWRITE_PNG_FILTER_{filter_.upper()}", None)
        if value is not None:
            named[f"OpenCV, run lengths, filter {filter_}"] = encoder(strategy=rle, filter=value)
    return named


def _imagecodecs_encoders() -> dict[str, Codec]:
    import imagecodecs

    def encoder(encode, **options):
        return lambda array: encode(array, **options)

    filters = imagecodecs.PNG.FILTER
    return {
        "imagecodecs, libpng, level 1": encoder(imagecodecs.png_encode, level=1),
        **{
            f"imagecodecs, libpng, run lengths, filter {filter_.name.lower()}": encoder(
                imagecodecs.png_encode, level=1, strategy=_RLE, filter=filter_
            )
            for filter_ in (filters.SUB, filters.UP, filters.AVG, filters.PAETH)
        },
        "imagecodecs, libspng, level 1": encoder(imagecodecs.spng_encode, level=1),
    }


def _decode_with_pillow(file: bytes) -> Image.Image:
    return Image.open(io.BytesIO(file)).convert("RGB")


def _opencv_decoders() -> dict[str, Codec]:
    import cv2

    cv2.setNumThreads(1)
    flag = getattr(cv2, "IMREAD_COLOR_RGB", cv2.IMREAD_COLOR)
    return {"OpenCV": lambda file: cv2.imdecode(np.frombuffer(file, np.uint8), flag)}


def _tensorflow_decoders() -> dict[str, Codec]:
    import tensorflow as tf

    return {
        "TensorFlow, defaults": lambda file: tf.io.decode_jpeg(file, channels=3),
        "TensorFlow, accurate": lambda file: tf.io.decode_jpeg(
            file, channels=3, dct_method="INTEGER_ACCURATE"
        ),
    }


def _imagecodecs_decoders() -> dict[str, Codec]:
    import imagecodecs

    return {"imagecodecs": imagecodecs.jpeg8_decode}
