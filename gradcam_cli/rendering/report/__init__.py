"""The gallery: one page that shows every explained picture, without a server."""

from gradcam_cli.rendering.report.records import ReportClass, ReportMap, ReportPicture, make_preview
from gradcam_cli.rendering.report.writer import ReportOptions, ReportWriter, check_may_replace

__all__ = [
    "ReportClass",
    "ReportMap",
    "ReportOptions",
    "ReportPicture",
    "ReportWriter",
    "check_may_replace",
    "make_preview",
]
