"""What the tool's pages share: how they are written, how they look and how they colour maps."""

from gradcam_cli.rendering.page.html import color_tables, render_page, to_text
from gradcam_cli.rendering.page.places import AssetFolder, check_may_replace

__all__ = [
    "AssetFolder",
    "check_may_replace",
    "color_tables",
    "render_page",
    "to_text",
]
