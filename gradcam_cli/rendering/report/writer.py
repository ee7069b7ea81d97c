"""Writes a report: one page, with the pictures inside or in a folder beside it."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self
from urllib.parse import quote

from gradcam_cli.errors import OutputError, reason
from gradcam_cli.files.marks import RESULTS_FOLDER_MARK
from gradcam_cli.files.writing import check_folder, written_whole
from gradcam_cli.rendering.color_scale import DEFAULT_ALPHA, DEFAULT_COLORMAP, table_for
from gradcam_cli.rendering.report.records import Preview, ReportPicture, picture_record
from gradcam_cli.version import __version__

if TYPE_CHECKING:
    import jinja2

# Offered after the colour map of the run. The last two suit colour-blind readers best.
_COLORMAPS = ("jet", "turbo", "inferno", "viridis", "cividis")
_SIGNED_COLORMAPS = ("bwr", "coolwarm", "RdBu_r", "PuOr_r", "PiYG")
# In this order, because each script uses those before it.
_SCRIPTS = ("page.js", "heat.js", "grid.js", "viewer.js")
_GENERATOR = "gradcam"
_ASSETS_SUFFIX = "_files"
# The generator is named within this many bytes from the start of a page.
_HEAD = 2048
_ASSET_NAME = re.compile(r"[0-9a-f]{24}\.webp")


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


def check_may_replace(path: Path) -> None:
    """Checks that a report may be written to a path.

    Raises:
        OutputError: Another file has this name, or the path can't be read or written.
    """
    check_folder(path.parent, str(path))
    if path.is_dir():
        raise OutputError(f"{path}: is a folder; name a file for the report, like report.html")
    if not path.exists():
        return
    try:
        with open(path, "rb") as file:
            own = f'name="generator" content="{_GENERATOR} '.encode() in file.read(_HEAD)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror})") from error
    if not own:
        raise OutputError(
            f"{path}: exists and is not a report of this tool; choose another name for the report"
        )


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
        self._written: set[str] = set()
        self._assets = path.with_name(f"{path.stem}{_ASSETS_SUFFIX}")
        table_for(options.colormap, options.ends is not None)
        check_may_replace(path)
        with self._spool_errors():
            self._previews: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115, see __exit__
        if options.assets:
            self._prepare_assets()

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
            if self._options.assets:
                record["file"] = self._write_asset(picture.preview)
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
        if self._options.assets:
            self._remove_unused_assets()

    def _render(self, previews: Iterator[str]) -> Iterator[str]:
        from markupsafe import Markup

        style, script = _read("page.css"), "\n".join(map(_read, _SCRIPTS))
        signed = self._options.ends is not None
        offered = _SIGNED_COLORMAPS if signed else _COLORMAPS
        names = dict.fromkeys((self._options.colormap, *offered))
        return _load_template().generate(
            title=self._options.title,
            subtitle=self._options.subtitle,
            generator=f"{_GENERATOR} {__version__}",
            style=Markup(style),  # noqa: S704, they come with this package
            script=Markup(script),  # noqa: S704
            style_hash=_hash(style),
            script_hash=_hash(script),
            previews=previews,
            data={
                "pictures": self._records,
                "arguments": list(self._options.arguments),
                "colormap": self._options.colormap,
                "alpha": self._options.alpha,
                "ends": self._options.ends,
                "hotFrom": self._options.hot_from,
                "colormaps": [(name, _to_text(table_for(name, signed))) for name in names],
            },
        )

    def _spool(self, preview: Preview) -> int:
        number = self._spooled
        self._spooled += 1
        with self._spool_errors():
            line = f"data:image/webp;base64,{_to_text(preview.data)}\n"
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

    def _prepare_assets(self) -> None:
        mark = self._assets / RESULTS_FOLDER_MARK
        if self._assets.exists() and not mark.exists():
            raise OutputError(
                f"{self._assets}: is not a folder of this tool; choose another name for the report"
            )
        with written_whole(mark, "--report") as file:
            file.write(b"The pictures of a report. gradcam writes and removes them.\n")

    def _write_asset(self, preview: Preview) -> str:
        # Named by content, so that writing a new report doesn't change the earlier one.
        name = f"{hashlib.sha256(preview.data).hexdigest()[:24]}.webp"
        if name not in self._written:
            self._written.add(name)
            with written_whole(self._assets / name, "--report") as file:
                file.write(preview.data)
        return f"{quote(os.fsencode(self._assets.name))}/{name}"

    def _remove_unused_assets(self) -> None:
        for path in self._assets.iterdir():
            if _ASSET_NAME.fullmatch(path.name) and path.name not in self._written:
                path.unlink(missing_ok=True)


def _load_template() -> jinja2.Template:
    import jinja2

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(_read("page.html"))


def _read(name: str) -> str:
    return files(__package__).joinpath(name).read_text("utf-8")


def _hash(text: str) -> str:
    return _to_text(hashlib.sha256(text.encode()).digest())


def _to_text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
