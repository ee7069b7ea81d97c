"""What is measured, in which order: repeats take turns over the peers, none has a quiet hour."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.limits import api, codecs, evaluate, parts
from benchmarks.measuring import run
from benchmarks.peers import PEERS, SIDE
from benchmarks.records import ONE_SIZE, Record
from benchmarks.session import GRADCAM, Session

IMPORT = "import tensorflow"
# Whose growth over pictures of one size is worth its time.
_GROWING = (GRADCAM, "xplique")


def startup(session: Session) -> Iterator[Record]:
    """Until ready for the first picture, and one picture from start to end."""
    folder = session.folder(ONE_SIZE)
    for _ in range(session.options.repeats):
        session.tell(f"startup, {IMPORT}")
        imported = Record("startup", IMPORT, 0)
        done = run(["-c", IMPORT], session.options.time_limit)
        if done.error:
            yield session.failed(imported, done)
        else:
            yield Record("startup", IMPORT, 0, done.seconds, done.peak_bytes)
        for peer in session.working(session.options.peers, "startup", folder):
            done = session.work(peer, "ready", peer)
            if done.error:
                yield session.failed(Record("startup", peer, 0, folder=folder), done)
                continue
            seconds = done.found["ready_at"] - done.started
            yield Record("startup", peer, 0, seconds, done.peak_bytes, folder=folder)
            yield session.explain_files("startup", peer, folder, 1)


def memory(session: Session) -> Iterator[Record]:
    """Arrays in, maps out, in a process that is warm."""
    folder, count = session.folder(ONE_SIZE), session.options.count
    yield from _explain_arrays(session, session.options.peers, "memory", GRADCAM, folder, count)


def score_cam(session: Session) -> Iterator[Record]:
    """Score-CAM of one picture, in a process that is warm."""
    peers = [name for name in session.options.peers if PEERS[name].has_score_cam]
    folder = session.folder(ONE_SIZE)
    yield from _explain_arrays(session, peers, "score_cam", "gradcam_api", folder, 1)


def files(session: Session) -> Iterator[Record]:
    """JPEG files in, overlay PNGs out: the time of the whole process."""
    for _ in range(session.options.repeats):
        for folder in session.folders:
            for peer in session.working(session.options.peers, "files", folder):
                yield session.explain_files("files", peer, folder, session.options.count)


def growth(session: Session) -> Iterator[Record]:
    """Time and memory of more and more pictures."""
    measured: dict[tuple[str, str], list[Record]] = {}
    for count in sorted(session.options.growth):
        for folder, pictures in session.folders.items():
            peers = [
                peer for peer in session.options.peers if folder != ONE_SIZE or peer in _GROWING
            ]
            for peer in session.working(peers, "growth", folder):
                before = measured.setdefault((folder, peer), [])
                expected = _expected_seconds(before, count)
                reason = None
                if count > len(pictures):
                    reason = f"there are only {len(pictures):,} pictures"
                elif peer != GRADCAM and expected > session.options.time_limit:
                    reason = f"not run: would take about {expected / 60:.0f} min"
                if reason is None:
                    record = session.explain_files("growth", peer, folder, count)
                else:
                    record = Record("growth", peer, count, reason=reason, folder=folder)
                before.append(record)
                yield record


Scenario = Callable[[Session], Iterator[Record]]
SCENARIOS: Mapping[str, Scenario] = {
    "startup": startup,
    "memory": memory,
    "files": files,
    "growth": growth,
    "parts": parts,
    "api": api,
    "score_cam": score_cam,
    "evaluate": evaluate,
    "codecs": codecs,
}


def _explain_arrays(
    session: Session, peers: Sequence[str], scenario: str, ours: str, folder: str, count: int
) -> Iterator[Record]:
    pictures = session.first(folder, count)
    maps = session.temporary / f"maps-{scenario}"
    maps.mkdir()
    for peer in session.turns(peers, scenario, folder):
        done = session.work(peer, scenario, peer, pictures, maps / f"{peer}.npy")
        if done.error:
            yield session.failed(Record(scenario, peer, count, folder=folder), done)
        else:
            yield Record(
                scenario,
                peer,
                done.found["pictures"],
                done.found["seconds"],
                done.peak_bytes,
                agreement=_agreement(maps / f"{ours}.npy", maps / f"{peer}.npy"),
                folder=folder,
            )


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
