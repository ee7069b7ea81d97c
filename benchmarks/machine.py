"""Says what machine it was, and which versions."""

import os
import platform

from benchmarks.peers import PEERS, version
from gradcam_cli.runtime.cores import usable_cores
from gradcam_cli.runtime.processor import processor_features, processor_name, system_name

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
_ONEDNN, _HIGHEST_ISA = "TF_ENABLE_ONEDNN_OPTS", "ONEDNN_MAX_CPU_ISA"


def describe_machine() -> dict[str, str | int | float | None]:
    """Describes the machine, its software and the settings that all processes are started with.

    Cores are those that this process may use; memory is in GiB.
    """
    return {
        "cpu": processor_name(),
        "cpu_features": ", ".join(processor_features()),
        "onednn": _onednn(),
        "cores": usable_cores(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": system_name(),
        "python": platform.python_version(),
        **{name: version(name) for name in dict.fromkeys(_PACKAGES)},
    }


def _onednn() -> str:
    chosen = "as gradcam chooses, in the other tools as TensorFlow does"
    if _ONEDNN in os.environ:
        chosen = f"{_ONEDNN}={os.environ[_ONEDNN]}"
    highest = os.environ.get(_HIGHEST_ISA)
    return f"{chosen}, {_HIGHEST_ISA}={highest}" if highest else chosen
