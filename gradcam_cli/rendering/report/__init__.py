"""The report: one page that shows every explained picture, without a server."""

from gradcam_cli.rendering.page import check_may_replace
from gradcam_cli.rendering.report.records import (
    PREVIEW_SIDE,
    ReportMap,
    ReportPicture,
    make_preview,
)
from gradcam_cli.rendering.report.writer import ReportOptions, ReportWriter

__all__ = [
    "PREVIEW_SIDE",
    "ReportMap",
    "ReportOptions",
    "ReportPicture",
    "ReportWriter",
    "check_may_replace",
    "make_preview",
]
