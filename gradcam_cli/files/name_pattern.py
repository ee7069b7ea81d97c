"""The pattern by which results are named, as a user writes it for ``--name``."""

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
# In bytes. With all fields in it a name still leaves room for that of the picture.
_LONGEST_VALUE = 40
_LONGEST_TEXT = 60
# Where an ending and what tells a figure from an overlay are added.
_LONGEST_NAME = 235
_NOT_IN_NAMES = re.compile(r'[/\\:*?"<>|\x00-\x1f\x7f]')


@dataclass(frozen=True)
class NamePattern:
    """A file name without its ending, with fields in braces: "{stem}_{method}_{class}".

    Attributes:
        text: The pattern. Doubled braces stand for themselves.
    """

    text: str

    @cached_property
    def parts(self) -> list[tuple[str, str]]:
        """The pattern as texts, each with the field that follows it ("" after the last).

        Raises:
            UsageError: It isn't a pattern for file names.
        """
        try:
            parsed = list(string.Formatter().parse(self.text))
        except ValueError:
            raise UsageError(
                f"--name {self.text!r}: the braces don't match; write a brace that isn't a "
                f"field's twice"
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
                f"--name {self.text!r}: use each field once, and without a format, as {{stem}}"
            )
        text = "".join(text for text, _, _, _ in parsed)
        if _NOT_IN_NAMES.search(text):
            raise UsageError(
                f"--name {self.text!r}: a file name can't have any of / \\ : * ? \" < > | in it; "
                f"choose the folder with --out"
            )
        longest = _LONGEST_TEXT if fields else _LONGEST_NAME
        if not self.text.strip(" .") or len(os.fsencode(text)) > longest:
            raise UsageError(
                f"--name {self.text!r}: a name needs 1 to {longest} bytes beside its fields"
            )
        return [(text, field or "") for text, field, _, _ in parsed]

    def has(self, field: str) -> bool:
        """Says whether a field is part of the names."""
        return any(field == own for _, own in self.parts)

    @property
    def before_stem(self) -> str | None:
        """What all names begin with; None if that depends on something else."""
        text, field = self.parts[0]
        return text if field == STEM else None

    def fill(self, values: Mapping[str, str]) -> str:
        """Fills in all fields but {stem}, which `OutputNamer` does.

        Args:
            values: By the names of the fields.
        """
        filled = {STEM: STEM_FIELD, "": ""} | dict(values)
        return "".join(text + filled[field] for text, field in self.parts)


def literal_pattern(name: str) -> NamePattern:
    """Makes the pattern of this one name."""
    return NamePattern(name.replace("{", "{{").replace("}", "}}"))


def name_part(text: str, longest: int = _LONGEST_VALUE) -> str:
    """Makes a part of a file name, for any file system, of a text.

    Args:
        text: As the name of a class, a layer or a model.
        longest: How many bytes it may have.

    Returns:
        Its letters, digits and "_" and "+", with hyphens for all else. A long text is cut,
        and ends in a digest, so that different texts stay different.
    """
    words = re.sub(r"[^\w+]+", "-", text).strip("-")
    encoded = words.encode()
    if len(encoded) <= longest:
        return words
    digest = hashlib.sha256(encoded).hexdigest()[:8]
    return f"{encoded[: longest - 9].decode(errors='ignore')}-{digest}"
