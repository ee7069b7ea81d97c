"""Which files a run writes for a stack, and what writes them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from gradcam_cli.files.marks import Mark
from gradcam_cli.files.storage import AnyPath
from gradcam_cli.pictures.stacks.stack import Stack
from gradcam_cli.pictures.stacks.volumes import Volume
from gradcam_cli.rendering.stacks.slice_sheet import written_sheet
from gradcam_cli.rendering.stacks.writer import StackWriter, written_stack

# Slices are shown on one picture.
_SHEET = "png"


def endings_of(stack: Stack) -> dict[str, str]:
    """Returns the files of each explained class: what each shows, and its extension.

    The first one carries a mark that covers the others. The kinds are "overlay", which is named
    ``{stem}_gradcam``, and "heatmap", which is named ``{stem}_heatmap``.

    Args:
        stack: The file that is explained.
    """
    if isinstance(stack, Volume):
        return {"overlay": _SHEET, "heatmap": stack.ending}
    return {"overlay": stack.ending}


@contextlib.contextmanager
def written_for(stack: Stack, kind: str, path: AnyPath, mark: Mark) -> Iterator[StackWriter]:
    """Opens one of the files; it appears under its name only if the block ends without error.

    Args:
        stack: The file that is explained.
        kind: A key of `endings_of`.
        path: Where to write it.
        mark: Its mark.

    Raises:
        OutputError: It can't be written.
    """
    assert kind in endings_of(stack)
    if isinstance(stack, Volume) and kind == "overlay":
        with written_sheet(stack, path, mark) as sheet:
            yield sheet
        return
    with written_stack(stack, path, mark) as writer:
        yield writer
