"""Lays out what was measured as tables for the terminal."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from benchmarks.peers import PEERS
from benchmarks.records import Record, Spread, select, spread, subjects
from benchmarks.scenarios import FOLDED, GRADCAM, IMPORT
from benchmarks.targets import (
    check_targets,
    divide,
    limit,
    memory,
    parts_count,
    parts_speed,
    ratio,
    seconds,
    speed,
    steady_speed,
)

_OURS = "bold green"
_UNKNOWN = Text("—", style="dim")
_DEFAULT_ENCODER = "Pillow, level 6 (default)"


def describe(machine: Mapping[str, object]) -> str:
    """Names the machine in two lines."""
    names = dict.fromkeys(("tensorflow", "keras", *(peer.distribution for peer in PEERS.values())))
    versions = ", ".join(f"{name} {machine[name]}" for name in names if machine.get(name))
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, "
        f"{machine['system']}\nPython {machine['python']}, {versions}"
    )


def draw_tables(records: Sequence[Record]) -> Group:
    """Draws one table for each scenario that has records, and lists what wasn't measured."""
    parts: list[RenderableType] = []
    draws = (
        _draw_speeds,
        _draw_costs,
        _draw_growth,
        _draw_parts,
        _draw_codecs,
        _draw_targets,
        _list_reasons,
    )
    for draw in draws:
        drawn = draw(records)
        if drawn is not None:
            parts += [drawn, Text()]
    return Group(*parts)


def _draw_speeds(records: Sequence[Record]) -> Table | None:
    measured = [*select(records, "memory"), *select(records, "files")]
    if not measured:
        return None
    table = _table("Images/s, median and range")
    table.add_column("", no_wrap=True)
    headings = {"memory": "in memory", "files": "files to files"}
    scenarios = [scenario for scenario in headings if select(measured, scenario)]
    for scenario in scenarios:
        heading = headings[scenario]
        count = max(record.pictures for record in select(measured, scenario))
        table.add_column(f"{heading}\n{count:,} pictures", justify="right")
        table.add_column("gradcam\nfaster", justify="right")
    for subject in sorted(subjects(measured), key=_order):
        cells = []
        for scenario in scenarios:
            cells.append(_cell(select(records, scenario, subject), speed))
            cells.append(_times(ratio(records, scenario, subject)))
        table.add_row(_title(subject), *cells)
    return table


def _draw_costs(records: Sequence[Record]) -> Table | None:
    measured = [record for record in records if record.scenario in ("memory", "files", "startup")]
    if not measured:
        return None
    table = _table("Start, memory, and whether the maps agree")
    table.add_column("", no_wrap=True)
    for heading in ("ready\ns", "one picture\ns", "peak\nGB", "maps agree\nr"):
        table.add_column(heading, justify="right")
    for subject in sorted(subjects(measured), key=_order):
        whole = 0 if subject == IMPORT else 1
        table.add_row(
            _title(subject),
            _cell([] if subject == IMPORT else select(records, "startup", subject, 0), seconds),
            _cell(select(records, "startup", subject, whole), seconds),
            _cell(select(records, "files", subject), memory, 2),
            _cell(
                select(records, "memory", subject), lambda record: record.agreement, 3, bare=True
            ),
        )
    return table


def _draw_growth(records: Sequence[Record]) -> Table | None:
    growth = select(records, "growth")
    if not growth:
        return None
    table = _table("Growth from files to files")
    table.add_column("pictures")
    counts = sorted({record.pictures for record in growth})
    for count in counts:
        table.add_column(f"{count:,}", justify="right")
    for subject in sorted(subjects(growth), key=_order):
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
                cells.append(_UNKNOWN)
        table.add_row(_title(subject), *cells)
    return table


