"""Puts off the import of modules that a library asks for and hardly ever uses."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from threading import Lock, get_ident
from types import ModuleType
from typing import Any

_FINDER = "_gradcam_finder"


@contextmanager
def deferred_imports(names: Iterable[str]) -> Iterator[None]:
    """Has what this thread imports get stand-ins for modules that are slow to import.

    A stand-in imports its module when something of it is used for the first time, then or
    ever after. Whoever imports the module later, and any other thread, gets the module itself.
    Modules that aren't there stay missing.

    Args:
        names: Of modules. Those put off are ``import a.b``, ``import a.b as c`` and ``from a
            import b``; ``from a.b import c`` uses the module at once.
    """
    finder = _Finder(names)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        finder.withdraw()


class _StandIn(ModuleType):
    """A module of which nothing has been used yet."""

    def __getattr__(self, attribute: str) -> Any:
        finder: _Finder = self.__dict__[_FINDER]
        return getattr(finder.import_now(self.__name__), attribute)


class _Finder(MetaPathFinder, Loader):
    """Finds stand-ins; Python asks it before all others."""

    def __init__(self, names: Iterable[str]) -> None:
        self._deferred = set(names)
        self._thread = get_ident()
        self._stand_ins: list[ModuleType] = []
        self._lock = Lock()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if get_ident() != self._thread:
            return None
        # Whoever asked for the last one has it by now; nobody else need find it.
        self.withdraw()
        if fullname not in self._deferred or PathFinder.find_spec(fullname, path) is None:
            return None
        return ModuleSpec(fullname, self)

    def create_module(self, spec: ModuleSpec) -> None:
        """Leaves it to Python, which looks for attributes that a stand-in would import."""

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__[_FINDER] = self
        module.__class__ = _StandIn
        with self._lock:
            self._stand_ins.append(module)

    def import_now(self, name: str) -> ModuleType:
        """Imports a module itself."""
        self._deferred.discard(name)
        # Another one may be on its way to the thread that asked for it.
        self.withdraw({name})
        return importlib.import_module(name)

    def withdraw(self, names: Collection[str] | None = None) -> None:
        """Takes stand-ins from where imports find them.

        Args:
            names: Of which modules; None for all.
        """
        with self._lock:
            withdrawn = [s for s in self._stand_ins if names is None or s.__name__ in names]
            self._stand_ins = [s for s in self._stand_ins if s not in withdrawn]
            for stand_in in withdrawn:
                name = stand_in.__name__
                parent, _, child = name.rpartition(".")
                if sys.modules.get(name) is stand_in:
                    del sys.modules[name]
                if parent and vars(sys.modules[parent]).get(child) is stand_in:
                    delattr(sys.modules[parent], child)
