"""What every scenario works with: the pictures, the options, and processes that it measures."""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.measuring import Run, run
from benchmarks.peers import PEERS
from benchmarks.pictures import link_pictures
from benchmarks.records import GIVEN, Record

GRADCAM = "gradcam"


@dataclass(frozen=True)
class Options:
    """How much is measured.

    Attributes:
        peers: Keys of `PEERS`.
        count: Pictures in the scenarios "memory" and "files".
        parts_count: Pictures in the scenario "parts".
        growth: Numbers of pictures in the scenario "growth".
        api_count: Inputs in the scenario "api".
        evaluate_count: Pictures in the scenario "evaluate".
        repeats: How often everything but "growth" is measured.
        time_limit: In seconds, for a process of a peer; gradcam has none.
    """

    peers: Sequence[str]
    count: int
    parts_count: int
    growth: Sequence[int]
    api_count: int
    evaluate_count: int
    repeats: int
    time_limit: float


class Session:
    """The folders of pictures, and the processes that are measured on them.

    Attributes:
        options: How much is measured.
        folders: By the names in `benchmarks.records.FOLDERS`, all pictures of each.
        temporary: A folder for what the tools write.
        tell: Told what is being done.
    """

    def __init__(
        self,
        options: Options,
        folders: Mapping[str, Sequence[Path]],
        temporary: Path,
        tell: Callable[[str], None],
    ) -> None:
        self.options = options
        self.folders = folders
        self.temporary = temporary
        self.tell = tell
        # Who failed once in a scenario isn't tried there again.
        self._given_up: set[tuple[str, str, str | None]] = set()

    def folder(self, name: str) -> str:
        """Gives the name of the folder that stands for another: of one that isn't there, GIVEN."""
        return name if name in self.folders else GIVEN

    def first(self, folder: str, count: int) -> Path:
        """Fills a folder with the first pictures of another."""
        links = self.temporary / f"{folder.replace(' ', '-')}-first-{count}"
        return link_pictures(links, self.folders[folder][:count])

    def working(
        self, peers: Sequence[str], scenario: str, folder: str | None = None
    ) -> Iterator[str]:
        """Goes through the peers that haven't failed in a scenario, and tells of each."""
        for peer in peers:
            if (scenario, peer, folder) not in self._given_up:
                self.tell(", ".join(filter(None, [scenario, folder, PEERS[peer].title])))
                yield peer

    def turns(
        self, peers: Sequence[str], scenario: str, folder: str | None = None
    ) -> Iterator[str]:
        """Goes through the peers that work, as often as there are repeats."""
        for _ in range(self.options.repeats):
            yield from self.working(peers, scenario, folder)

    def work(
        self, peer: str, kind: str, name: str, pictures: Path | None = None, out: Path | None = None
    ) -> Run:
        """Runs `benchmarks.worker`; see there."""
        command = ["-m", "benchmarks.worker", kind, name]
        for option, value in (("--pictures", pictures), ("--out", out)):
            if value is not None:
                command += [option, str(value)]
        return run(command, None if peer == GRADCAM else self.options.time_limit)

    def explain_files(self, scenario: str, peer: str, folder: str, count: int) -> Record:
        """Has a tool explain picture files, in a process of its own."""
        pictures = self.first(folder, count)
        expected = len(os.listdir(pictures))
        out = self.temporary / "overlays"
        record = Record(scenario, peer, expected, folder=folder)
        try:
            if peer == GRADCAM:
                done = run(["-m", "gradcam_cli", str(pictures), "--out", str(out)])
            else:
                done = self.work(peer, "files", peer, pictures, out)
            if done.error:
                return self.failed(replace(record, pictures=count), done)
            written = [entry.stat().st_size for entry in os.scandir(out)]
        finally:
            shutil.rmtree(out, ignore_errors=True)
        if len(written) != expected:
            reason = f"wrote {len(written):,} overlays of {expected:,} pictures"
            return replace(record, reason=reason)
        return replace(record, seconds=done.seconds, peak_bytes=done.peak_bytes, bytes=sum(written))

    def failed(self, record: Record, done: Run) -> Record:
        """Adds the reason, and gives the subject of a record up."""
        self._given_up.add((record.scenario, record.subject, record.folder))
        return replace(record, reason=done.error)
