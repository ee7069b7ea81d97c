"""``python -m benchmarks``: see benchmarks/README.md."""

import json
import shutil
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console

from benchmarks.machine import describe_machine
from benchmarks.peers import PEERS
from benchmarks.pictures import make_mixed_pictures, make_pictures
from benchmarks.plot import save_plot
from benchmarks.records import GIVEN, MIXED, ONE_SIZE, Record
from benchmarks.scenarios import SCENARIOS
from benchmarks.session import Options, Session
from benchmarks.table import describe, draw_tables
from gradcam_cli.files.finding import find_pictures

_WIDTH = 100
_FULL = {
    "count": 200,
    "parts_count": 1000,
    "growth": "1,10,100,1000,10000",
    "api_count": 512,
    "evaluate_count": 20,
    "repeats": 3,
}
_QUICK = {
    "count": 32,
    "parts_count": 100,
    "growth": "1,10,100",
    "api_count": 64,
    "evaluate_count": 2,
    "repeats": 1,
}
# From which folder the pictures of each scenario are; of the others from the one of one size.
_FOLDERS_OF = {
    "files": (MIXED, ONE_SIZE),
    "growth": (MIXED, ONE_SIZE),
    "parts": (MIXED, ONE_SIZE),
    "evaluate": (MIXED,),
}


def _counts(context: click.Context, parameter: click.Parameter, value: str | None):
    if value is None:
        return None
    try:
        counts = [int(count) for count in value.split(",")]
    except ValueError:
        counts = []
    if not counts or min(counts) < 1:
        raise click.BadParameter("give numbers of pictures with commas: 1,10,100")
    return counts


@click.command()
@click.option("--peer", "peers", type=click.Choice(list(PEERS)), multiple=True,
              help="Measure only this one. Can be repeated. [default: all]")  # fmt: skip
@click.option("--scenario", "scenarios", type=click.Choice(list(SCENARIOS)), multiple=True,
              help="Measure only this. Can be repeated. [default: all]")  # fmt: skip
@click.option("--quick", is_flag=True, help="Few pictures and no repeats: some minutes.")
@click.option("--count", type=click.IntRange(min=1), metavar="N",
              help="Pictures in memory and from files to files. [default: 200]")  # fmt: skip
@click.option("--parts-count", type=click.IntRange(min=1), metavar="N",
              help="Pictures beside the machine's limit. [default: 1000]")  # fmt: skip
@click.option("--growth", callback=_counts, metavar="N,N,...",
              help="Numbers of pictures to grow over. [default: 1,10,100,1000,10000]")  # fmt: skip
@click.option("--api-count", type=click.IntRange(min=1), metavar="N",
              help="Inputs in memory for explain. [default: 512]")  # fmt: skip
@click.option("--evaluate-count", type=click.IntRange(min=1), metavar="N",
              help="Pictures for gradcam evaluate. [default: 20]")  # fmt: skip
@click.option("--repeats", type=click.IntRange(min=1), metavar="N", help="[default: 3]")
@click.option("--time-limit", type=click.FloatRange(min=1), default=300.0, show_default=True,
              metavar="SECONDS", help="For each process of a peer; gradcam has none.")  # fmt: skip
@click.option("--pictures", "folder", metavar="FOLDER",
              type=click.Path(path_type=Path, exists=True, file_okay=False),
              help="Use these pictures. [default: two folders of crops and flips of "
              "sample_images]")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), metavar="FOLDER",
              default=Path("benchmark-results"), show_default=True,
              help="Where results.json, table.txt and plot.png go.")  # fmt: skip
def main(peers, scenarios, quick, growth, time_limit, folder, out, **counts):
    """Measures gradcam side by side with other tools, and prints tables."""
    defaults = _QUICK if quick else _FULL
    counts = {name: value or defaults[name] for name, value in counts.items()}
    scenarios = [name for name in SCENARIOS if not scenarios or name in scenarios]
    options = Options(
        peers=[name for name in PEERS if not peers or name in peers],
        growth=growth or _counts(None, None, defaults["growth"]),
        time_limit=time_limit,
        **counts,
    )
    out.mkdir(parents=True, exist_ok=True)
    machine = describe_machine()
    progress = Console(stderr=True)
    records: list[Record] = []
    with (
        tempfile.TemporaryDirectory(prefix="benchmarks-") as temporary,
        progress.status("making pictures") as status,
    ):
        if folder is None:
            folders = _make_folders(Path(temporary), options, scenarios)
        else:
            folders = {GIVEN: [picture.path for picture in find_pictures([folder])]}
            if not folders[GIVEN]:
                raise click.UsageError(f"no pictures in {folder}")
        session = Session(options, folders, Path(temporary), status.update)
        try:
            for scenario in scenarios:
                for record in SCENARIOS[scenario](session):
                    records.append(record)
                    if not progress.is_terminal:
                        progress.print(_one_line(record), highlight=False, soft_wrap=True)
        except KeyboardInterrupt:
            progress.print("Interrupted; this was measured by then:")
    _write(out, machine, options, records)


def _make_folders(temporary, options, scenarios):
    """Makes the folders that some scenarios need, each with as many pictures as they take."""
    counts = {}
    for scenario in scenarios:
        count = {
            "startup": 1,
            "growth": max(options.growth),
            "parts": options.parts_count,
            "api": options.api_count,
            "score_cam": 1,
            "evaluate": options.evaluate_count,
        }.get(scenario, options.count)
        for name in _FOLDERS_OF.get(scenario, (ONE_SIZE,)):
            counts[name] = max(count, counts.get(name, 0))
    return {
        name: make(temporary / f"pictures-{name.replace(' ', '-')}", counts[name])
        for name, make in ((MIXED, make_mixed_pictures), (ONE_SIZE, make_pictures))
        if name in counts
    }


def _one_line(record: Record) -> str:
    measured = record.reason or f"{record.seconds:.2f} s"
    found = (record.scenario, record.folder, record.subject, f"{record.pictures:,}")
    return f"{' '.join(filter(None, found))}: {measured}"


def _write(out, machine, options, records):
    results = {
        "machine": machine,
        "options": asdict(options),
        "records": list(map(asdict, records)),
    }
    (out / "results.json").write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    console = Console(record=True, width=min(_WIDTH, shutil.get_terminal_size((_WIDTH, 0)).columns))
    console.print(describe(machine), highlight=False, soft_wrap=True)
    console.print()
    console.print(draw_tables(records), highlight=False)
    (out / "table.txt").write_text(console.export_text(), "utf-8")
    names = ["results.json", "table.txt"]
    if save_plot(records, describe(machine), out / "plot.png"):
        names.append("plot.png")
    console.print(f"{', '.join(names)} are in {out}", highlight=False)


if __name__ == "__main__":
    sys.exit(main())
