"""Chooses oneDNN's kernels where TensorFlow leaves them off and they are faster.

On x86-64 Linux TensorFlow turns oneDNN on by itself only for processors with instructions
made for neural networks (AVX-512 VNNI and later ones). On those with AVX2 alone it is
faster too. On Windows it is on wherever it can be; builds for macOS don't have it, and those
for ARM have a choice of their own.
"""

from __future__ import annotations

import os
import sys

from gradcam_cli.runtime.processor import find_in_cpuinfo, read_cpuinfo

VARIABLE = "TF_ENABLE_ONEDNN_OPTS"
_ON = "1"
_MEANINGS = {"0": False, "false": False, _ON: True, "true": True}
_NEEDED = frozenset({"avx2", "fma"})
# `DefaultOneDnnPolicy` in TensorFlow's tensorflow/core/util/port.cc, as Linux calls them.
_ENOUGH_FOR_TENSORFLOW = frozenset(
    {"avx512_vnni", "avx512_bf16", "avx_vnni", "amx_tile", "amx_int8", "amx_bf16"}
)

_is_chosen_here = False


def choose_onednn() -> None:
    """Turns oneDNN on where it is faster, unless the user or TensorFlow has decided.

    TensorFlow reads the variable while it is imported, so that nothing changes after that.
    """
    global _is_chosen_here
    if VARIABLE in os.environ or "tensorflow" in sys.modules:
        return
    if gains_from_onednn(read_cpuinfo()):
        os.environ[VARIABLE] = _ON
        _is_chosen_here = True


def users_setting() -> str | None:
    """Gives what the user set `VARIABLE` to; None if nothing, or if gradcam set it."""
    value = os.environ.get(VARIABLE)
    return None if _is_chosen_here and value == _ON else value


def gains_from_onednn(cpuinfo: str) -> bool:
    """Says whether a processor is faster with oneDNN, and TensorFlow leaves it off.

    Args:
        cpuinfo: What Linux tells of it in ``/proc/cpuinfo``.
    """
    flags = set(find_in_cpuinfo(cpuinfo, "flags").split())
    return flags >= _NEEDED and not flags & _ENOUGH_FOR_TENSORFLOW


def describe_onednn(is_on: bool | None) -> str:
    """Says in words whether oneDNN is on, and who decided.

    Args:
        is_on: What TensorFlow says; None if it doesn't.
    """
    state = "oneDNN" if is_on is None else "oneDNN on" if is_on else "oneDNN off"
    value = users_setting()
    if value is None and _is_chosen_here and is_on is not False:
        return f"{state}, which is faster on this processor; {VARIABLE}=0 turns it off"
    asked_for = _MEANINGS.get((value or "").lower())
    if asked_for is not None and is_on in (None, asked_for):
        return f"{state}, as {VARIABLE}={value} says"
    return f"{state}, as TensorFlow chooses for this processor"
