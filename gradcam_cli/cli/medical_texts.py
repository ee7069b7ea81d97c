"""Options of medical pictures, checked when they are read."""

from __future__ import annotations

from typing import Any

import click

from gradcam_cli.errors import UsageError
from gradcam_cli.pictures.medical.windows import parse_window
from gradcam_cli.pictures.stacks.voxels import check_orientation


class WindowText(click.ParamType):  # type: ignore[type-arg]  # Generic from Click 8.4 on.
    """A window: "CENTER,WIDTH" or a name."""

    name = "window"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Checks a window, which stays a text."""
        try:
            parse_window(value)
        except UsageError as error:
            raise click.UsageError(error.message, ctx) from None
        return str(value).strip().lower()


class OrientationText(click.ParamType):  # type: ignore[type-arg]  # As above.
    """The directions of three axes, such as "RAS"."""

    name = "orientation"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Checks an orientation, and returns it in capitals."""
        try:
            return check_orientation(value)
        except UsageError as error:
            raise click.UsageError(error.message, ctx) from None
