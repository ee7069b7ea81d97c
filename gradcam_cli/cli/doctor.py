"""``gradcam doctor``: describes the installation and the machine for a bug report."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import click

from gradcam_cli.cli.console import say, stdout_console, to_json
from gradcam_cli.cli.options import debug_option
from gradcam_cli.cli.tensorflow_probe import TensorFlowFacts, probe_tensorflow
from gradcam_cli.files.cache_folder import cache_folder, describe_folder
from gradcam_cli.rendering.terminal import detect_terminal
from gradcam_cli.runtime.cores import usable_cores
from gradcam_cli.runtime.extras import EXTRAS, how_to_install
from gradcam_cli.runtime.processor import processor_features, processor_name, system_name
from gradcam_cli.version import __version__

_FAILED = 1
# The distributions that contain TensorFlow. The first is the usual one.
_TENSORFLOW = ("tensorflow", "tensorflow-cpu", "tf-nightly", "tensorflow-macos", "tensorflow-intel")
_PACKAGES = {
    "tf-keras": ("tf-keras", "tf-keras-nightly"),
    "NumPy": ("numpy",),
    "Pillow": ("pillow",),
    "Matplotlib": ("matplotlib",),
}
_FOLDERS = ("KERAS_HOME", "XDG_CACHE_HOME")
_SETTINGS = (
    "CUDA_VISIBLE_DEVICES",
    "KERAS_BACKEND",
    "NO_COLOR",
    "ONEDNN_MAX_CPU_ISA",
    "TF_CPP_MIN_LOG_LEVEL",
    "TF_ENABLE_ONEDNN_OPTS",
    "TF_USE_LEGACY_KERAS",
    "XLA_FLAGS",
)
_COLORS = {"standard": "16 colours", "256": "256 colours", "truecolor": "16 million colours"}
_NOT_INSTALLED = "not installed"
_TO_KEY = re.compile(r"\W+")

Facts = Mapping[str, str | int | list[str]]


@click.command(short_help="Print versions, devices and settings for a bug report.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@debug_option
@click.pass_context
def doctor(ctx: click.Context, /, as_json: bool) -> None:
    """Prints versions, devices and settings, to paste into a bug report.

    Paths in your home folder are abbreviated with ~.

    Exit code: 0 if TensorFlow works, 1 if it doesn't.
    """
    found = probe_tensorflow()
    facts = _gather(found)
    if as_json:
        say(to_json({_TO_KEY.sub("_", name).lower(): value for name, value in facts.items()}))
    else:
        widest = max(map(len, facts))
        for name, value in facts.items():
            text = ", ".join(value) or "none" if isinstance(value, list) else value
            say(f"{name:<{widest}}  {text}")
    if found.error is not None:
        say(
            f"Error: TensorFlow cannot be used: {_without_paths(found.error)}; install it again: "
            f"pip install --force-reinstall {_installed_tensorflow() or _TENSORFLOW[0]}",
            err=True,
        )
        ctx.exit(_FAILED)


def _gather(found: TensorFlowFacts) -> Facts:
    installed = _installed_tensorflow()
    tensorflow = found.tensorflow or (_version(installed) if installed else _NOT_INSTALLED)
    if found.error is not None and installed:
        tensorflow = f"{tensorflow}, cannot be imported ({_without_paths(found.error)})"
    return {
        "gradcam": __version__,
        "Python": _python(),
        "TensorFlow": tensorflow,
        "Keras": found.keras or _first_version(["keras", "keras-nightly"]),
        **{title: _first_version(names) for title, names in _PACKAGES.items()},
        "system": f"{system_name()}, {platform.machine()}",
        "processor": processor_name(),
        "features": processor_features(),
        "cores": usable_cores(),
        "GPUs": found.gpus,
        "built for": found.build or "no GPU" * (found.error is None) or "unknown",
        "oneDNN": found.onednn.removeprefix("oneDNN").lstrip(" ,") or "unknown",
        "cache folder": _folder(cache_folder()),
        "weights folder": _folder(_keras_home() / "models"),
        "terminal": _terminal(),
        "settings": [
            _without_paths(f"{name}={os.environ[name]}") for name in _SETTINGS if name in os.environ
        ],
        **{f"extra {name}": _extra(name, packages) for name, packages in EXTRAS.items()},
    }


def _python() -> str:
    environment = ", virtual environment" if sys.prefix != sys.base_prefix else ""
    return f"{platform.python_version()} ({platform.python_implementation()}{environment})"


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return _NOT_INSTALLED


def _first_version(distributions: Iterable[str]) -> str:
    versions = map(_version, distributions)
    return next((version for version in versions if version != _NOT_INSTALLED), _NOT_INSTALLED)


def _installed_tensorflow() -> str | None:
    return next((name for name in _TENSORFLOW if _version(name) != _NOT_INSTALLED), None)


def _extra(name: str, packages: Iterable[str]) -> str:
    versions = {package: _version(package) for package in packages}
    if _NOT_INSTALLED in versions.values():
        return f"{_NOT_INSTALLED}: {how_to_install(name)}"
    return ", ".join(f"{package} {version}" for package, version in versions.items())


def _keras_home() -> Path:
    return Path(os.environ.get("KERAS_HOME") or os.path.expanduser("~/.keras"))


def _folder(folder: Path) -> str:
    return f"{_without_paths(str(folder))} ({describe_folder(folder)})"


def _without_paths(text: str) -> str:
    """Abbreviates folders whose names may reveal who the user is or what they work on."""
    short = {os.environ.get(name, ""): f"${name}" for name in _FOLDERS}
    short |= dict.fromkeys((*sys.path, sys.prefix, sys.base_prefix), "<Python>")
    short[os.path.expanduser("~")] = "~"
    for folder in sorted(short, key=len, reverse=True):
        # Skip "" and "/".
        if len(folder) > 1:
            text = text.replace(folder, short[folder])
    return text


def _terminal() -> str:
    console = stdout_console()
    if not console.is_terminal:
        return "none (output to a file or pipe)"
    columns, lines = shutil.get_terminal_size()
    colors = _COLORS.get(console.color_system or "", "no colours")
    return (
        f"{os.environ.get('TERM', 'unknown')}, {columns}×{lines}, {colors}, "
        f"pictures as {detect_terminal()}, {sys.stdout.encoding}"
    )
