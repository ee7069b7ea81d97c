"""Ends the command in good order when the system asks for it."""

from __future__ import annotations

import signal
from types import FrameType

from gradcam_cli.errors import HungUp, Terminated

_ERRORS = {"SIGTERM": Terminated, "SIGHUP": HungUp}


def heed_signals() -> None:
    """Makes SIGTERM and SIGHUP end the command as Ctrl-C does.

    What is being written is finished, or removed. A signal that is ignored stays so: nohup
    and shells ignore those that a command should outlive.
    """
    # Windows has no SIGHUP.
    errors = {
        getattr(signal, name): error for name, error in _ERRORS.items() if hasattr(signal, name)
    }

    first: int | None = None

    def end(number: int, frame: FrameType | None) -> None:
        nonlocal first
        # A system that shuts down sends both, and the other one must not stop the tidying up. The
        # same once more means now, as with Ctrl-C.
        if first in (None, number):
            first = number
            raise errors[number]

    for number in errors:
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, end)
