"""``--out dog2.png``: the name of a single result file instead of a folder."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from gradcam_cli.errors import UsageError
from gradcam_cli.files.downloads import DownloadLimits, Downloads
from gradcam_cli.files.finding import STACK_SUFFIXES, SUFFIXES, InputPicture, ending_of
from gradcam_cli.files.marks import is_marked
from gradcam_cli.files.name_pattern import literal_pattern
from gradcam_cli.files.storage import AnyPath, is_folder, is_remote
from gradcam_cli.pictures.stacks.opening import may_hold_several, open_stack
from gradcam_cli.rendering.encoding import PICTURE_FORMATS, carries_mark, format_for
from gradcam_cli.run.job import Job
from gradcam_cli.run.stacks.files import endings_of

_SHORT_ENDINGS = {"tiff": "tif", "m4v": "mp4"}


def take_out_file(
    job: Job, pictures: Sequence[InputPicture], given: Mapping[str, Any]
) -> tuple[Job, list[InputPicture]]:
    """Interprets ``--out`` as the name of a file, if it is one.

    It is one if it has the extension of a picture or is an existing local file, unless it ends in
    a slash or is an existing folder.

    Args:
        job: The run.
        pictures: All pictures of the run.
        given: What the user typed for each option.

    Returns:
        The job with a folder for results and a name, and the pictures changed so that their
        results go directly into that folder. Without a file name, both as they are.

    Raises:
        UsageError: The run would write several overlays or another format, ``--name`` is given
            too, or the file exists and wasn't written by the tool.
    """
    path, write = job.write.out, job.write
    if path is None or not _is_file(path, str(given.get("out"))):
        return job, list(pictures)
    option = f"--out {path}"
    of_stack = _ending_of_stack(job, pictures)
    if of_stack:
        if _ending(path) != of_stack:
            has_slices = of_stack == "png" and _ending(pictures[0].path) != "png"
            what = (
                f"the slices of {pictures[0].path} are drawn, and their heat is written beside them"
                if has_slices
                else f"the result of {pictures[0].path} is of the same kind"
            )
            stem = path.name.removesuffix(ending_of(path))
            raise UsageError(f"{option}: {what}; choose {stem}.{of_stack} or a folder")
    elif path.suffix.lower() not in SUFFIXES or not carries_mark(path):
        raise UsageError(
            f"{option}: overlays can be written as {', '.join(PICTURE_FORMATS)}; choose one of "
            f"these or a folder"
        )
    elif given.get("format") not in (None, format_for(path)):
        raise UsageError(f"{option} and --format {write.format} are different formats")
    if write.name is not None:
        raise UsageError(f"{option} is a file name already; leave out --name or choose a folder")
    if len(pictures) > 1:
        raise UsageError(
            f"{option} is one file for {len(pictures)} pictures; choose a folder ({path.stem}/)"
        )
    if job.writes_one_a_class:
        raise UsageError(
            f"{option} is one file, but each class needs its own; choose a folder ({path.stem}/)"
        )
    if path.exists() and not is_marked(path):
        raise UsageError(
            f"{option}: exists already and was not written by gradcam; choose another name"
        )
    named = replace(
        write,
        out=path.parent,
        name=literal_pattern(path.stem),
        format=write.format if of_stack else format_for(path),
        ending=path.suffix[1:],
    )
    return replace(job, write=named), [replace(picture, folder=Path()) for picture in pictures]


def _ending_of_stack(job: Job, pictures: Sequence[InputPicture]) -> str:
    """Returns the extension of the overlays of the only file, if it holds several pictures."""
    if len(pictures) > 1 or job.stack.first_frame or not may_hold_several(pictures[0].path):
        return ""
    stack = open_stack(
        pictures[0].path,
        Downloads(DownloadLimits(job.machine.max_download)),
        job.stack.volume,
        pictures[0].files,
    )
    return "" if stack is None else endings_of(stack)["overlay"]


def _ending(path: AnyPath) -> str:
    ending = path.suffix[1:].lower()
    return _SHORT_ENDINGS.get(ending, ending)


def _is_file(path: AnyPath, typed: str) -> bool:
    if typed.endswith(("/", os.sep)):
        return False
    has_ending = ending_of(path) in STACK_SUFFIXES
    if is_remote(path):
        return has_ending and not is_folder(path)
    return path.is_file() or (has_ending and not path.is_dir())
