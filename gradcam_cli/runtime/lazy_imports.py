"""Delays the import of modules that a library imports but rarely uses."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from threading import get_ident
from types import ModuleType


@contextmanager
def lazy_imports(names: Collection[str]) -> Iterator[None]:
    """Delays executing modules that this thread imports until they are first used.

    Python's own `importlib.util.LazyLoader` does this. The modules are in ``sys.modules`` as
    usual for later imports. A module that isn't installed is reported immediately. Imports in
    other threads aren't delayed, because before Python 3.12 two threads can't load the same
    module lazily.

    Args:
        names: The names of the modules.
    """
    finder = _LazyFinder(names)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _LazyFinder(MetaPathFinder):
    def __init__(self, names: Collection[str]) -> None:
        self._names = names
        self._thread = get_ident()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self._names or get_ident() != self._thread:
            return None
        spec = PathFinder.find_spec(fullname, path)
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec
