"""What is measured, in which order: repeats take turns over the peers, none has a quiet hour."""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.measuring import Run, run
from benchmarks.peers import PEERS, SIDE
from benchmarks.pictures import link_pictures
from benchmarks.records import Record

GRADCAM = "gradcam"
IMPORT = "import tensorflow"
NETWORKS = {
    "explain_builtin": "EfficientNet-Lite0",
    "explain_vgg19": "VGG19",
}
BARE = ", bare network"
PARTS = ("decode", "forward", "encode")
FOLDED = "forward_folded"
# Enough for a speed that doesn't change any more.
_CODED_PICTURES = 64
_OVERHEAD_PICTURES = 32


@dataclass(frozen=True)
class Options:
    """How much is measured.

    Attributes:
        peers: Keys of `PEERS`.
        count: Pictures in the scenarios "memory" and "files".
        parts_count: Pictures in the scenario "parts".
        growth: Numbers of pictures in the scenario "growth".
        repeats: How often everything but "growth" is measured.
        time_limit: In seconds, for a process of a peer; gradcam has none.
    """

    peers: Sequence[str]
    count: int
    parts_count: int
    growth: Sequence[int]
    repeats: int
    time_limit: float

    def most_pictures(self, scenarios: Sequence[str]) -> int:
        """Gives how many pictures the largest of some scenarios takes."""
        wanted = {"growth": max(self.growth), "parts": self.parts_count}
        return max(wanted.get(scenario, self.count) for scenario in scenarios)


