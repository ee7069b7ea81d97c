"""What was measured, as it is written into the JSON file."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median

# Folders of pictures: made of photographs' sizes, made of one size, or the user's own.
MIXED, ONE_SIZE, GIVEN = "mixed", "one size", "given"
FOLDERS = (MIXED, ONE_SIZE, GIVEN)


@dataclass(frozen=True)
class Record:
    """One measurement, or why there is none.

    Attributes:
        scenario: A key of `benchmarks.scenarios.SCENARIOS`, where "codecs" records "encoders" and
            "decoders", and "parts" also "overhead".
        subject: Who or what: a key of `benchmarks.peers.PEERS`, a part, a codec.
        pictures: How many pictures there were, or how many passes through the network.
        seconds: How long they took.
        peak_bytes: The largest resident set of the process.
        bytes: The size of what was written for all pictures.
        agreement: The smallest correlation of a map with gradcam's.
        reason: Why there is no measurement.
        folder: Which of `FOLDERS` the pictures are from; None where it makes no difference.
    """

    scenario: str
    subject: str
    pictures: int
    seconds: float | None = None
    peak_bytes: int | None = None
    bytes: int | None = None
    agreement: float | None = None
    reason: str | None = None
    folder: str | None = None

    @property
    def images_per_second(self) -> float | None:
        return self.pictures / self.seconds if self.seconds else None


@dataclass(frozen=True)
class Spread:
    """The median of repeats, the smallest and the largest."""

    median: float
    low: float
    high: float


def select(
    records: Iterable[Record],
    scenario: str,
    subject: str | None = None,
    pictures: int | None = None,
) -> list[Record]:
    return [
        record
        for record in records
        if record.scenario == scenario
        and subject in (None, record.subject)
        and pictures in (None, record.pictures)
    ]


def by_folder(records: Iterable[Record]) -> dict[str, list[Record]]:
    """Divides records by their folder, in the order of `FOLDERS`; leaves out those of none."""
    found: dict[str, list[Record]] = {folder: [] for folder in FOLDERS}
    for record in records:
        if record.folder is not None:
            found[record.folder].append(record)
    return {folder: of_folder for folder, of_folder in found.items() if of_folder}


def spread(records: Iterable[Record], value: Callable[[Record], float | None]) -> Spread | None:
    """Summarizes the repeats; None if nothing was measured."""
    values = [found for record in records if (found := value(record)) is not None]
    return Spread(median(values), min(values), max(values)) if values else None


def subjects(records: Iterable[Record]) -> list[str]:
    return list(dict.fromkeys(record.subject for record in records))