def _draw_parts(records: Sequence[Record]) -> Table | None:
    count = parts_count(records)
    if not count:
        return None
    table = _table(f"What the machine allows: {count:,} pictures, each part alone")
    table.add_column("")
    table.add_column("images/s", justify="right")
    table.add_column("of the\nlimit", justify="right")
    table.add_column("of the limit,\nas gradcam", justify="right")
    for part, name in (
        ("decode", "decode"),
        ("forward", "network, one tf.function"),
        (FOLDED, "network, as gradcam runs it"),
        ("encode", "encode"),
    ):
        table.add_row(f"  {name}", _cell(select(records, "parts", part), speed))
    limits = [limit(records), limit(records, FOLDED)]
    table.add_row("limit: the parts added up", _number(limits[0]))
    table.add_row("limit, network as gradcam runs it", _number(limits[1]))
    whole, steady = parts_speed(records), steady_speed(records)
    table.add_row(
        Text("gradcam, the whole process", _OURS),
        _cell(select(records, "parts", GRADCAM, count), speed),
        *(_number(divide(whole, allowed), 2) for allowed in limits),
    )
    table.add_row(
        Text("gradcam, less its start", _OURS),
        _number(steady),
        *(_number(divide(steady, allowed), 2) for allowed in limits),
    )
    return table


def _draw_targets(records: Sequence[Record]) -> Table | None:
    targets = check_targets(records)
    if not targets:
        return None
    table = _table("What gradcam wants of itself")
    table.add_column("")
    table.add_column("measured", justify="right")
    table.add_column("wanted", justify="right")
    table.add_column("")
    for target in targets:
        table.add_row(
            target.name,
            _number(target.value, 2),
            f"{'≥' if target.is_minimum else '≤'} {target.bound:g}",
            Text("met", "green") if target.is_met else Text("missed", "bold red"),
        )
    return table


def _draw_codecs(records: Sequence[Record]) -> Group | None:
    tables: list[RenderableType] = []
    for kind, title in (
        ("encoders", "PNG encoders on overlays, lossless, one core"),
        ("decoders", "JPEG decoders, one core"),
    ):
        measured = [record for record in select(records, kind) if record.seconds is not None]
        if not measured:
            continue
        table = _table(title)
        table.add_column("")
        table.add_column("core-ms each", justify="right")
        has_sizes = any(record.bytes for record in measured)
        if has_sizes:
            table.add_column("size", justify="right")
        default = next(
            (record.bytes for record in measured if record.subject == _DEFAULT_ENCODER), None
        )
        for record in sorted(measured, key=lambda record: record.seconds):
            size = f"{record.bytes / default:.0%}" if record.bytes and default else ""
            each = 1000 * record.seconds / record.pictures
            table.add_row(_title(record.subject), f"{each:.2f}", *[size] * has_sizes)
        tables += [table, Text()]
    return Group(*tables[:-1]) if tables else None


def _list_reasons(records: Sequence[Record]) -> Text | None:
    reasons = dict.fromkeys(
        f"{_name(record.subject)}, {record.scenario}"
        f"{f', {record.pictures:,}' if record.scenario == 'growth' else ''}: {record.reason}"
        for record in records
        if record.reason
    )
    if not reasons:
        return None
    return Text("Not measured:", style="bold").append(
        "".join(f"\n  {reason}" for reason in reasons), style="not bold"
    )


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, title_style="bold")


def _name(subject: str) -> str:
    return PEERS[subject].title if subject in PEERS else subject


def _title(subject: str) -> Text:
    return Text(_name(subject), style=_OURS if subject == GRADCAM else "")


def _order(subject: str) -> int:
    return [*PEERS, IMPORT].index(subject)


def _number(value: float | None, digits: int = 1) -> str:
    return "—" if value is None else f"{value:,.{digits}f}"


def _times(value: float | None) -> str:
    return "—" if value is None else f"{value:.1f} ×"


def _cell(
    records: Iterable[Record],
    value: Callable[[Record], float | None],
    digits: int = 1,
    bare: bool = False,
) -> Text:
    found: Spread | None = spread(records, value)
    if found is None:
        return _UNKNOWN
    text = Text(_number(found.median, digits))
    if bare or found.low == found.high:
        return text
    return text.append(f"\n{_number(found.low, digits)}–{_number(found.high, digits)}", "dim")
