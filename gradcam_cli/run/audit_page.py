"""Writes the page of an audit while its pictures come in."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Self

from gradcam_cli.analysis.audit_results import Audit, MapGroup, MeanMap
from gradcam_cli.analysis.heat_places import BORDER_AREA, CORNERS_AREA
from gradcam_cli.cam.methods.table import METHODS
from gradcam_cli.files.control_characters import visible
from gradcam_cli.files.writing import written_whole
from gradcam_cli.rendering.audit_page import (
    ShardWriter,
    arrange_matrix,
    make_mean_record,
    make_picture_record,
)
from gradcam_cli.rendering.color_scale import (
    DEFAULT_ALPHA,
    DEFAULT_COLORMAP,
    DEFAULT_SIGNED_COLORMAP,
    table_for,
)
from gradcam_cli.rendering.page import AssetFolder, check_may_replace, color_tables, to_text
from gradcam_cli.rendering.page import render_page as render
from gradcam_cli.run.records import PictureResult

# The longer side of the pictures on the page, in pixels; see `Job.preview_side`.
PREVIEW_SIDE = 480
# So many records are in one script: about a quarter of a megabyte.
_PICTURES, _MEANS = 200, 60
# Chooses another place, for error messages.
_OPTION = "--out"
_SCRIPTS = ("shards", "strips", "sheet", "sections", "matrix")


class AuditPage:
    """Collects the pictures of an audit and writes its page, keeping little of them in memory.

    The page loads pictures and their maps from the folder beside it, when they come into view.
    It needs no server and asks for nothing else.

    Example:
        >>> with AuditPage(Path("audit.html")) as page:
        ...     for result in results:
        ...         page.add(result)
        ...     page.write(audit)

    Attributes:
        path: The page.
    """

    def __init__(self, path: Path) -> None:
        """Checks that the page may be written, and makes the folder beside it.

        Args:
            path: The page. An earlier page of this tool at this path is replaced.

        Raises:
            OutputError: Another file or folder has the name of the page or of its folder, or
                they can't be written.
        """
        self.path = path
        check_may_replace(path)
        self._folder = AssetFolder(path, _OPTION, "The pictures of an audit")
        self._pictures = ShardWriter("pictures", self._folder, _PICTURES)
        self._is_written = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if not self._is_written:
            self._folder.discard()

    def add(self, result: PictureResult) -> None:
        """Adds a picture at the end; one that couldn't be explained is left to the audit.

        Args:
            result: The result of a run that observes and has a preview side.

        Raises:
            OutputError: Its preview can't be written.
        """
        if result.observation is None:
            return
        card = result.cards[0]
        assert card.preview is not None
        file = self._folder.write(card.preview.data, ".webp")
        self._pictures.add(make_picture_record(card, result.observation.truth, file))

    def write(self, audit: Audit) -> None:
        """Writes the page.

        Args:
            audit: The audit of the pictures added so far.

        Raises:
            OutputError: It can't be written.
        """
        assert len(self._pictures) == len(audit.observations)
        groups = sorted(audit.groups, key=lambda group: (-group.strength, -len(group.pictures)))
        shards = {
            "pictures": self._pictures.finish(),
            "means": self._write_means("means", audit.mean_maps),
            "groups": self._write_means("groups", groups),
        }
        facts = audit.explainer
        with written_whole(self.path, _OPTION) as file:
            for chunk in render(
                "audit_page/page.html",
                "audit_page/page.css",
                [f"audit_page/{name}.js" for name in _SCRIPTS],
                self._data(audit, groups, shards),
                loads_scripts=True,
                title=f"Audit of {facts.model}",
                subtitle=_describe(audit),
                folder=self._folder.name,
                audit=audit,
                areas={"border": BORDER_AREA, "corners": CORNERS_AREA},
                matrix=arrange_matrix(
                    {classes: len(pictures) for classes, pictures in audit.confusion.items()}
                ),
            ):
                file.write(chunk.encode("utf-8", "replace"))
        self._is_written = True
        self._folder.remove_unused()

    def _write_means(self, table: str, means: Iterable[MeanMap | MapGroup]) -> dict[str, Any]:
        writer = ShardWriter(table, self._folder, _MEANS)
        for mean in means:
            writer.add(make_mean_record(mean.heat, mean.picture))
        return writer.finish()

    def _data(
        self, audit: Audit, groups: Sequence[MapGroup], shards: dict[str, Any]
    ) -> dict[str, Any]:
        seen = audit.observations
        truths = [one.truth.index if one.truth is not None else -1 for one in seen]
        predicted = [one.predicted.index for one in seen]
        return {
            "shards": shards,
            "colormap": DEFAULT_COLORMAP,
            "colormaps": color_tables(DEFAULT_COLORMAP, signed=False),
            "alpha": DEFAULT_ALPHA,
            "ends": audit.explainer.ends,
            "signedColors": to_text(table_for(DEFAULT_SIGNED_COLORMAP, signed=True)),
            "names": {
                index: visible(audit.classes[index]) for index in {*truths, *predicted} - {-1}
            },
            "truths": truths,
            "predicted": predicted,
            "confidences": [_finite(one.predicted.probability) for one in seen],
            "findings": [_plain(finding.pictures) for finding in audit.findings],
            "errors": _plain(audit.confident_errors),
            "unsure": _plain(audit.unsure),
            "means": [
                {
                    "index": mean.class_index,
                    "name": visible(mean.name),
                    "count": mean.count,
                    "border": _finite(mean.border),
                    "corners": _finite(mean.corners),
                    "onObject": _finite(mean.on_object),
                }
                for mean in audit.mean_maps
            ],
            "groups": [
                {
                    "name": visible(group.name),
                    "pictures": _plain(group.pictures),
                    "suspicion": visible(group.suspicion),
                }
                for group in groups
            ],
            "duplicates": [
                {"pictures": _plain(same.pictures), "classes": list(map(visible, same.classes))}
                for same in audit.duplicates
            ],
            "unreadable": [visible(error.message) for error in audit.errors],
            "empty": list(map(visible, audit.empty_classes)),
        }


def _plain(pictures: Sequence[int]) -> list[int]:
    """Converts indices that may be NumPy's."""
    return list(map(int, pictures))


def _finite(number: float | None) -> float | None:
    """Rounds a number; those that JSON can't hold are unknown to the page."""
    return round(float(number), 4) if number is not None and math.isfinite(number) else None


def _describe(audit: Audit) -> str:
    facts = audit.explainer
    parts = [METHODS[facts.method].title]
    if facts.layer:
        parts.append(f"layer {facts.layer}")
    if facts.input:
        parts.append(f"input {facts.input}")
    if facts.contrast:
        parts.append(facts.contrast)
    return " · ".join(parts)
