"""Cuts the pictures of a run into blocks that workers explain without knowing of each other."""

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
from gradcam_cli.files.naming import result_folder, wanted_names
from gradcam_cli.files.storage import AnyPath, is_folder, is_remote, list_below

# Of so many photographs, most have others of their shape in the block.
_SMALLEST, _LARGEST = 64, 256
_USUAL_NUMBER = 1024
_NUMBERED = re.compile(r"_\d+$")
# Longer names may be shortened until they are the same.
_COMPARED_LENGTH = 120


@dataclass(frozen=True)
class Block:
    """Some pictures of a run, whose files can be named without looking at the others.

    Attributes:
        index: Its place in the run.
        pictures: The pictures, in their order.
        taken: Names of files that were in the folders of its results when the run began,
            where these are in a store; a worker needn't ask again.
    """

    index: int
    pictures: Sequence[InputPicture]
    taken: Mapping[str, frozenset[str]]

    @property
    def part(self) -> str:
        """The name of its part of the table of results: the same for the same rows."""
        digest = hashlib.sha256()
        for picture in self.pictures:
            digest.update(os.fsencode(f"{picture.path}\0{picture.target or ''}\0"))
        return f"part-{self.index:05}-{digest.hexdigest()[:16]}.parquet"


def cut(
    pictures: Sequence[InputPicture],
    out: AnyPath | None,
    size: int | None = None,
    before_stem: str | None = "",
) -> Iterator[Block]:
    """Cuts pictures into blocks, in their order.

    Pictures whose results could want the same name come into one block, which names them
    as a run of all pictures would.

    Args:
        pictures: All pictures of the run.
        out: The folder for all results; None for beside each picture.
        size: How many pictures a block has, or a few more; None for what depends on the
            number of pictures alone, so that the same run has the same blocks anywhere.
        before_stem: What the names of results begin with, before that of the picture; None
            if nobody knows.

    Raises:
        StorageError: The store of the results can't be asked what is there.
    """
    if size is None:
        size = max(_SMALLEST, min(len(pictures) // _USUAL_NUMBER, _LARGEST))
    listing = _Listing(out, before_stem)
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
    """Gives the places of pictures, together where their results could want the same name."""
    leaders: dict[int, int] = {}
    endings = {PurePath(picture.path.name).suffix[1:].casefold() for picture in pictures}
    joined: dict[int, int] = {}
    second_wishes: dict[int, list[int]] = {}
    for place, picture in enumerate(pictures):
        stem, _ = wanted_names(picture)
        leader = leaders.setdefault(_key(picture, out, stem), place)
        if leader != place:
            joined[place] = leader
        # "a_jpg.png" wants what "a.jpg" takes where its first wish is taken.
        for name in {stem, _NUMBERED.sub("", stem)}:
            if "" in endings or name.rpartition("_")[2].casefold() in endings:
                second_wishes.setdefault(_key(picture, out, name), []).append(place)
    if second_wishes:
        for place, picture in enumerate(pictures):
            for other in second_wishes.get(_key(picture, out, wanted_names(picture)[1]), ()):
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
    """What is in a store below the folder for results, by one listing."""

    def __init__(self, out: AnyPath | None, before_stem: str | None) -> None:
        self._out = out
        self._before_stem = before_stem
        self._names: dict[str, list[str]] = {}
        if out is not None and is_remote(out) and is_folder(out):
            for *folders, name in list_below(out):
                self._names.setdefault(str(out.joinpath(*folders)), []).append(name)
        for names in self._names.values():
            names.sort()

    def of(self, pictures: Iterable[InputPicture]) -> dict[str, frozenset[str]]:
        """Gives those names that the results of these pictures might want."""
        if self._out is None or not is_remote(self._out):
            return {}
        found: dict[str, set[str]] = {}
        for picture in pictures:
            folder = _folder(picture, self._out)
            names = self._names.get(folder, [])
            wanted = found.setdefault(folder, set())
            for beginning in wanted_names(picture):
                # What is shortened keeps its end, not its beginning.
                if len(beginning) > _COMPARED_LENGTH or self._before_stem is None:
                    wanted.update(names)
                    continue
                begun = f"{self._before_stem}{beginning}"
                for name in islice(names, bisect_left(names, begun), None):
                    if not name.startswith(begun):
                        break
                    wanted.add(name)
        return {folder: frozenset(names) for folder, names in found.items()}
