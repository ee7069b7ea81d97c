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
    from PIL import Image

    from benchmarks.peers import PEERS, load
    from benchmarks.plain_script import read_inputs

    batch = PEERS[arguments.name].batch
    images = [Image.open(path).convert("RGB") for path in sorted(arguments.pictures.iterdir())]
    inputs = read_inputs(images)
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


def part(arguments):
    from benchmarks.parts import PARTS

    return PARTS[arguments.name](sorted(arguments.pictures.iterdir()))


def codecs(arguments):
    from benchmarks.codecs import CODECS

    return CODECS[arguments.name](sorted(arguments.pictures.iterdir()))


KINDS = {"ready": ready, "files": files, "memory": memory, "part": part, "codecs": codecs}

if __name__ == "__main__":
    sys.exit(main())
