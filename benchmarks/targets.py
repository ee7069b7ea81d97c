"""What the project wants of its speed and memory, beside what was measured."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.records import Record, select, spread
from benchmarks.scenarios import BARE, GRADCAM, IMPORT, NETWORKS, PARTS

GIGABYTE = 1e9
_FEW, _MANY = 1_000, 10_000


@dataclass(frozen=True)
class Target:
    """A figure, and the bound that it should keep.

    Attributes:
        name: What it is.
        value: As measured.
        bound: What is wanted.
        is_minimum: Whether it should be at least the bound; else at most.
    """

    name: str
    value: float
    bound: float
    is_minimum: bool = False

    @property
    def is_met(self) -> bool:
        return self.value >= self.bound if self.is_minimum else self.value <= self.bound


def check_targets(records: Sequence[Record]) -> list[Target]:
    """Gives the targets for which enough was measured."""
    # Of fewer pictures the start would be the larger part.
    share = divide(parts_speed(records), limit(records)) if parts_count(records) == _FEW else None
    few, many = (median_of(records, "growth", GRADCAM, memory, n) for n in (_FEW, _MANY))
    one = median_of(records, "startup", GRADCAM, seconds, 1)
    imported = median_of(records, "startup", IMPORT, seconds)
    speeds = [median_of(records, "growth", name, speed, _FEW) for name in (GRADCAM, "xplique")]
    targets = [
        ("images/s over Xplique's, 1,000 pictures", divide(*speeds), 8.0, True),
        ("images/s over the machine's limit, 1,000 pictures", share, 0.85, True),
        ("peak memory at 10,000 pictures over that at 1,000", divide(many, few), 1.05),
        ("peak memory at 10,000 pictures, GB", many, 1.5),
        ("one picture over import tensorflow", divide(one, imported), 1.3),
    ]
    for network, bound in zip(NETWORKS.values(), (1.25, 1.15), strict=True):
        both = [median_of(records, "overhead", name, seconds) for name in (network, network + BARE)]
        targets.append((f"Grad-CAM over the bare network, {network}", divide(*both), bound))
    return [Target(name, value, *bound) for name, value, *bound in targets if value is not None]


def ratio(records: Sequence[Record], scenario: str, subject: str) -> float | None:
    """How many times as many images per second gradcam explains, by the medians."""
    return divide(*(median_of(records, scenario, name, speed) for name in (GRADCAM, subject)))


def limit(records: Sequence[Record], network: str = "forward") -> float | None:
    """The images per second that decoding, network and encoding allow one after the other.

    Args:
        records: What was measured.
        network: "forward" for the Keras model, `FOLDED` for it as gradcam runs it.
    """
    names = [network if part == "forward" else part for part in PARTS]
    speeds = [median_of(records, "parts", name, speed) for name in names]
    return None if None in speeds else 1 / sum(1 / found for found in speeds)


def parts_speed(records: Sequence[Record]) -> float | None:
    """Images per second of gradcam's whole process on the pictures of the parts."""
    return median_of(records, "parts", GRADCAM, speed, parts_count(records))


def steady_speed(records: Sequence[Record]) -> float | None:
    """Images per second of gradcam once it is ready: without the time of a single picture."""
    count = parts_count(records)
    whole, one = (median_of(records, "parts", GRADCAM, seconds, n) for n in (count, 1))
    return None if whole is None or one is None or count < 2 else (count - 1) / (whole - one)


def parts_count(records: Sequence[Record]) -> int:
    return max((record.pictures for record in select(records, "parts")), default=0)


def median_of(
    records: Sequence[Record],
    scenario: str,
    subject: str,
    value: Callable[[Record], float | None],
    pictures: int | None = None,
) -> float | None:
    found = spread(select(records, scenario, subject, pictures), value)
    return None if found is None else found.median


def divide(ours: float | None, theirs: float | None) -> float | None:
    return None if ours is None or not theirs else ours / theirs


def speed(record: Record) -> float | None:
    return record.images_per_second


def seconds(record: Record) -> float | None:
    return record.seconds


def memory(record: Record) -> float | None:
    return None if record.peak_bytes is None else record.peak_bytes / GIGABYTE
