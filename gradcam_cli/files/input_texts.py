"""The values of a model's other inputs as texts: in file names, and in what results remember."""

from __future__ import annotations

import os
from pathlib import PurePath

from gradcam_cli.files.finding import InputPicture
from gradcam_cli.files.name_pattern import name_part
from gradcam_cli.files.storage import file_name

_TRUTHS = {"true": 1.0, "yes": 1.0, "false": 0.0, "no": 0.0}
# In bytes, of a file's name.
_LONGEST_WORD = 24
_LONGEST_WORDS = 60
_MOST_NUMBERS_IN_NAME = 4


def numbers_in(text: str) -> list[float]:
    """Reads numbers that are separated by commas; true and false are 1 and 0.

    Raises:
        ValueError: A part is no number.
    """
    return [_number(part.strip()) for part in text.split(",")]


def filled(text: str, picture: InputPicture) -> str:
    """Puts the name and the folder of a picture into the pattern of a file name.

    Args:
        text: The text of a value. It may contain {stem} (the picture's name without its
            extension), {name} (with it) and {folder} (the picture's folder).
        picture: The picture.
    """
    name = file_name(picture.path)
    fields = {
        "{stem}": PurePath(name).stem,
        "{name}": name,
        "{folder}": str(picture.path.parent),
    }
    for field, value in fields.items():
        text = text.replace(field, value)
    return text


def is_pattern(text: str) -> bool:
    """Returns whether a value is a pattern that stands for another file for each picture."""
    return any(field in text for field in ("{stem}", "{name}", "{folder}"))


def identity_of(picture: InputPicture) -> str:
    """Returns a text that differs for different values; "" without values."""
    exact = []
    for name, text in picture.values:
        is_local_file = not _are_numbers(text) and "://" not in text
        exact.append((name, os.path.abspath(text) if is_local_file else text))
    return repr(exact) if exact else ""


def words_of(picture: InputPicture) -> str:
    """Describes the values of a picture in a file name: "age63_right-b"; "" without values."""
    words = []
    own = PurePath(file_name(picture.path)).stem
    for name, text in picture.values:
        if not _are_numbers(text):
            stem = PurePath(text).stem
            # A file that is named after the picture adds nothing.
            if not stem.startswith(own):
                words.append(f"{name}-{stem}")
        elif text.count(",") < _MOST_NUMBERS_IN_NAME:
            words.append(f"{name}{text.replace(' ', '')}")
    return name_part("_".join(name_part(word, _LONGEST_WORD) for word in words), _LONGEST_WORDS)


def _number(part: str) -> float:
    truth = _TRUTHS.get(part.casefold())
    if truth is not None:
        return truth
    try:
        return float(part)
    except ValueError:
        raise ValueError(f"{part!r} is no number") from None


def _are_numbers(text: str) -> bool:
    try:
        numbers_in(text)
    except ValueError:
        return False
    return True
