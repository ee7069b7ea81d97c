"""``gradcam demo``: explains pictures that come with the package."""

from __future__ import annotations

import shlex
from importlib.resources import files
from pathlib import Path

import click

from gradcam_cli.cli.console import say
from gradcam_cli.cli.explain import explain
from gradcam_cli.cli.options import debug_option
from gradcam_cli.cli.path_types import LocalPath
from gradcam_cli.errors import OutputError, reason
from gradcam_cli.files.writing import check_folder, written_whole

_FOLDER = Path("gradcam-demo")
_PICTURES = "demo_pictures"
_SUFFIX = ".jpg"


@click.command(short_help="Explain two pictures that come with gradcam.")
@click.option(
    "-o",
    "--out",
    metavar="FOLDER",
    type=LocalPath(file_okay=False),
    default=_FOLDER,
    show_default=True,
    help="Write the pictures and their overlays to this folder.",
)
@debug_option
@click.pass_context
def demo(ctx: click.Context, /, out: Path) -> None:
    """Explains two pictures that come with gradcam, so that you can try it at once.

    Copies them to a folder and explains them there, as 'gradcam FOLDER/*.jpg' does. Works
    without a network. Your own files are never overwritten.
    """
    check_folder(out, f"--out {out}")
    copies = _copy_pictures(out)
    arguments = ["--top-k", "3", "--", *map(str, copies)]
    code = 0
    try:
        with explain.make_context("explain", arguments, parent=ctx) as explaining:
            explain.invoke(explaining)
    except click.exceptions.Exit as end:
        code = end.exit_code
    if code:
        ctx.exit(code)
    named = shlex.quote(str(copies[0]))
    say(f"Next: gradcam {named} --each, or gradcam YOUR_PICTURE.jpg", err=True)


def _copy_pictures(folder: Path) -> list[Path]:
    """Copies the pictures to a folder, unless they are there already.

    Raises:
        OutputError: They can't be written, or the folder has other files with their names.
    """
    copies = []
    for picture in sorted(files(__package__).joinpath(_PICTURES).iterdir(), key=lambda p: p.name):
        if not picture.name.endswith(_SUFFIX):
            continue
        copy = folder / picture.name
        content = picture.read_bytes()
        if not copy.exists():
            with written_whole(copy) as file:
                file.write(content)
        elif not _holds(copy, content):
            raise OutputError(
                f"{copy}: exists already and is not a demo picture; choose another --out"
            )
        copies.append(copy)
    return copies


def _holds(path: Path, content: bytes) -> bool:
    try:
        return path.read_bytes() == content
    except OSError as error:
        raise OutputError(f"{path}: cannot be read ({reason(error)})") from error
