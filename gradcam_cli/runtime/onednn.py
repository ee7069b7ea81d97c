"""Enables oneDNN's kernels where they are faster but TensorFlow doesn't enable them.

On x86-64 Linux, TensorFlow enables oneDNN only on CPUs with instructions for neural networks
(AVX-512 VNNI and later ones), but it is also faster on CPUs with only AVX2. On Windows it is
enabled wherever possible. Builds for macOS don't include it, and those for ARM choose
differently.
"""

from __future__ import annotations

import os
import sys

from gradcam_cli.runtime.processor import find_in_cpuinfo, read_cpuinfo

VARIABLE = "TF_ENABLE_ONEDNN_OPTS"
_ON = "1"
_MEANINGS = {"0": False, "false": False, _ON: True, "true": True}
_NEEDED = frozenset({"avx2", "fma"})
# From `DefaultOneDnnPolicy` in TensorFlow's tensorflow/core/util/port.cc, in Linux's spelling.
_ENOUGH_FOR_TENSORFLOW = frozenset(
    {"avx512_vnni", "avx512_bf16", "avx_vnni", "amx_tile", "amx_int8", "amx_bf16"}
)

_is_chosen_here = False


def choose_onednn() -> None:
    """Enables oneDNN where it is faster, unless the user or TensorFlow has decided.

    TensorFlow reads the variable while it is imported, so this has no effect afterwards.
    """
    global _is_chosen_here
    if VARIABLE in os.environ or "tensorflow" in sys.modules:
        return
    if gains_from_onednn(read_cpuinfo()):
        os.environ[VARIABLE] = _ON
        _is_chosen_here = True


def users_setting() -> str | None:
    """Returns the user's value of `VARIABLE`; None if there is none, or if gradcam set it."""
    value = os.environ.get(VARIABLE)
    return None if _is_chosen_here and value == _ON else value


def gains_from_onednn(cpuinfo: str) -> bool:
    """Returns whether a CPU is faster with oneDNN but TensorFlow doesn't enable it.

    Args:
        cpuinfo: The content of ``/proc/cpuinfo`` on Linux.
    """
    flags = set(find_in_cpuinfo(cpuinfo, "flags").split())
    return flags >= _NEEDED and not flags & _ENOUGH_FOR_TENSORFLOW


def describe_onednn(is_on: bool | None) -> str:
    """Says in words whether oneDNN is enabled, and who decided.

    Args:
        is_on: What TensorFlow reports; None if it doesn't.
    """
    state = "oneDNN" if is_on is None else "oneDNN on" if is_on else "oneDNN off"
    value = users_setting()
    if value is None and _is_chosen_here and is_on is not False:
        return f"{state}, which is faster on this processor; {VARIABLE}=0 turns it off"
    asked_for = _MEANINGS.get((value or "").lower())
    if asked_for is not None and is_on in (None, asked_for):
        return f"{state}, as {VARIABLE}={value} says"
    return f"{state}, as TensorFlow chooses for this processor"
