"""Lays out what gradcam does beside what the machine allows."""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from benchmarks.cells import OURS, cell, in_order, make_table, number, times, title_of
from benchmarks.limits import FOLDED, FORWARD_PASSES, GRAD_CAM_PASSES, NETWORK
from benchmarks.records import Record, by_folder, select, subjects
from benchmarks.session import GRADCAM
from benchmarks.targets import (
    check_targets,
    divide,
    limit,
    median_of,
    parts_count,
    parts_speed,
    passes_seconds,
    ratio,
    seconds,
    speed,
    steady_speed,
)

_API = "gradcam_api"
_DEFAULT_ENCODER = "Pillow, level 6 (default)"


def draw_parts(records: Sequence[Record]) -> list[Table]:
    return [
        _draw_parts_of(folder, of_folder)
        for folder, of_folder in by_folder(select(records, "parts")).items()
    ]


def _draw_parts_of(folder: str, records: Sequence[Record]) -> Table:
    count = parts_count(records)
    title = f"What the machine allows: {count:,} pictures ({folder}), each part alone"
    table = make_table(title, "images/s", "of the\nlimit", "of the limit,\nas gradcam")
    for part, name in (
        ("decode", "decode"),
        ("forward", "network, one tf.function"),
        (FOLDED, "network, as gradcam runs it"),
        ("encode", "encode"),
    ):
        table.add_row(f"  {name}", cell(select(records, "parts", part), speed))
    limits = [limit(records), limit(records, FOLDED)]
    table.add_row("limit: the parts added up", number(limits[0]))
    table.add_row("limit, network as gradcam runs it", number(limits[1]))
    whole, steady = parts_speed(records), steady_speed(records)
    table.add_row(
        Text("gradcam, the whole process", OURS),
        cell(select(records, "parts", GRADCAM, count), speed),
        *(number(divide(whole, allowed), 2) for allowed in limits),
    )
    table.add_row(
        Text("gradcam, less its start", OURS),
        number(steady),
        *(number(divide(steady, allowed), 2) for allowed in limits),
    )
    return table


def draw_api(records: Sequence[Record]) -> list[Table]:
    measured = select(records, "api")
    if not measured:
        return []
    count = max(record.pictures for record in measured)
    table = make_table(f"explain, {count:,} inputs in memory", "images/s", "gradcam\nfaster")
    for subject in (NETWORK, *in_order(set(subjects(measured)) - {NETWORK})):
        title = "network, as gradcam runs it" if subject == NETWORK else title_of(subject)
        faster = ratio(records, "api", subject, _API)
        table.add_row(
            title,
            cell(select(measured, "api", subject), speed),
            "" if subject == _API else f"{number(faster, 2)} ×",
        )
    return [table]


def draw_score_cam(records: Sequence[Record]) -> list[Table]:
    measured = select(records, "score_cam")
    if not measured:
        return []
    table = make_table("Score-CAM of one picture", "s", "gradcam\nfaster", "maps agree\nr")
    for subject in in_order(subjects(measured)):
        of_subject = select(measured, "score_cam", subject)
        table.add_row(
            "gradcam_cli.ScoreCAM" if subject == _API else title_of(subject),
            cell(of_subject, seconds),
            "" if subject == _API else times(ratio(records, "score_cam", subject, _API)),
            cell(of_subject, lambda record: record.agreement, 3, bare=True),
        )
    return [table]


def draw_evaluate(records: Sequence[Record]) -> list[Table]:
    measured = [record for record in select(records, "evaluate") if record.seconds is not None]
    if not measured:
        return []
    count = select(measured, "evaluate", GRADCAM)[0].pictures
    table = make_table(
        f"gradcam evaluate, all metrics, {count:,} pictures", "passes", "s", "of the\nnetwork"
    )
    for subject in (FORWARD_PASSES, GRAD_CAM_PASSES):
        found = select(measured, "evaluate", subject)
        table.add_row(f"network alone, {subject}", f"{found[0].pictures:,}", cell(found, seconds))
    ours = median_of(measured, "evaluate", GRADCAM, seconds)
    table.add_row(
        Text("gradcam evaluate", OURS),
        "",
        cell(select(measured, "evaluate", GRADCAM), seconds),
        number(divide(ours, passes_seconds(measured)), 2),
    )
    return [table]


def draw_codecs(records: Sequence[Record]) -> list[Table]:
    tables = []
    for kind, title in (
        ("encoders", "PNG encoders on overlays, lossless, one core"),
        ("decoders", "JPEG decoders, one core"),
    ):
        measured = [record for record in select(records, kind) if record.seconds is not None]
        if not measured:
            continue
        has_sizes = any(record.bytes for record in measured)
        table = make_table(title, "core-ms each", *["size"] * has_sizes)
        default = next(
            (record.bytes for record in measured if record.subject == _DEFAULT_ENCODER), None
        )
        for record in sorted(measured, key=lambda record: record.seconds):
            size = f"{record.bytes / default:.0%}" if record.bytes and default else ""
            each = 1000 * record.seconds / record.pictures
            table.add_row(title_of(record.subject), f"{each:.2f}", *[size] * has_sizes)
        tables.append(table)
    return tables


def draw_targets(records: Sequence[Record]) -> list[Table]:
    targets = check_targets(records)
    if not targets:
        return []
    table = make_table("What gradcam wants of itself", "measured", "wanted", "")
    for target in targets:
        table.add_row(
            target.name,
            number(target.value, 2),
            f"{'≥' if target.is_minimum else '≤'} {target.bound:g}",
            Text("met", "green") if target.is_met else Text("missed", "bold red"),
        )
    return [table]
