"""Says what machine it was, and which versions."""

import os
import platform
from pathlib import Path

from benchmarks.peers import PEERS, version
from gradcam_cli.runtime.cores import usable_cores

_PACKAGES = (
    "gradcam-cli",
    "tensorflow",
    "keras",
    "torch",
    "numpy",
    "pillow",
    "opencv-python-headless",
    "imagecodecs",
    *(peer.distribution for peer in PEERS.values()),
)


def describe_machine() -> dict[str, str | int | float | None]:
    """Describes the machine: cores are those that this process may use; memory in GiB."""
    return {
        "cpu": _cpu(),
        "cores": usable_cores(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": _system(),
        "python": platform.python_version(),
        **{name: version(name) for name in dict.fromkeys(_PACKAGES)},
    }


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _system() -> str:
    try:
        return f"{platform.freedesktop_os_release()['PRETTY_NAME']}, {platform.release()}"
    except OSError:
        return platform.platform()
