"""Characters in the names of strangers that would act instead of being shown."""

from __future__ import annotations

import re

# Control characters except tabs and line breaks, which the commands write; characters that change
# the direction of writing; and surrogates, which stand for undecodable bytes of file names.
_OTHER_CONTROLS = r"\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff"
CONTROL = re.compile(f"[{_OTHER_CONTROLS}]")
CONTROL_IN_LINE = re.compile(f"[\\t\\n{_OTHER_CONTROLS}]")


def visible(text: str) -> str:
    """Replaces control characters, tabs and line breaks with escapes: ``\\x1b``, ``\\u202e``.

    Args:
        text: A name, or other text that should fit in a line.
    """
    return CONTROL_IN_LINE.sub(escape, text)


def escape(found: re.Match[str]) -> str:
    """Returns the escape for a character that one of the patterns found."""
    return found[0].encode("unicode_escape").decode()
