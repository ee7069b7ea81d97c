"""Measures one thing in a process of its own: ``python -m benchmarks.worker KIND NAME ...``.

The last line on standard output is a JSON object with what was found.
"""

import argparse
import json
import sys
import time
from pathlib import Path

# Each kind imports what it needs and no more: the time to import is a part of what is measured.

# After this many seconds a slow peer's speed in memory is known.
_LONG_ENOUGH = 6.0
_COMPARED_MAPS = 8
# What a tool does once is no matter beside so many seconds.
_LONGER_THAN_A_START = 60.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=[*KINDS])
    parser.add_argument("name")
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    try:
        found = KINDS[arguments.kind](arguments)
    # Whatever goes wrong in a peer is told, and the other peers go on.
    except Exception as error:
        print(json.dumps({"error": f"{type(error).__name__}: {first_line(error)}"}))
        return 1
    print(json.dumps(found))
    return 0


def first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else ""


def ready(arguments):
    """Loads a peer; the caller knows when this process was started."""
    from benchmarks.peers import load

    load(arguments.name)
    return {"ready_at": time.time()}


def files(arguments):
    from benchmarks.peers import PEERS, load
    from benchmarks.plain_script import explain_files

    pictures = sorted(arguments.pictures.iterdir())
    explain_files(load(arguments.name), pictures, arguments.out, PEERS[arguments.name].batch)
    return {}


def memory(arguments):
    """Explains arrays, warm, until all are explained or the speed is known."""
    import numpy as np

    from benchmarks.peers import PEERS, load

    batch = PEERS[arguments.name].batch
    inputs = _read_inputs(arguments.pictures)
    explain = load(arguments.name)
    first = np.concatenate(
        [
            explain(inputs[start : start + batch])
            for start in range(0, min(batch, _COMPARED_MAPS), batch)
        ]
    )
    if arguments.out is not None:
        np.save(arguments.out, first[:_COMPARED_MAPS])
    if len(inputs) % batch:
        # The last batch is smaller; what a tool does at the first batch of a size isn't its speed.
        explain(inputs[-(len(inputs) % batch) :])
    done = 0
    started = time.perf_counter()
    while done < len(inputs) and time.perf_counter() - started < _LONG_ENOUGH:
        done += len(explain(inputs[done : done + batch]))
    return {"seconds": time.perf_counter() - started, "pictures": done}


def score_cam(arguments):
    """Explains one array by Score-CAM, a second time where the first wasn't long."""
    import numpy as np

    from benchmarks.peers import load_score_cam

    inputs = _read_inputs(arguments.pictures)
    explain = load_score_cam(arguments.name)
    for _ in range(2):
        started = time.perf_counter()
        maps = explain(inputs)
        seconds = time.perf_counter() - started
        if seconds > _LONGER_THAN_A_START:
            break
    np.save(arguments.out, maps)
    return {"seconds": seconds, "pictures": len(inputs)}


def part(arguments):
    from benchmarks.limits import FOLDED
    from gradcam_cli.runtime.cores import divide_cores
    from gradcam_cli.runtime.tensorflow_import import import_tensorflow

    pictures = sorted(arguments.pictures.iterdir())
    # As the command does: later neither threads nor kernels can be chosen.
    import_tensorflow(parallelism=divide_cores(len(pictures)) if arguments.name == FOLDED else None)

    from benchmarks.parts import PARTS

    return PARTS[arguments.name](pictures)


def api(arguments):
    from benchmarks.api_speed import measure_explain

    return measure_explain(arguments.name, _read_inputs(arguments.pictures))


def evaluate(arguments):
    from benchmarks.evaluation_cost import measure_evaluate

    return measure_evaluate(sorted(arguments.pictures.iterdir()))


def codecs(arguments):
    from benchmarks.codecs import CODECS

    return CODECS[arguments.name](sorted(arguments.pictures.iterdir()))


def _read_inputs(pictures):
    from PIL import Image

    from benchmarks.plain_script import read_inputs

    return read_inputs([Image.open(path).convert("RGB") for path in sorted(pictures.iterdir())])


KINDS = {
    "ready": ready,
    "files": files,
    "memory": memory,
    "score_cam": score_cam,
    "part": part,
    "api": api,
    "evaluate": evaluate,
    "codecs": codecs,
}

if __name__ == "__main__":
    sys.exit(main())
