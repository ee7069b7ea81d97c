"""What the operating system says about the processor."""

from __future__ import annotations

import platform
import subprocess
import sys

CPUINFO = "/proc/cpuinfo"
# What makes networks fast, by the names that Linux and macOS give it, without underscores and
# in small letters.
_FEATURES = {
    "fma": "FMA",
    "avx2": "AVX2",
    "avx512f": "AVX-512F",
    "avx512vnni": "AVX-512 VNNI",
    "avxvnni": "AVX VNNI",
    "amxtile": "AMX",
}
_MACOS_FEATURES = ("machdep.cpu.features", "machdep.cpu.leaf7_features")
_FLAGS = "flags"


def read_cpuinfo() -> str:
    """Returns what Linux says about the first core, up to its flags; "" on other systems."""
    lines = []
    try:
        with open(CPUINFO, encoding="utf-8", errors="replace") as file:
            for line in file:
                lines.append(line)
                if line.startswith(_FLAGS):
                    break
    except OSError:
        return ""
    return "".join(lines)


def find_in_cpuinfo(cpuinfo: str, key: str) -> str:
    """Finds the first value of a key.

    Args:
        cpuinfo: The content of ``/proc/cpuinfo``.
        key: "flags", "model name" and so on.

    Returns:
        The value; "" if the key is missing.
    """
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return ""


def processor_name() -> str:
    """Returns the processor's name, or at least its architecture."""
    name = find_in_cpuinfo(read_cpuinfo(), "model name")
    return name or platform.processor() or platform.machine()


def processor_features() -> list[str]:
    """Lists those instructions of the processor that make networks fast.

    Returns:
        Their names ("AVX2", "AMX"); empty if there are none, or the system doesn't say.
    """
    words = find_in_cpuinfo(read_cpuinfo(), _FLAGS)
    if sys.platform == "darwin":
        # A Mac without an Intel processor knows neither name, and has none of the features.
        asked = subprocess.run(  # noqa: S603, nothing in it is the user's
            ["/usr/sbin/sysctl", "-n", *_MACOS_FEATURES],
            capture_output=True,
            text=True,
            check=False,
        )
        words = asked.stdout
    found = {word.replace("_", "").lower() for word in words.split()}
    return [title for name, title in _FEATURES.items() if name in found]


def system_name() -> str:
    """Returns the operating system and its kernel."""
    try:
        return f"{platform.freedesktop_os_release()['PRETTY_NAME']}, {platform.release()}"
    except OSError:
        return platform.platform()
