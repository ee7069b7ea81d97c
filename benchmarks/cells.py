"""Titles, numbers and frames that all tables share."""

from collections.abc import Callable, Iterable, Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from benchmarks.peers import PEERS
from benchmarks.records import Record, Spread, spread
from benchmarks.scenarios import IMPORT
from benchmarks.session import GRADCAM

OURS = "bold green"
UNKNOWN = Text("—", style="dim")


def make_table(title: str, *headings: str, first: str = "") -> Table:
    """Makes a table: the first column holds names, the others numbers."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, title_style="bold")
    table.add_column(first)
    for heading in headings:
        table.add_column(heading, justify="right")
    return table


def name_of(subject: str) -> str:
    return PEERS[subject].title if subject in PEERS else subject


def title_of(subject: str) -> Text:
    # The space within doesn't break.
    return Text(
        name_of(subject).replace(" ", "\N{NO-BREAK SPACE}"), OURS if subject == GRADCAM else ""
    )


def in_order(subjects: Iterable[str]) -> list[str]:
    return sorted(subjects, key=[*PEERS, IMPORT].index)


def number(value: float | None, digits: int = 1) -> str:
    return "—" if value is None else f"{value:,.{digits}f}"


def times(value: float | None) -> str:
    return "—" if value is None else f"{value:.1f} ×"


def cell(
    records: Sequence[Record],
    value: Callable[[Record], float | None],
    digits: int = 1,
    bare: bool = False,
) -> Text:
    """Gives the median, and below it the range unless it is bare."""
    found: Spread | None = spread(records, value)
    if found is None:
        return UNKNOWN
    text = Text(number(found.median, digits))
    if bare or found.low == found.high:
        return text
    return text.append(f"\n{number(found.low, digits)}–{number(found.high, digits)}", "dim")
