"""Lays out what was measured as tables for the terminal."""

from collections.abc import Mapping, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from benchmarks.cells import UNKNOWN, cell, in_order, make_table, name_of, times, title_of
from benchmarks.limit_tables import (
    draw_api,
    draw_codecs,
    draw_evaluate,
    draw_parts,
    draw_score_cam,
    draw_targets,
)
from benchmarks.peers import PEERS
from benchmarks.records import Record, by_folder, select, subjects
from benchmarks.scenarios import IMPORT
from benchmarks.targets import memory, ratio, seconds, speed

# Those that are measured in each folder.
_IN_FOLDERS = ("files", "growth", "parts")


def describe(machine: Mapping[str, object]) -> str:
    """Names the machine, what its processor can do, the settings and the versions in four lines."""
    names = dict.fromkeys(("tensorflow", "keras", *(peer.distribution for peer in PEERS.values())))
    versions = ", ".join(f"{name} {machine[name]}" for name in names if machine.get(name))
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, "
        f"{machine['system']}\n"
        f"processor features: {machine['cpu_features'] or 'unknown'}\n"
        f"oneDNN: {machine['onednn']}\n"
        f"Python {machine['python']}, {versions}"
    )


def draw_tables(records: Sequence[Record]) -> Group:
    """Draws the tables of each scenario that has records, and lists what wasn't measured."""
    draws = (
        _draw_speeds,
        _draw_costs,
        _draw_growth,
        draw_parts,
        draw_api,
        draw_score_cam,
        draw_evaluate,
        draw_codecs,
        draw_targets,
        _list_reasons,
    )
    drawn: list[RenderableType] = []
    for draw in draws:
        for part in draw(records):
            drawn += [part, Text()]
    return Group(*drawn)


def _draw_speeds(records: Sequence[Record]) -> list[Table]:
    groups = {"in memory": ("memory", select(records, "memory"))}
    for folder, found in by_folder(select(records, "files")).items():
        groups[f"files,\n{folder}"] = ("files", found)
    groups = {heading: group for heading, group in groups.items() if group[1]}
    if not groups:
        return []
    headings = []
    for heading, (_, found) in groups.items():
        count = max(record.pictures for record in found)
        headings += [f"{heading}\n{count:,} pictures", "gradcam\nfaster"]
    table = make_table("Images/s, median and range", *headings)
    measured = [record for _, found in groups.values() for record in found]
    for subject in in_order(subjects(measured)):
        cells = []
        for scenario, found in groups.values():
            cells.append(cell(select(found, scenario, subject), speed))
            cells.append(times(ratio(found, scenario, subject)))
        table.add_row(title_of(subject), *cells)
    return [table]


def _draw_costs(records: Sequence[Record]) -> list[Table]:
    measured = [record for record in records if record.scenario in ("memory", "files", "startup")]
    if not measured:
        return []
    files = by_folder(select(records, "files"))
    table = make_table(
        "Start, memory, and whether the maps agree",
        "ready\ns",
        "one picture\ns",
        *(f"peak, GB\n{folder}" for folder in files),
        "maps agree\nr",
    )
    for subject in in_order(subjects(measured)):
        whole = 0 if subject == IMPORT else 1
        table.add_row(
            title_of(subject),
            cell([] if subject == IMPORT else select(records, "startup", subject, 0), seconds),
            cell(select(records, "startup", subject, whole), seconds),
            *(cell(select(found, "files", subject), memory, 2) for found in files.values()),
            cell(select(records, "memory", subject), lambda record: record.agreement, 3, bare=True),
        )
    return [table]


def _draw_growth(records: Sequence[Record]) -> list[Table]:
    return [
        _draw_growth_of(folder, found)
        for folder, found in by_folder(select(records, "growth")).items()
    ]


def _draw_growth_of(folder: str, growth: Sequence[Record]) -> Table:
    counts = sorted({record.pictures for record in growth})
    table = make_table(f"Growth ({folder})", *(f"{count:,}" for count in counts), first="pictures")
    for subject in in_order(subjects(growth)):
        cells = []
        for count in counts:
            found = select(growth, "growth", subject, count)
            if found and found[0].seconds is not None:
                cells.append(
                    Text(f"{found[0].seconds:,.1f} s\n").append(
                        f"{memory(found[0]):.2f} GB", style="dim"
                    )
                )
            else:
                cells.append(UNKNOWN)
        table.add_row(title_of(subject), *cells)
    return table


def _list_reasons(records: Sequence[Record]) -> list[Text]:
    reasons = dict.fromkeys(_reason(record) for record in records if record.reason)
    if not reasons:
        return []
    return [
        Text("Not measured:", style="bold").append(
            "".join(f"\n  {reason}" for reason in reasons), style="not bold"
        )
    ]


def _reason(record: Record) -> str:
    parts = [name_of(record.subject), record.scenario]
    if record.folder is not None and record.scenario in _IN_FOLDERS:
        parts.append(record.folder)
    if record.scenario == "growth":
        parts.append(f"{record.pictures:,}")
    return f"{', '.join(parts)}: {record.reason}"
