"""Renders a page: one HTML file with its styles and scripts inside."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from importlib.resources import files
from typing import Any

from gradcam_cli.files.control_characters import visible
from gradcam_cli.rendering.color_scale import table_for
from gradcam_cli.rendering.page.places import GENERATOR
from gradcam_cli.version import __version__

# Offered after the colour map of the run. The last two suit colour-blind readers best.
_COLORMAPS = ("jet", "turbo", "inferno", "viridis", "cividis")
_SIGNED_COLORMAPS = ("bwr", "coolwarm", "RdBu_r", "PuOr_r", "PiYG")
_FOLDER = "gradcam_cli.rendering"
_BASE_STYLE = "page/base.css"
# In this order, because each script uses those before it.
_BASE_SCRIPTS = ("page/base.js", "page/heat_cells.js", "page/look.js")


def render_page(
    template: str,
    style: str,
    scripts: Sequence[str],
    data: dict[str, Any],
    *,
    loads_scripts: bool = False,
    **values: object,
) -> Iterator[str]:
    """Renders a page that asks for nothing but the pictures beside it.

    The browser runs only the scripts of this package, whatever the texts in the page hold. If the
    page loads scripts, only these can do that ('strict-dynamic' in its security policy), because a
    policy can't name files of a page that is itself a file.

    Args:
        template: A template that extends page/base.html, relative to this package's folder, as
            are the following files.
        style: A style sheet, which follows the common one.
        scripts: Scripts, which follow the common ones and use those before them.
        data: What the scripts read; `color_tables` makes its "colormaps".
        loads_scripts: Whether the page loads scripts from the folder beside it.
        values: The other values of the template.

    Yields:
        The parts of the page.
    """
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_read),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_show_controls,
    )
    css = "\n".join(map(_read, (_BASE_STYLE, style)))
    script = "\n".join(map(_read, (*_BASE_SCRIPTS, *scripts)))
    yield from environment.get_template(template).generate(
        generator=f"{GENERATOR} {__version__}",
        style=Markup(css),  # noqa: S704, they come with this package
        script=Markup(script),  # noqa: S704
        style_hash=_hash(css),
        script_hash=_hash(script),
        loads_scripts=loads_scripts,
        data=data,
        **values,
    )


def color_tables(colormap: str, signed: bool) -> list[tuple[str, str]]:
    """Returns the colour maps that a page offers: the name and the colours of each.

    Args:
        colormap: The first one.
        signed: Whether the maps have a sign.
    """
    names = dict.fromkeys((colormap, *(_SIGNED_COLORMAPS if signed else _COLORMAPS)))
    return [(name, to_text(table_for(name, signed))) for name in names]


def to_text(data: bytes) -> str:
    """Encodes bytes in base64."""
    return base64.b64encode(data).decode("ascii")


def _show_controls(value: object) -> object:
    """Makes control characters in a text visible; markup of this package has none."""
    return visible(value) if type(value) is str else value


def _read(name: str) -> str:
    return files(_FOLDER).joinpath(name).read_text("utf-8")


def _hash(text: str) -> str:
    return to_text(hashlib.sha256(text.encode()).digest())