class Benchmark:
    """Measures each scenario; its methods yield records as they come."""

    def __init__(
        self,
        options: Options,
        pictures: Sequence[Path],
        folder: Path,
        tell: Callable[[str], None],
    ) -> None:
        """Takes the pictures and a folder of its own for what the tools write.

        Args:
            options: How much is measured.
            pictures: All there are.
            folder: Empty.
            tell: Told what is being done.
        """
        self._options = options
        self._pictures = pictures
        self._folder = folder
        self._tell = tell
        # Who failed once in a scenario isn't tried there again.
        self._given_up: set[tuple[str, str]] = set()

    def memory(self) -> Iterator[Record]:
        """Arrays in, maps out, in a process that is warm."""
        pictures = self._first(self._options.count)
        maps = self._folder / "maps"
        maps.mkdir()
        for peer in self._turns("memory"):
            done = self._work(peer, "memory", peer, pictures, maps / f"{peer}.npy")
            if done.error:
                yield self._failed("memory", peer, self._options.count, done)
            else:
                yield Record(
                    "memory",
                    peer,
                    done.found["pictures"],
                    done.found["seconds"],
                    done.peak_bytes,
                    agreement=_agreement(maps / f"{GRADCAM}.npy", maps / f"{peer}.npy"),
                )

    def files(self) -> Iterator[Record]:
        """JPEG files in, overlay PNGs out: the time of the whole process."""
        for peer in self._turns("files"):
            yield self._explain_files("files", peer, self._options.count)

    def startup(self) -> Iterator[Record]:
        """Until ready for the first picture, and one picture from start to end."""
        for _ in range(self._options.repeats):
            self._tell(f"startup: {IMPORT}")
            done = run(["-c", IMPORT], self._options.time_limit)
            if done.error:
                yield self._failed("startup", IMPORT, 0, done)
            else:
                yield Record("startup", IMPORT, 0, done.seconds, done.peak_bytes)
            for peer in self._working(self._options.peers, "startup"):
                done = self._work(peer, "ready", peer)
                if done.error:
                    yield self._failed("startup", peer, 0, done)
                    continue
                seconds = done.found["ready_at"] - done.started
                yield Record("startup", peer, 0, seconds, done.peak_bytes)
                yield self._explain_files("startup", peer, 1)

    def growth(self) -> Iterator[Record]:
        """Time and memory of more and more pictures."""
        measured: dict[str, list[Record]] = {peer: [] for peer in self._options.peers}
        for count in sorted(self._options.growth):
            for peer in self._working(self._options.peers, "growth"):
                expected = _expected_seconds(measured[peer], count)
                if count > len(self._pictures):
                    reason = f"there are only {len(self._pictures):,} pictures"
                    record = Record("growth", peer, count, reason=reason)
                elif peer != GRADCAM and expected > self._options.time_limit:
                    reason = f"not run: would take about {expected / 60:.0f} min"
                    record = Record("growth", peer, count, reason=reason)
                else:
                    record = self._explain_files("growth", peer, count)
                measured[peer].append(record)
                yield record

    def parts(self) -> Iterator[Record]:
        """The machine's limit, and gradcam beside it."""
        count = min(self._options.parts_count, len(self._pictures))
        pictures = self._first(count)
        for _ in range(self._options.repeats):
            for part in (*PARTS, FOLDED):
                self._tell(f"parts: {part}")
                done = self._work(GRADCAM, "part", part, pictures)
                if done.error:
                    yield self._failed("parts", part, count, done)
                else:
                    yield Record("parts", part, count, done.found["seconds"], done.peak_bytes)
            yield self._explain_files("parts", GRADCAM, count)
            yield self._explain_files("parts", GRADCAM, 1)
            for name, network in NETWORKS.items():
                self._tell(f"parts: {network}")
                done = self._work(GRADCAM, "part", name, self._first(_OVERHEAD_PICTURES))
                if done.error:
                    yield self._failed("overhead", network, _OVERHEAD_PICTURES, done)
                    continue
                found = done.found
                yield Record("overhead", network, found["pictures"], found["seconds"])
                yield Record(
                    "overhead", f"{network}{BARE}", found["pictures"], found["bare_seconds"]
                )

    def codecs(self) -> Iterator[Record]:
        """PNG encoders and JPEG decoders on one core."""
        pictures = self._first(_CODED_PICTURES)
        for kind in ("encoders", "decoders"):
            self._tell(f"codecs: {kind}")
            done = self._work(GRADCAM, "codecs", kind, pictures)
            if done.error:
                yield self._failed(kind, kind, 0, done)
            for found in done.found.get("codecs", ()):
                yield Record(kind, **found)

    def _turns(self, scenario: str) -> Iterator[str]:
        for _ in range(self._options.repeats):
            yield from self._working(self._options.peers, scenario)

    def _working(self, peers: Sequence[str], scenario: str) -> Iterator[str]:
        for peer in peers:
            if (scenario, peer) not in self._given_up:
                self._tell(f"{scenario}: {PEERS[peer].title}")
                yield peer

    def _first(self, count: int) -> Path:
        return link_pictures(self._folder / f"first-{count}", self._pictures[:count])

    def _work(
        self, peer: str, kind: str, name: str, pictures: Path | None = None, out: Path | None = None
    ) -> Run:
        command = ["-m", "benchmarks.worker", kind, name]
        for option, value in (("--pictures", pictures), ("--out", out)):
            if value is not None:
                command += [option, str(value)]
        return run(command, None if peer == GRADCAM else self._options.time_limit)

    def _explain_files(self, scenario: str, peer: str, count: int) -> Record:
        pictures = self._first(count)
        expected = len(os.listdir(pictures))
        out = self._folder / "overlays"
        try:
            if peer == GRADCAM:
                done = run(["-m", "gradcam_cli", str(pictures), "--out", str(out)])
            else:
                done = self._work(peer, "files", peer, pictures, out)
            if done.error:
                return self._failed(scenario, peer, count, done)
            written = [entry.stat().st_size for entry in os.scandir(out)]
        finally:
            shutil.rmtree(out, ignore_errors=True)
        if len(written) != expected:
            reason = f"wrote {len(written):,} overlays of {expected:,} pictures"
            return Record(scenario, peer, expected, reason=reason)
        return Record(scenario, peer, expected, done.seconds, done.peak_bytes, sum(written))

    def _failed(self, scenario: str, subject: str, pictures: int, done: Run) -> Record:
        self._given_up.add((scenario, subject))
        return Record(scenario, subject, pictures, reason=done.error)


def _expected_seconds(records: Sequence[Record], count: int) -> float:
    """Goes on in a straight line from the two largest numbers of pictures that were measured."""
    measured = [record for record in records if record.seconds is not None]
    if len(measured) < 2:
        return 0.0
    before, last = measured[-2:]
    each = (last.seconds - before.seconds) / (last.pictures - before.pictures)
    return last.seconds + each * (count - last.pictures)


def _agreement(ours: Path, theirs: Path) -> float | None:
    """Gives the smallest correlation of two tools' maps of the same pictures."""
    if not ours.exists():
        return None
    pairs = zip(np.load(ours), np.load(theirs), strict=False)
    return min(float(np.corrcoef(_resized(a), _resized(b))[0, 1]) for a, b in pairs)


def _resized(heatmap: np.ndarray) -> np.ndarray:
    picture = Image.fromarray(heatmap.astype(np.float32))
    return np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BILINEAR)).ravel()
