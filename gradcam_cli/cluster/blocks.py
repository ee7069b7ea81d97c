"""Cuts the pictures of a run into blocks that workers explain independently."""

from __future__ import annotations

import hashlib
import os
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path, PurePath

from gradcam_cli.files.finding import InputPicture
from gradcam_cli.files.name_pattern import NamePattern
from gradcam_cli.files.naming import result_folder, wanted_names
from gradcam_cli.files.storage import AnyPath, is_folder, is_remote, list_below

# In a block of this many photographs, most share their shape with others.
_SMALLEST, _LARGEST = 64, 256
_USUAL_NUMBER = 1024
_NUMBERED = re.compile(r"_\d+$")
# Longer names may become equal when they are shortened.
_COMPARED_LENGTH = 120


@dataclass(frozen=True)
class Block:
    """Some pictures of a run, whose results can be named without knowing the others.

    Attributes:
        index: Its index in the run.
        pictures: The pictures, in order.
        taken: The names of files that were in the result folders when the run began, if these
            are in a store. They save the worker from listing the folders again.
    """

    index: int
    pictures: Sequence[InputPicture]
    taken: Mapping[str, frozenset[str]]

    @property
    def part(self) -> str:
        """The name of its part of the result table; equal for equal rows."""
        digest = hashlib.sha256()
        for picture in self.pictures:
            path, target = picture.key
            digest.update(os.fsencode(f"{path}\0{target or ''}\0"))
        return f"part-{self.index:05}-{digest.hexdigest()[:16]}.parquet"


def cut(
    pictures: Sequence[InputPicture],
    out: AnyPath | None,
    size: int | None = None,
    pattern: NamePattern | None = None,
) -> Iterator[Block]:
    """Cuts pictures into blocks, in order.

    Pictures whose results could have the same name go into the same block, so that they are
    named as in a run on one machine.

    Args:
        pictures: All pictures of the run.
        out: The folder for all results; None to write beside each picture.
        size: The number of pictures in a block, which may have a few more. None for a size
            that depends only on the number of pictures, so that a repeated run has the same
            blocks on any cluster.
        pattern: The pattern of the names of results; None for the usual names.

    Raises:
        StorageError: The store of the results can't be listed.
    """
    if size is None:
        size = max(_SMALLEST, min(len(pictures) // _USUAL_NUMBER, _LARGEST))
    listing = _Listing(out, pattern)
    block: list[InputPicture] = []
    index = 0
    for group in _groups(pictures, out):
        block += (pictures[member] for member in group)
        if len(block) >= size:
            yield Block(index, block, listing.of(block))
            block, index = [], index + 1
    if block:
        yield Block(index, block, listing.of(block))


def _groups(pictures: Sequence[InputPicture], out: AnyPath | None) -> Iterator[list[int]]:
    """Groups the indices of pictures whose results could have the same name."""
    leaders: dict[int, int] = {}
    endings = {PurePath(picture.path.name).suffix[1:].casefold() for picture in pictures}
    joined: dict[int, int] = {}
    second_choices: dict[int, list[int]] = {}
    for place, picture in enumerate(pictures):
        stem, _ = wanted_names(picture)
        leader = leaders.setdefault(_key(picture, out, stem), place)
        if leader != place:
            joined[place] = leader
        # If "a.jpg" can't have its first choice of name, it wants "a_jpg", as "a_jpg.png" does.
        for name in {stem, _NUMBERED.sub("", stem)}:
            if "" in endings or name.rpartition("_")[2].casefold() in endings:
                second_choices.setdefault(_key(picture, out, name), []).append(place)
    if second_choices:
        for place, picture in enumerate(pictures):
            for other in second_choices.get(_key(picture, out, wanted_names(picture)[1]), ()):
                _join(joined, place, other)
    members: dict[int, list[int]] = {}
    for place in joined:
        members.setdefault(_leader(joined, place), []).append(place)
    for place in range(len(pictures)):
        if place not in joined:
            yield sorted([place, *members.get(place, ())])


def _key(picture: InputPicture, out: AnyPath | None, name: str) -> int:
    return hash((_folder(picture, out), name.casefold()[-_COMPARED_LENGTH:]))


def _folder(picture: InputPicture, out: AnyPath | None) -> str:
    return str(result_folder(picture, None)) if out is None else _folder_below(out, picture.folder)


@lru_cache(maxsize=1024)
def _folder_below(out: AnyPath, folder: Path) -> str:
    return str(result_folder(InputPicture(folder, folder), out))


def _leader(joined: Mapping[int, int], place: int) -> int:
    while place in joined:
        place = joined[place]
    return place


def _join(joined: dict[int, int], one: int, other: int) -> None:
    first, second = sorted((_leader(joined, one), _leader(joined, other)))
    if first != second:
        joined[second] = first


class _Listing:
    """The names in a store below the folder for results, from a single listing."""

    def __init__(self, out: AnyPath | None, pattern: NamePattern | None) -> None:
        self._out = out
        self._before_stem = "" if pattern is None else pattern.before_stem
        self._after_stem = "_" if pattern is None else ""
        self._names: dict[str, list[str]] = {}
        if out is not None and is_remote(out) and is_folder(out):
            for *folders, name in list_below(out):
                self._names.setdefault(str(out.joinpath(*folders)), []).append(name)
        for names in self._names.values():
            names.sort()

    def of(self, pictures: Iterable[InputPicture]) -> dict[str, frozenset[str]]:
        """Returns the existing names that the results of these pictures could collide with."""
        if self._out is None or not is_remote(self._out):
            return {}
        found: dict[str, set[str]] = {}
        for picture in pictures:
            folder = _folder(picture, self._out)
            names = self._names.get(folder, [])
            wanted = found.setdefault(folder, set())
            for beginning in wanted_names(picture):
                # A shortened name keeps its end, not its start.
                if len(beginning) > _COMPARED_LENGTH or self._before_stem is None:
                    wanted.update(names)
                    continue
                begun = f"{self._before_stem}{beginning}{self._after_stem}"
                for name in islice(names, bisect_left(names, begun), None):
                    if not name.startswith(begun):
                        break
                    wanted.add(name)
        return {folder: frozenset(names) for folder, names in found.items()}
