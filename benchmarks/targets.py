"""What the project wants of its speed and memory, beside what was measured."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from benchmarks.limits import (
    BARE,
    FOLDED,
    FORWARD_PASSES,
    GRAD_CAM_PASSES,
    NETWORK,
    NETWORKS,
    PARTS,
)
from benchmarks.peers import PEERS
from benchmarks.records import ONE_SIZE, Record, by_folder, select, spread
from benchmarks.scenarios import IMPORT
from benchmarks.session import GRADCAM

GIGABYTE = 1e9
_FEW, _MANY = 1_000, 10_000
_SCORE_CAM_PEERS = ("torchcam", "pytorch_grad_cam")
_API_INPUTS, _EVALUATED = 512, 20
# Name, value, bound, and whether that is a minimum.
_Row = tuple[str, float | None, float] | tuple[str, float | None, float, bool]


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
    """Gives the targets for which enough was measured; those of folders first."""
    targets: list[_Row] = []
    for folder, of_folder in by_folder(records).items():
        targets += _targets_of_folder(folder, of_folder)
    targets += [*_targets_of_start(records), *_targets_of_network(records)]
    return [Target(name, value, *bound) for name, value, *bound in targets if value is not None]


def _targets_of_folder(folder: str, records: Sequence[Record]) -> Iterator[_Row]:
    few, many = (f"{count:,} pictures ({folder})" for count in (_FEW, _MANY))
    speeds = [_speed_of_few(records, name) for name in (GRADCAM, "xplique")]
    yield f"images/s over Xplique's, {few}", divide(*speeds), 8.0, True
    # Of fewer pictures the start would be the larger part.
    measured = records if parts_count(records) == _FEW else []
    if folder == ONE_SIZE:
        share = divide(parts_speed(measured), limit(measured))
        yield f"images/s over the limit, {few}", share, 0.85, True
    else:
        share = divide(steady_speed(measured), limit(measured, FOLDED))
        yield f"images/s less the start over the limit as gradcam, {few}", share, 0.85, True
    before, after = (median_of(records, "growth", GRADCAM, memory, n) for n in (_FEW, _MANY))
    yield f"peak memory over that at {_FEW:,}, {many}", divide(after, before), 1.05
    yield f"peak memory, {many}, GB", after, 1.5 if folder == ONE_SIZE else 1.2


def _targets_of_start(records: Sequence[Record]) -> Iterator[_Row]:
    one = median_of(records, "startup", GRADCAM, seconds, 1)
    imported = median_of(records, "startup", IMPORT, seconds)
    yield "one picture over import tensorflow", divide(one, imported), 1.3


def _targets_of_network(records: Sequence[Record]) -> Iterator[_Row]:
    for network, bound in zip(NETWORKS.values(), (1.25, 1.15), strict=True):
        both = [median_of(records, "overhead", name, seconds) for name in (network, network + BARE)]
        yield f"Grad-CAM over the bare network, {network}", divide(*both), bound
    api = [median_of(records, "api", name, speed, _API_INPUTS) for name in ("gradcam_api", NETWORK)]
    yield f"GradCAM.explain over the network alone, {_API_INPUTS} inputs", divide(*api), 0.85, True
    for peer in _SCORE_CAM_PEERS:
        name = f"Score-CAM of one picture over {PEERS[peer].title}'s, images/s"
        yield name, ratio(records, "score_cam", peer, "gradcam_api"), 3.0, True
    evaluated = median_of(records, "evaluate", GRADCAM, seconds, _EVALUATED)
    name = f"evaluate over the bare network's time, {_EVALUATED} pictures"
    yield name, divide(evaluated, passes_seconds(records)), 1.3


def ratio(
    records: Sequence[Record], scenario: str, subject: str, ours: str = GRADCAM
) -> float | None:
    """How many times as many images per second gradcam explains, by the medians."""
    return divide(*(median_of(records, scenario, name, speed) for name in (ours, subject)))


def passes_seconds(records: Sequence[Record]) -> float | None:
    """The seconds of the bare network for all passes that `evaluate` makes."""
    parts = [
        median_of(records, "evaluate", name, seconds) for name in (FORWARD_PASSES, GRAD_CAM_PASSES)
    ]
    return None if None in parts else sum(parts)


def limit(records: Sequence[Record], network: str = "forward") -> float | None:
    """The images per second that decoding, network and encoding allow one after the other.

    Args:
        records: What was measured.
        network: "forward" for the Keras model, `FOLDED` for it as gradcam runs it.
    """
    names = [network if part == "forward" else part for part in PARTS]
    speeds = [median_of(records, "parts", name, speed) for name in names]
    return None if None in speeds else 1 / sum(1 / found for found in speeds)


def _speed_of_few(records: Sequence[Record], subject: str) -> float | None:
    """Images per second of a whole process, by repeats where there are some."""
    speeds = (
        median_of(records, scenario, subject, speed, _FEW) for scenario in ("files", "growth")
    )
    return next((found for found in speeds if found is not None), None)


def parts_speed(records: Sequence[Record]) -> float | None:
    """Images per second of gradcam's whole process on the pictures of the parts."""
    return median_of(records, "parts", GRADCAM, speed, parts_count(records))


def steady_speed(records: Sequence[Record]) -> float | None:
    """Images per second of gradcam once it is ready: without the time of a single picture."""
    count = parts_count(records)
    whole, one = (median_of(records, "parts", GRADCAM, seconds, n) for n in (count, 1))
    # Of few pictures the one may by chance have taken longer.
    if whole is None or one is None or whole <= one:
        return None
    return (count - 1) / (whole - one)


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
