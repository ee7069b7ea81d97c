"""Runs a command as a process of its own and measures it from outside."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
# In what getrusage counts the resident set.
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True)
class Run:
    """A process that has ended.

    Attributes:
        started: When, in seconds of `time.time`.
        seconds: Its wall time, from before its start until after its end.
        peak_bytes: The largest resident set that it had.
        found: The JSON object in its last line of output, if there was one.
        error: In one line why it failed; None if it didn't.
    """

    started: float
    seconds: float
    peak_bytes: int
    found: Mapping[str, Any]
    error: str | None


def run(command: Sequence[str], time_limit: float | None = None) -> Run:
    """Runs a command of this Python and waits for its end.

    Args:
        command: What follows the interpreter.
        time_limit: After so many seconds it is killed.
    """
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3"}
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        started, counted = time.time(), time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, *command], stdout=output, stderr=errors, env=environment
        )
        is_stopped = threading.Event()

        def stop() -> None:
            is_stopped.set()
            process.kill()

        timer = threading.Timer(time_limit or threading.TIMEOUT_MAX, stop)
        timer.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            raise
        finally:
            timer.cancel()
        seconds = time.perf_counter() - counted
        # So that Popen doesn't wait for it again.
        process.returncode = os.waitstatus_to_exitcode(status)
        last, complaint = _last_line(output), _last_line(errors)
    found = _parse(last)
    error = None
    if is_stopped.is_set():
        error = f"stopped after {time_limit:g} s"
    elif process.returncode < 0:
        error = f"killed by {signal.Signals(-process.returncode).name}"
    elif process.returncode:
        error = found.get("error") or complaint or f"exit code {process.returncode}"
    return Run(started, seconds, usage.ru_maxrss * _RSS_UNIT, found, error)


def _last_line(file) -> str:
    file.seek(0)
    lines = file.read().decode(errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else ""


def _parse(line: str) -> Mapping[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
