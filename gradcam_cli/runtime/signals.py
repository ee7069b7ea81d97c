"""Ends the command cleanly when the system asks for it."""

from __future__ import annotations

import signal
from types import FrameType

from gradcam_cli.errors import HungUp, Terminated

_ERRORS = {"SIGTERM": Terminated, "SIGHUP": HungUp}


def heed_signals() -> None:
    """Makes SIGTERM and SIGHUP end the command like Ctrl-C.

    Files being written are completed or removed. An ignored signal stays ignored: nohup and
    shells ignore signals that a command should survive.
    """
    # Windows has no SIGHUP.
    errors = {
        getattr(signal, name): error for name, error in _ERRORS.items() if hasattr(signal, name)
    }

    first: int | None = None

    def end(number: int, frame: FrameType | None) -> None:
        nonlocal first
        # A system that shuts down sends both signals, and the second kind must not interrupt
        # the cleanup. The same signal again ends the command immediately, like Ctrl-C twice.
        if first in (None, number):
            first = number
            raise errors[number]

    for number in errors:
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, end)
