"""Ends the command cleanly when the system or the user asks for it."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

from gradcam_cli.errors import HungUp, Terminated

_ERRORS = {"SIGINT": KeyboardInterrupt, "SIGTERM": Terminated, "SIGHUP": HungUp}


class _Signals:
    """The signals that ask the command to end, as far as they have come."""

    def __init__(self) -> None:
        self._first: int | None = None
        self._holding = 0
        self._held: KeyboardInterrupt | None = None

    def heed(self) -> None:
        # Windows has no SIGHUP.
        numbers = [getattr(signal, name) for name in _ERRORS if hasattr(signal, name)]
        for number in numbers:
            if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                signal.signal(number, self._end)

    def _end(self, number: int, frame: FrameType | None) -> None:
        error = _ERRORS[signal.Signals(number).name]()
        if self._first is None:
            self._first = number
            if self._holding:
                self._held = error
                return
        # A system that shuts down sends two kinds, and the second kind must not interrupt the
        # cleanup. The same signal again, or Ctrl-C, ends the command immediately.
        elif number not in (self._first, signal.SIGINT):
            return
        raise error

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        self._holding += 1
        try:
            yield
        finally:
            self._holding -= 1
        # After an error in the step, that error ends the command.
        if self._held is not None and not self._holding:
            error, self._held = self._held, None
            raise error


_SIGNALS = _Signals()


def heed_signals() -> None:
    """Makes SIGTERM and SIGHUP end the command like Ctrl-C (SIGINT).

    Files being written are completed or removed. An ignored signal stays ignored: nohup and
    shells ignore signals that a command should survive.
    """
    _SIGNALS.heed()


def hold_signals() -> contextlib.AbstractContextManager[None]:
    """Lets the signals of `heed_signals` wait for the end of a step that must not be divided.

    The same signal a second time, or Ctrl-C, doesn't wait. A program that hasn't called
    `heed_signals` keeps its own behaviour.

    Returns:
        A context; when the outermost one ends, it raises the error of the signal.
    """
    return _SIGNALS.hold()
