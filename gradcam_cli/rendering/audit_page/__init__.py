"""The page of an audit, from plain values."""

from gradcam_cli.rendering.audit_page.matrix import Matrix, arrange_matrix
from gradcam_cli.rendering.audit_page.records import make_mean_record, make_picture_record
from gradcam_cli.rendering.audit_page.shards import ShardWriter

__all__ = [
    "Matrix",
    "ShardWriter",
    "arrange_matrix",
    "make_mean_record",
    "make_picture_record",
]
