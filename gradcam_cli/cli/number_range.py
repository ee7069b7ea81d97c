"""The numbers of frames, pages or slices as people write them: "10:20"."""

from __future__ import annotations

import re
from typing import Any

import click

_NUMBER = re.compile(r"\d{1,9}")
_RANGE = re.compile(r"(-?\d{1,9})?:(-?\d{1,9})?")


class NumberRange(click.ParamType):  # type: ignore[type-arg]  # Generic from Click 8.4 on.
    """A range of numbers from 0, "A:B" without B, as a slice; either end may be left out."""

    name = "range"

    def __init__(self, *, takes_one: bool = False) -> None:
        """Sets whether a single number, "K", is a range too."""
        self._takes_one = takes_one

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> slice:
        """Reads a range."""
        if isinstance(value, slice):
            return value
        if self._takes_one and _NUMBER.fullmatch(value.strip()):
            return slice(int(value), int(value) + 1)
        found = _RANGE.fullmatch(value.strip())
        if found is None or value.strip() == ":":
            one = _NUMBER.fullmatch(value.strip())
            such = f"{value.strip()}:{int(value) + 1} for one" if one else "10:20, 10: or :20"
            self.fail(f"{value!r} is no range; write A:B, such as {such}", param, ctx)
        start, stop = (None if end is None else int(end) for end in found.groups())
        if start is not None and stop is not None and (start < 0) == (stop < 0) and start >= stop:
            self.fail(f"{value!r} is empty: {stop} isn't after {start}", param, ctx)
        return slice(start, stop)
