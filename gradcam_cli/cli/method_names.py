"""The names of methods as people write them: "Grad-CAM", "grad_cam", "gradcam,layercam"."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import click
from click.shell_completion import CompletionItem

from gradcam_cli.cam.methods.table import COMBINED, METHODS
from gradcam_cli.errors import suggestion

_SEPARATORS = str.maketrans("", "", "-_ .")


class MethodName(click.ParamType):  # type: ignore[type-arg]  # Generic from Click 8.4 on.
    """A method by its name or title. Case, hyphens, underscores, dots and spaces don't matter.

    Finer-CAM over another method is "finercam:layercam".
    """

    name = "method"

    def __init__(self, names: Collection[str] = METHODS) -> None:
        """Sets the methods that a command accepts.

        Args:
            names: Keys of `METHODS`.
        """
        self._names = [
            combined
            for name in names
            for combined in (name, *(f"{name}{COMBINED}{base}" for base in METHODS[name].bases))
        ]
        self._known = {_plain(METHODS[name].title): name for name in self._names}
        self._known |= {_plain(name): name for name in self._names}
        for name in names:
            self._known[_plain(f"{name}{COMBINED}{METHODS[name].base}")] = name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Finds the method.

        Raises:
            click.BadParameter: There is no such method. The message suggests similar names.
        """
        found = self._known.get(_plain(str(value)))
        if found is None:
            self._refuse_combination(str(value))
            close = suggestion(str(value), self._names, spelling=_plain)
            self.fail(f"there is no method {value!r}{close} ('gradcam methods' lists all)")
        return found

    def _refuse_combination(self, value: str) -> None:
        outer, separator, base = value.partition(COMBINED)
        name = self._known.get(_plain(outer))
        if not separator or name is None:
            return
        bases = METHODS[name].bases
        if bases:
            self.fail(f"{name} works over {', '.join(bases)}, not over {base!r}")
        able = ", ".join(
            other for other in self._names if METHODS[other].bases and COMBINED not in other
        )
        self.fail(f"{name} doesn't work over another method; only {able} does")

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Completes the accepted names."""
        return [CompletionItem(name) for name in self._names if name.startswith(incomplete)]


class MethodNames(MethodName):
    """Methods separated by commas, each found like a `MethodName`."""

    def convert(  # type: ignore[override]
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Finds the methods."""
        if isinstance(value, tuple):
            return value
        parts = [part.strip() for part in str(value).split(",")]
        find = super().convert
        return tuple(find(part, param, ctx) for part in parts if part)


def joined(
    ctx: click.Context, parameter: click.Parameter, value: tuple[tuple[str, ...], ...]
) -> tuple[str, ...]:
    """Joins the methods of repeated options, without duplicates."""
    return tuple(dict.fromkeys(name for names in value for name in names))


def _plain(name: str) -> str:
    return name.casefold().translate(_SEPARATORS)
