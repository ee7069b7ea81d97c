"""Steps in where a model's layers are called, and leaves model and layers as they are.

A layer's output can be had by giving the layer another ``call`` for a while. But a model may
be in use by several threads, and an interrupt may come at any time. So the methods of the
layers' classes are replaced, once for all threads, by ones that look whether anything is to
be done in the current context; in every other thread they do what they did before. When
the last context ends, the classes have their own methods back.

Both methods of a layer are watched. ``__call__`` alone would miss layers whose ``call`` is
called directly by another layer, and classes with a ``__call__`` of their own; ``call``
alone would miss layers with a ``call`` of their own, as operations have in Keras 2, and
quantized ones.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from threading import Lock
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

# Is given the layer's own call and what it was called with; returns what the caller gets.
Interceptor = Callable[..., Any]
_Place = tuple[type, str]

_METHODS = ("__call__", "call")
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
    with _hooked({place for layer, _ in pairs for place in _places(type(layer))}):
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


def _places(kind: type) -> Iterator[_Place]:
    """Finds the classes from which a class has the methods."""
    for name in _METHODS:
        owner = next((owner for owner in kind.__mro__ if name in vars(owner)), None)
        if owner is not None:
            yield owner, name


class _Hook:
    """A method of a class that looks first whether there is something to be done.

    Attributes:
        original: What the class has by itself.
        function: What it has while there are users.
        users: All contexts that want it.
    """

    def __init__(self, original: Any) -> None:
        self.original = original
        self.function = _hooking(original)
        self.users: set[object] = set()


_hooks: dict[_Place, _Hook] = {}
_lock = Lock()


@contextmanager
def _hooked(places: Iterable[_Place]) -> Iterator[None]:
    user = object()
    # What is undone is what was done, wherever an interrupt came.
    try:
        with _lock:
            for owner, name in places:
                if (owner, name) not in _hooks:
                    _hooks[owner, name] = _Hook(vars(owner)[name])
                hook = _hooks[owner, name]
                hook.users.add(user)
                if vars(owner)[name] is not hook.function:
                    setattr(owner, name, hook.function)
        yield
    finally:
        with _lock:
            for owner, name in places:
                if (owner, name) not in _hooks:
                    continue
                hook = _hooks[owner, name]
                hook.users.discard(user)
                if not hook.users:
                    # Somebody else may have replaced the method in the meantime.
                    if vars(owner)[name] is hook.function:
                        setattr(owner, name, hook.original)
                    del _hooks[owner, name]


def _hooking(original: Any) -> Callable[..., Any]:
    def hook(layer: keras.Layer, *args: Any, **kwargs: Any) -> Any:
        # Keras 2 may translate this function for graphs, with all that it calls.
        interceptor = _interceptor_of(layer)
        if interceptor is None:
            return _bound(original, layer)(*args, **kwargs)
        return _intercept(interceptor, _bound(original, layer), layer, args, kwargs)

    # The attributes of the original say how to do without wrappers.
    functools.update_wrapper(hook, original, updated=())
    with suppress(TypeError, ValueError):
        # Layers that are made in other threads look what arguments they take.
        hook.__signature__ = inspect.signature(original)  # type: ignore[attr-defined]
    return hook


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
