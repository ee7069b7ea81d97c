"""Writes a report: one page, with the pictures inside or in a folder beside it."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

from gradcam_cli.errors import OutputError, reason
from gradcam_cli.files.writing import written_whole
from gradcam_cli.rendering.color_scale import DEFAULT_ALPHA, DEFAULT_COLORMAP, table_for
from gradcam_cli.rendering.page import (
    AssetFolder,
    check_may_replace,
    color_tables,
    render_page,
    to_text,
)
from gradcam_cli.rendering.report.records import Preview, ReportPicture, picture_record

# In this order, because each script uses those before it.
_SCRIPTS = ("report/page.js", "report/heat.js", "report/grid.js", "report/viewer.js")


@dataclass(frozen=True)
class ReportOptions:
    """The settings of a report.

    Attributes:
        title: The headline.
        subtitle: The line below it.
        arguments: The arguments that the commands for all pictures share, quoted for a shell
            ("--model resnet50", "--fit pad").
        colormap: The initial colour map, a name that Matplotlib knows.
        alpha: The initial opacity of the map, 0 to 1.
        assets: Whether to write the pictures to a folder beside the page.
        ends: What negative and positive values mean in a word, if the maps are signed; else None.
        hot_from: The fraction of a map's maximum from which on it is coloured; None to colour all.
    """

    title: str
    subtitle: str = ""
    arguments: Sequence[str] = ()
    colormap: str = DEFAULT_COLORMAP
    alpha: float = DEFAULT_ALPHA
    assets: bool = False
    ends: tuple[str, str] | None = None
    hot_from: float | None = None


class ReportWriter:
    """Collects pictures for a report and writes it, keeping little of them in memory.

    The page groups the pictures by class and confidence, and colours and blends the maps
    itself. It loads nothing from elsewhere and needs no server.

    Example:
        >>> with ReportWriter(Path("report.html"), ReportOptions("Cats")) as report:
        ...     for result in explain_pictures(pictures, explainer, options):
        ...         report.add(result.card)
        ...     report.write()

    Attributes:
        path: The page.
    """

    def __init__(self, path: Path, options: ReportOptions) -> None:
        """Checks that the report may be written.

        Args:
            path: The page. An earlier report of this tool at this path is replaced.
            options: The settings of the report.

        Raises:
            OutputError: Another file or folder has the name of the page or of its folder, or
                they can't be written.
            UsageError: Matplotlib has no such colour map, or it doesn't suit signed maps.
        """
        self.path = path
        self._options = options
        self._records: list[dict[str, Any]] = []
        self._spooled = 0
        table_for(options.colormap, options.ends is not None)
        check_may_replace(path)
        with self._spool_errors():
            self._previews: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115, see __exit__
        self._assets = (
            AssetFolder(path, "--report", "The pictures of a report") if options.assets else None
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        # Closing flushes again after a failed write; that error was reported already.
        with contextlib.suppress(OSError):
            self._previews.close()

    def add(self, picture: ReportPicture) -> None:
        """Adds a picture at the end.

        Raises:
            OutputError: Its preview can't be written.
        """
        record = picture_record(picture)
        if picture.preview is not None:
            if self._assets is not None:
                record["file"] = self._assets.write(picture.preview.data, ".webp")
            else:
                record["preview"] = self._spool(picture.preview)
        self._records.append(record)

    def write(self) -> None:
        """Writes the page with all pictures added so far.

        Raises:
            OutputError: It can't be written.
        """
        with self._spool_errors():
            self._previews.seek(0)
        previews: Iterator[str] = (line.rstrip(b"\n").decode("ascii") for line in self._previews)
        with written_whole(self.path, "--report") as file:
            for chunk in self._render(previews):
                file.write(chunk.encode("utf-8", "replace"))
        if self._assets is not None:
            self._assets.remove_unused()

    def _render(self, previews: Iterator[str]) -> Iterator[str]:
        options = self._options
        return render_page(
            "report/page.html",
            "report/page.css",
            _SCRIPTS,
            {
                "pictures": self._records,
                "arguments": list(options.arguments),
                "colormap": options.colormap,
                "alpha": options.alpha,
                "ends": options.ends,
                "hotFrom": options.hot_from,
                "colormaps": color_tables(options.colormap, options.ends is not None),
            },
            title=options.title,
            subtitle=options.subtitle,
            previews=previews,
        )

    def _spool(self, preview: Preview) -> int:
        number = self._spooled
        self._spooled += 1
        with self._spool_errors():
            line = f"data:image/webp;base64,{to_text(preview.data)}\n"
            self._previews.write(line.encode("ascii"))
        return number

    @contextlib.contextmanager
    def _spool_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutputError(
                f"{self.path}: cannot store its pictures temporarily ({reason(error)}); choose "
                f"another folder for temporary files with TMPDIR"
            ) from error
