"""The pattern for the names of results, as a user writes it for ``--name``."""

from __future__ import annotations

import hashlib
import os
import re
import string
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from gradcam_cli.errors import UsageError

STEM, METHOD, LAYER, MODEL, CLASS = FIELDS = ("stem", "method", "layer", "model", "class")
STEM_FIELD = f"{{{STEM}}}"
# In bytes. A name with all fields still leaves space for the picture's name.
_LONGEST_VALUE = 40
_LONGEST_TEXT = 60
# The extension and a word such as "_figure" are added to the name.
_LONGEST_NAME = 235
_NOT_IN_NAMES = re.compile(r'[/\\:*?"<>|\x00-\x1f\x7f]')


@dataclass(frozen=True)
class NamePattern:
    """A file name without its extension, with fields in braces: "{stem}_{method}_{class}".

    Attributes:
        text: The pattern. A doubled brace stands for a single one.
    """

    text: str

    @cached_property
    def parts(self) -> list[tuple[str, str]]:
        """The pattern as pairs of a text and the field that follows it ("" after the last text).

        Raises:
            UsageError: The pattern isn't valid.
        """
        try:
            parsed = list(string.Formatter().parse(self.text))
        except ValueError:
            raise UsageError(
                f"--name {self.text!r}: the braces don't match; double a brace that isn't part of "
                f"a field"
            ) from None
        fields = [field for _, field, _, _ in parsed if field is not None]
        for field in fields:
            if field not in FIELDS:
                raise UsageError(
                    f"--name {self.text!r}: there is no field {{{field}}}; the fields are "
                    f"{', '.join(f'{{{name}}}' for name in FIELDS)}"
                )
        if len(set(fields)) < len(fields) or any(spec or conv for _, _, spec, conv in parsed):
            raise UsageError(
                f"--name {self.text!r}: use each field only once, without a format: {{stem}}"
            )
        text = "".join(text for text, _, _, _ in parsed)
        if _NOT_IN_NAMES.search(text):
            raise UsageError(
                f"--name {self.text!r}: a file name can't contain / \\ : * ? \" < > |; choose the "
                f"folder with --out"
            )
        longest = _LONGEST_TEXT if fields else _LONGEST_NAME
        if not self.text.strip(" .") or len(os.fsencode(text)) > longest:
            raise UsageError(
                f"--name {self.text!r}: a name can't be empty, and its text outside the fields can "
                f"have at most {longest} bytes"
            )
        return [(text, field or "") for text, field, _, _ in parsed]

    def has(self, field: str) -> bool:
        """Returns whether the pattern contains a field."""
        return any(field == own for _, own in self.parts)

    @property
    def before_stem(self) -> str | None:
        """The text before {stem}; None if the first field is another one, or there is none."""
        text, field = self.parts[0]
        return text if field == STEM else None

    def fill(self, values: Mapping[str, str]) -> str:
        """Fills in all fields except {stem}, which `OutputNamer` fills in.

        Args:
            values: The values by the names of their fields.
        """
        filled = {STEM: STEM_FIELD, "": ""} | dict(values)
        return "".join(text + filled[field] for text, field in self.parts)


def literal_pattern(name: str) -> str:
    """Returns the text of the pattern that stands for exactly this name."""
    return name.replace("{", "{{").replace("}", "}}")


def name_part(text: str, longest: int = _LONGEST_VALUE) -> str:
    """Converts a text to a part of a file name that is valid on any file system.

    Args:
        text: A text such as the name of a class, a layer or a model.
        longest: The maximum length of the result, in bytes.

    Returns:
        The letters, digits, "_" and "+" of the text, and dots within numbers, with hyphens in
        place of everything else.
        A long text is cut and ends in a hash, so that different texts stay different.
    """
    # A dot only as in 0.5.
    words = re.sub(r"(?:[^\w+.]|(?<!\d)\.|\.(?!\d))+", "-", text).strip("-")
    encoded = words.encode()
    if len(encoded) <= longest:
        return words
    digest = hashlib.sha256(encoded).hexdigest()[:8]
    return f"{encoded[: longest - 9].decode(errors='ignore')}-{digest}"
