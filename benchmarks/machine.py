"""Says what machine it was, and which versions."""

import os
import platform
import subprocess
import sys
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
# By the names that Linux and macOS give them, without underscores and in small letters.
_FEATURES = {
    "fma": "FMA",
    "avx2": "AVX2",
    "avx512f": "AVX-512F",
    "avx512vnni": "AVX-512 VNNI",
    "avxvnni": "AVX VNNI",
    "amxtile": "AMX",
}
_MACOS_FEATURES = ("machdep.cpu.features", "machdep.cpu.leaf7_features")
_ONEDNN, _HIGHEST_ISA = "TF_ENABLE_ONEDNN_OPTS", "ONEDNN_MAX_CPU_ISA"


def describe_machine() -> dict[str, str | int | float | None]:
    """Describes the machine, its software and the settings that all processes are started with.

    Cores are those that this process may use; memory is in GiB.
    """
    return {
        "cpu": _cpu(),
        "cpu_features": _cpu_features(),
        "onednn": _onednn(),
        "cores": usable_cores(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": _system(),
        "python": platform.python_version(),
        **{name: version(name) for name in dict.fromkeys(_PACKAGES)},
    }


def _cpu() -> str:
    return _cpu_info("model name") or platform.processor() or platform.machine()


def _cpu_features() -> str:
    """Lists what the processor can do of what makes networks fast; empty where nobody tells."""
    words = _cpu_info("flags")
    if sys.platform == "darwin":
        # A Mac without an Intel processor knows neither name, and has none of the features.
        asked = subprocess.run(
            ["/usr/sbin/sysctl", "-n", *_MACOS_FEATURES],
            capture_output=True,
            text=True,
            check=False,
        )
        words = asked.stdout
    found = {word.replace("_", "").lower() for word in words.split()}
    return ", ".join(title for name, title in _FEATURES.items() if name in found)


def _cpu_info(key: str) -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == key:
                return value.strip()
    return ""


def _onednn() -> str:
    chosen = "as gradcam chooses, in the other tools as TensorFlow does"
    if _ONEDNN in os.environ:
        chosen = f"{_ONEDNN}={os.environ[_ONEDNN]}"
    highest = os.environ.get(_HIGHEST_ISA)
    return f"{chosen}, {_HIGHEST_ISA}={highest}" if highest else chosen


def _system() -> str:
    try:
        return f"{platform.freedesktop_os_release()['PRETTY_NAME']}, {platform.release()}"
    except OSError:
        return platform.platform()
