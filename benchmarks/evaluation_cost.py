"""`gradcam evaluate` beside the passes through the network that it makes."""

import functools
import importlib
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.pictures import link_pictures

# Enough passes for each picture that the network's speed is known.
_PASSES_EACH = 100
_WARMED_BY = 2


def measure_evaluate(pictures: Sequence[Path]) -> dict[str, Any]:
    """Runs the command in this process, warm, and the network alone before and after it.

    The command's time is from the first picture to the last figure: without the loading of the
    network and the writing of tables.
    """
    # As the command itself does it, since that starts TensorFlow as it wants it.
    _run_command(pictures[:_WARMED_BY])
    run_network = _network_alone(pictures)
    before = run_network()
    measured = _Instruments()
    _run_command(pictures)
    after = run_network()
    return {
        "pictures": len(pictures),
        "seconds": measured.seconds,
        "forward_passes": measured.passes["forward"],
        "grad_cam_passes": measured.passes["explain"],
        "seconds_per_pass": (before + after) / 2,
    }


def _run_command(pictures: Sequence[Path]) -> None:
    from gradcam_cli.cli import main

    with tempfile.TemporaryDirectory() as folder:
        linked = link_pictures(Path(folder, "pictures"), pictures)
        arguments = ["evaluate", str(linked), "--out", folder, "--json"]
        main(arguments, standalone_mode=False)


def _network_alone(pictures: Sequence[Path]) -> Callable[[], float]:
    from benchmarks.bare_network import (
        STREAM_BATCH,
        bare_network,
        batches_of,
        time_all,
        warm_up,
    )
    from gradcam_cli.models.loading import load_classifier
    from gradcam_cli.runtime.cores import divide_cores

    classifier = load_classifier().folded()
    shape = classifier.input_for()
    inputs = [shape.read(path).inputs for path in pictures]
    batches = batches_of(inputs * _PASSES_EACH, STREAM_BATCH)
    passes = sum(map(len, batches))
    run = bare_network(classifier)
    warm_up(run, batches)
    streams = divide_cores(passes).streams
    return lambda: time_all(run, batches, streams) / passes


class _Instruments:
    """Counts the inputs that `evaluate` gives to the network, and takes its time.

    Attributes:
        passes: How many inputs were scored ("forward") and explained ("explain").
        seconds: How long measuring took.
    """

    def __init__(self) -> None:
        from gradcam_cli.cam.explainer import Explainer
        from gradcam_cli.evaluation.scores import TargetScores

        self.passes: Counter[str] = Counter()
        self.seconds = 0.0
        self._count(TargetScores, "of_changed", "forward")
        self._count(Explainer, "explain", "explain")
        # The package has a command of this name.
        self._time(importlib.import_module("gradcam_cli.cli.evaluate"), "evaluate_in_view")

    def _count(self, owner: type, name: str, key: str) -> None:
        function = getattr(owner, name)

        @functools.wraps(function)
        def counted(called, *arguments, **options):
            # Their last argument has one class for each input.
            self.passes[key] += len(arguments[-1])
            return function(called, *arguments, **options)

        setattr(owner, name, counted)

    def _time(self, owner: object, name: str) -> None:
        function = getattr(owner, name)

        @functools.wraps(function)
        def timed(*arguments, **options):
            started = time.perf_counter()
            found = function(*arguments, **options)
            self.seconds += time.perf_counter() - started
            return found

        setattr(owner, name, timed)
