"""Where the process of the command begins and ends: ``gradcam``, ``python -m gradcam_cli``."""

from __future__ import annotations

import os
import sys

from gradcam_cli.errors import GradcamError, ReaderGoneError, describe_interruption
from gradcam_cli.runtime.signals import heed_signals
from gradcam_cli.runtime.standard_streams import prepare_standard_streams
from gradcam_cli.runtime.stderr import separate_stderr


def run() -> None:
    """Runs the command and leaves at once.

    Python would take TensorFlow apart object by object before it ends, which lasts about
    a quarter of its import, for nothing: every file is written and closed by then.
    """
    # All cores have pictures of their own: NumPy's threads would only wait for each other.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    code: str | int | None = 0
    try:
        separate_stderr()
        prepare_standard_streams()
        heed_signals()
        # Here, where Ctrl-C is waited for already.
        from gradcam_cli.cli import main

        main()
    except SystemExit as end:
        code = end.code
    except KeyboardInterrupt as interrupt:
        word, code = describe_interruption(interrupt)
        print(f"\n{word}.", file=sys.stderr)
    if isinstance(code, str):
        print(code, file=sys.stderr)
        code = GradcamError.exit_code
    try:
        sys.stdout.flush()
    except GradcamError as error:
        # The command may have told of it already.
        if not code and not isinstance(error, ReaderGoneError):
            print(f"Error: {error}", file=sys.stderr)
        code = code or error.exit_code
    sys.stderr.flush()
    os._exit(code or 0)


if __name__ == "__main__":
    run()
