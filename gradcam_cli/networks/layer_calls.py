"""Intercepts the calls of a model's layers without changing the model or its layers.

A layer's output could be obtained by temporarily giving the layer another ``call``. But several
threads may use a model, and an interrupt may come at any time. So the methods of the layers'
classes are replaced, once for all threads, by ones that check whether the current context has
something to do. In every other thread they behave as before. When the last context ends, the
classes get their own methods back.

Python doesn't guarantee that a class can be changed in this way: classes written in C refuse it.
Layers of such a class temporarily get a ``call`` of their own, which works for other threads in
the same way. `KerasNetwork` finds out from the call of the model itself whether calls use these
methods at all.

Both methods of a layer are intercepted. ``__call__`` alone would miss layers whose ``call`` is
called directly by another layer, and classes with a ``__call__`` of their own. ``call`` alone
would miss layers with a ``call`` of their own, such as operations in Keras 2 and quantized
layers.
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

# Takes the layer's own call and its arguments, and returns the result for the caller.
Interceptor = Callable[..., Any]

_CALL = "call"
_METHODS = ("__call__", _CALL)
_interceptors: ContextVar[Mapping[int, Interceptor]] = ContextVar("interceptors")
# Layers whose call is running: `__call__` calls `call`, and a class may call its parent's.
_running: ContextVar[frozenset[int]] = ContextVar("running", default=frozenset())


@contextmanager
def intercepted_calls(
    interceptors: Iterable[tuple[keras.Layer, Interceptor]],
) -> Iterator[None]:
    """Intercepts calls of layers in this context, which no other thread shares.

    Args:
        interceptors: For each layer, the function to call in its place, with the layer's own
            call before the arguments. In a nested context, the layer's own call is what the
            outer context made of it.
    """
    pairs = list(interceptors)
    before = _interceptors.get({})
    within = dict(before)
    for layer, interceptor in pairs:
        within[id(layer)] = _chained(interceptor, within.get(id(layer)))
    with _hooked([layer for layer, _ in pairs]):
        # An interrupt may come between any two steps, so no token of `set` is needed to undo it.
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
    """A method that first checks whether there is something to do.

    Attributes:
        users: All contexts that need it.
    """

    def __init__(self, owner: Any, name: str) -> None:
        """Prepares the method; nothing is changed yet.

        Args:
            owner: The class or the layer that gets it.
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
        """Installs the method in the owner, and returns whether that worked."""
        if not self._is_used():
            try:
                self._set(self._function)
            except TypeError:
                return False
        return True

    def remove(self) -> None:
        """Restores the owner's own method."""
        # Other code may have replaced it in the meantime.
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
            # Keras's own assignment would check whether the value has state to save.
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

    # Exactly what was done is undone, wherever an interrupt came.
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
    """Finds the classes from which a class inherits the methods."""
    for name in _METHODS:
        owner = next((owner for owner in kind.__mro__ if name in vars(owner)), None)
        if owner is not None:
            yield owner, name


def _hooking(original: Any) -> Callable[..., Any]:
    def hook(layer: keras.Layer, *args: Any, **kwargs: Any) -> Any:
        return _call(layer, _bound(original, layer), *args, **kwargs)

    # The attributes of the original describe how to work without wrappers.
    functools.update_wrapper(hook, original, updated=())
    with suppress(TypeError, ValueError):
        # Layers created in other threads inspect the signature of their methods.
        hook.__signature__ = inspect.signature(original)  # type: ignore[attr-defined]
    return hook


def _call(layer: keras.Layer, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    # Keras 2 may convert this function for graphs, with everything that it calls.
    interceptor = _interceptor_of(layer)
    if interceptor is None:
        return call(*args, **kwargs)
    return _intercept(interceptor, call, layer, args, kwargs)


def _interceptor_of(layer: keras.Layer) -> Interceptor | None:
    return None if id(layer) in _running.get() else _interceptors.get({}).get(id(layer))


def _bound(method: Any, layer: keras.Layer) -> Callable[..., Any]:
    # A method may be an object of another type, such as those decorated with `tf.function`.
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
