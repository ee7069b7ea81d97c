"""The scenarios that put gradcam beside what the machine allows."""

from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.peers import PEERS
from benchmarks.records import MIXED, ONE_SIZE, Record
from benchmarks.session import GRADCAM, Session

NETWORKS = {
    "explain_builtin": "EfficientNet-Lite0",
    "explain_vgg19": "VGG19",
}
BARE = ", bare network"
PARTS = ("decode", "forward", "encode")
FOLDED = "forward_folded"
# What `GradCAM.explain` is compared with, and what `gradcam evaluate` asks of the network.
NETWORK, FORWARD_PASSES, GRAD_CAM_PASSES = "network", "forward passes", "Grad-CAM passes"
_API_PEERS = ("gradcam_api", "xplique")
# Enough for a speed that doesn't change any more.
_CODED_PICTURES = 64
_OVERHEAD_PICTURES = 32


def parts(session: Session) -> Iterator[Record]:
    """The machine's limit, and gradcam beside it."""
    for _ in range(session.options.repeats):
        for folder, pictures in session.folders.items():
            yield from _parts_of(session, folder, min(session.options.parts_count, len(pictures)))
        yield from _overhead(session)


def _parts_of(session: Session, folder: str, count: int) -> Iterator[Record]:
    for part in (*PARTS, FOLDED):
        session.tell(f"parts, {folder}, {part}")
        done = session.work(GRADCAM, "part", part, session.first(folder, count))
        if done.error:
            yield session.failed(Record("parts", part, count, folder=folder), done)
        else:
            seconds = done.found["seconds"]
            yield Record("parts", part, count, seconds, done.peak_bytes, folder=folder)
    for number in dict.fromkeys((count, 1)):
        session.tell(f"parts, {folder}, {PEERS[GRADCAM].title}")
        yield session.explain_files("parts", GRADCAM, folder, number)


def _overhead(session: Session) -> Iterator[Record]:
    pictures = session.first(session.folder(ONE_SIZE), _OVERHEAD_PICTURES)
    for name, network in NETWORKS.items():
        session.tell(f"parts, {network}")
        done = session.work(GRADCAM, "part", name, pictures)
        if done.error:
            yield session.failed(Record("overhead", network, _OVERHEAD_PICTURES), done)
            continue
        found = done.found
        yield Record("overhead", network, found["pictures"], found["seconds"])
        yield Record("overhead", f"{network}{BARE}", found["pictures"], found["bare_seconds"])


def api(session: Session) -> Iterator[Record]:
    """`GradCAM.explain` of inputs in memory, beside the network alone and Xplique's."""
    folder, count = session.folder(ONE_SIZE), session.options.api_count
    pictures = session.first(folder, count)
    peers = [name for name in session.options.peers if name in _API_PEERS]
    for peer in session.turns(peers, "api", folder):
        done = session.work(peer, "api", peer, pictures)
        if done.error:
            yield session.failed(Record("api", peer, count, folder=folder), done)
            continue
        found = done.found
        yield Record(
            "api", peer, found["pictures"], found["seconds"], done.peak_bytes, folder=folder
        )
        if "bare_seconds" in found:
            yield Record("api", NETWORK, found["pictures"], found["bare_seconds"], folder=folder)


def evaluate(session: Session) -> Iterator[Record]:
    """`gradcam evaluate` with all metrics, beside the network alone for as many passes."""
    folder, count = session.folder(MIXED), session.options.evaluate_count
    pictures = session.first(folder, count)
    for _ in range(session.options.repeats):
        session.tell("evaluate")
        done = session.work(GRADCAM, "evaluate", GRADCAM, pictures)
        if done.error:
            yield session.failed(Record("evaluate", GRADCAM, count, folder=folder), done)
            return
        yield from _evaluate_records(done.found, done.peak_bytes, folder)


def _evaluate_records(found: Mapping[str, Any], peak: int, folder: str) -> Iterator[Record]:
    yield Record("evaluate", GRADCAM, found["pictures"], found["seconds"], peak, folder=folder)
    for subject, passes in (
        (FORWARD_PASSES, found["forward_passes"]),
        (GRAD_CAM_PASSES, found["grad_cam_passes"]),
    ):
        seconds = passes * found["seconds_per_pass"]
        yield Record("evaluate", subject, passes, seconds, folder=folder)


def codecs(session: Session) -> Iterator[Record]:
    """PNG encoders and JPEG decoders on one core."""
    folder = session.folder(ONE_SIZE)
    pictures = session.first(folder, _CODED_PICTURES)
    for kind in ("encoders", "decoders"):
        session.tell(f"codecs, {kind}")
        done = session.work(GRADCAM, "codecs", kind, pictures)
        if done.error:
            yield session.failed(Record(kind, kind, 0, folder=folder), done)
        for found in done.found.get("codecs", ()):
            yield Record(kind, **found, folder=folder)
