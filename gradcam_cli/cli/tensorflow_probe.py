"""Facts about the installed TensorFlow, gathered in a child process.

A TensorFlow that doesn't support the processor ends Python on import, without an exception.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path

_PATIENCE = 180
_PACKAGE = __name__.partition(".")[0]


@dataclass(frozen=True)
class TensorFlowFacts:
    """What ``gradcam doctor`` reports about TensorFlow.

    Attributes:
        tensorflow: The version of TensorFlow.
        keras: The version of Keras.
        gpus: The GPUs that TensorFlow finds.
        build: The versions of CUDA and cuDNN that it was built for; "" for none.
        onednn: Whether oneDNN is on, and why.
        error: Why TensorFlow can't be used; None if it can. The other fields are then empty.
    """

    tensorflow: str = ""
    keras: str = ""
    gpus: list[str] = field(default_factory=list)
    build: str = ""
    onednn: str = ""
    error: str | None = None


def probe_tensorflow() -> TensorFlowFacts:
    """Imports TensorFlow and Keras in a child process, like the commands, and queries them."""
    # With "-m", Python searches the working directory for modules first.
    root = Path(sys.modules[_PACKAGE].__file__ or "").resolve().parent.parent
    with tempfile.TemporaryFile() as answer:
        try:
            ended = subprocess.run(  # noqa: S603, nothing in it is the user's
                [sys.executable, "-m", __name__],
                cwd=root,
                stdin=subprocess.DEVNULL,
                stdout=answer,
                stderr=subprocess.DEVNULL,
                timeout=_PATIENCE,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return TensorFlowFacts(error=f"importing it takes more than {_PATIENCE} s")
        except OSError as error:
            return TensorFlowFacts(error=f"Python cannot be started again ({error.strerror})")
        answer.seek(0)
        lines = answer.read().decode("utf-8", "replace").splitlines()
    try:
        return TensorFlowFacts(**json.loads(lines[-1]))
    except (IndexError, TypeError, ValueError):
        return TensorFlowFacts(
            error=f"importing it ends Python ({_describe_end(ended.returncode)})"
        )


def _describe_end(code: int) -> str:
    try:
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"
    except ValueError:
        return f"signal {-code}"


def _ask() -> TensorFlowFacts:
    from gradcam_cli.runtime.tensorflow_import import import_tensorflow

    import_tensorflow()

    import keras
    import tensorflow as tf

    from gradcam_cli.networks.internals import has_onednn_on
    from gradcam_cli.runtime.onednn import describe_onednn

    gpus = []
    for device in tf.config.list_physical_devices("GPU"):
        details = tf.config.experimental.get_device_details(device)
        capability = ".".join(map(str, details.get("compute_capability", ())))
        name = details.get("device_name", device.name)
        gpus.append(f"{name} (compute capability {capability})" if capability else name)
    build = tf.sysconfig.get_build_info()
    versions = [
        f"{title} {build[key]}"
        for title, key in (("CUDA", "cuda_version"), ("cuDNN", "cudnn_version"))
        if build.get(key)
    ]
    return TensorFlowFacts(
        tensorflow=tf.__version__,
        keras=keras.__version__,
        gpus=gpus,
        build=", ".join(versions),
        onednn=describe_onednn(has_onednn_on()),
    )


def _main() -> None:
    try:
        facts = _ask()
    # A broken installation can raise anything.
    except BaseException as error:
        from gradcam_cli.errors import reason

        facts = TensorFlowFacts(error=f"{type(error).__name__}: {reason(error)}")
    sys.stdout.write(f"\n{json.dumps(asdict(facts))}\n")
    sys.stdout.flush()
    # A normal exit would first clean up TensorFlow.
    os._exit(0)


if __name__ == "__main__":
    _main()
