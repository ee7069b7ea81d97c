"""Steps in where a model's layers are called, and leaves model and layers as they are.

A layer's output can be had by giving the layer another ``call`` for a while. But a model may
be in use by several threads, and an interrupt may come at any time. So the methods of the
layers' classes are replaced, once for all threads, by ones that look whether anything is to
be done in the current context; in every other thread they do what they did before. When
the last context ends, the classes have their own methods back.

Nobody promises that Python lets a class be changed so: classes that are made in C refuse it.
Layers of such a class get a ``call`` of their own for a while, which other threads pass
through in the same way. Whether calls go by these methods at all, `KerasNetwork` sees by the
call of the model itself.

Both methods of a layer are watched. ``__call__`` alone would miss layers whose ``call`` is
called directly by another layer, and classes with a ``__call__`` of their own; ``call``
alone would miss layers with a ``call`` of their own, as operations have in Keras 2, and
quantized ones.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from threading import Lock
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

# Is given the layer's own call and what it was called with; returns what the caller gets.
Interceptor = Callable[..., Any]

_CALL = "call"
_METHODS = ("__call__", _CALL)
_interceptors: ContextVar[Mapping[int, Interceptor]] = ContextVar("interceptors")
# Layers whose call is going on: `__call__` calls `call`, and a class may call its parent's.
_running: ContextVar[frozenset[int]] = ContextVar("running", default=frozenset())


@contextmanager
def intercepted_calls(
    interceptors: Iterable[tuple[keras.Layer, Interceptor]],
) -> Iterator[None]:
    """Steps in where layers are called in this context, which no other thread shares.

    Args:
        interceptors: For each layer what is called in its place, with the layer's own call
            before the arguments. Inside another context, the layer's own call is what that
            one made of it.
    """
    pairs = list(interceptors)
    before = _interceptors.get({})
    within = dict(before)
    for layer, interceptor in pairs:
        within[id(layer)] = _chained(interceptor, within.get(id(layer)))
    with _hooked([layer for layer, _ in pairs]):
        # An interrupt may come between any two steps, so that there is no token to lose.
        try:
            _interceptors.set(within)
            yield
        finally:
            _interceptors.set(before)


def _chained(interceptor: Interceptor, inner: Interceptor | None) -> Interceptor:
    if inner is None:
        return interceptor
    return lambda call, *args, **kwargs: interceptor(
        functools.partial(inner, call), *args, **kwargs
    )


class _Hook:
    """A method that looks first whether there is something to be done.

    Attributes:
        users: All contexts that want it.
    """

    def __init__(self, owner: Any, name: str) -> None:
        """Changes nothing yet.

        Args:
            owner: The class, or the layer, that gets it.
            name: The method's name.
        """
        self.users: set[object] = set()
        self._owner = owner
        self._name = name
        self._is_own = name in vars(owner)
        self._original = vars(owner).get(name)
        if isinstance(owner, type):
            self._function = _hooking(self._original)
        else:
            self._function = functools.partial(_call, owner, getattr(owner, name))

    def put(self) -> bool:
        """Has the owner use it; says whether the owner does."""
        if not self._is_used():
            try:
                self._set(self._function)
            except TypeError:
                return False
        return True

    def remove(self) -> None:
        """Gives the owner its own method back."""
        # Somebody else may have replaced it in the meantime.
        if self._is_used() and self._is_own:
            self._set(self._original)
        elif self._is_used():
            del vars(self._owner)[self._name]

    def _is_used(self) -> bool:
        return vars(self._owner).get(self._name) is self._function

    def _set(self, function: Any) -> None:
        if isinstance(self._owner, type):
            setattr(self._owner, self._name, function)
        else:
            # Keras would look whether there is something in it to be saved.
            vars(self._owner)[self._name] = function


_hooks: dict[tuple[int, str], _Hook] = {}
_lock = Lock()


@contextmanager
def _hooked(layers: Sequence[keras.Layer]) -> Iterator[None]:
    user = object()
    used: list[tuple[int, str]] = []

    def use(owner: Any, name: str) -> bool:
        key = id(owner), name
        if key not in _hooks:
            _hooks[key] = _Hook(owner, name)
        used.append(key)
        _hooks[key].users.add(user)
        return _hooks[key].put()

    # What is undone is what was done, wherever an interrupt came.
    try:
        with _lock:
            kinds = {type(layer) for layer in layers}
            places = {place for kind in kinds for place in _places(kind)}
            refused = {place for place in places if not use(*place)}
            for layer in layers if refused else ():
                if refused.intersection(_places(type(layer))):
                    use(layer, _CALL)
        yield
    finally:
        with _lock:
            for key in used:
                if key in _hooks:
                    _hooks[key].users.discard(user)
                    if not _hooks[key].users:
                        _hooks[key].remove()
                        del _hooks[key]


def _places(kind: type) -> Iterator[tuple[type, str]]:
    """Finds the classes from which a class has the methods."""
    for name in _METHODS:
        owner = next((owner for owner in kind.__mro__ if name in vars(owner)), None)
        if owner is not None:
            yield owner, name


def _hooking(original: Any) -> Callable[..., Any]:
    def hook(layer: keras.Layer, *args: Any, **kwargs: Any) -> Any:
        return _call(layer, _bound(original, layer), *args, **kwargs)

    # The attributes of the original say how to do without wrappers.
    functools.update_wrapper(hook, original, updated=())
    with suppress(TypeError, ValueError):
        # Layers that are made in other threads look what arguments they take.
        hook.__signature__ = inspect.signature(original)  # type: ignore[attr-defined]
    return hook


def _call(layer: keras.Layer, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    # Keras 2 may translate this function for graphs, with all that it calls.
    interceptor = _interceptor_of(layer)
    if interceptor is None:
        return call(*args, **kwargs)
    return _intercept(interceptor, call, layer, args, kwargs)


def _interceptor_of(layer: keras.Layer) -> Interceptor | None:
    return None if id(layer) in _running.get() else _interceptors.get({}).get(id(layer))


def _bound(method: Any, layer: keras.Layer) -> Callable[..., Any]:
    # A method may be an object of its own kind, as those that `tf.function` decorates.
    bind = getattr(type(method), "__get__", None)
    bound: Callable[..., Any] = bind(method, layer, type(layer)) if bind else method
    return bound


def _intercept(
    interceptor: Interceptor,
    call: Callable[..., Any],
    layer: keras.Layer,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    before = _running.get()
    try:
        _running.set(before | {id(layer)})
        return interceptor(call, *args, **kwargs)
    finally:
        _running.set(before)
