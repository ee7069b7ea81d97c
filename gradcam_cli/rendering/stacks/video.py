"""Writes videos with PyAV (FFmpeg)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageOps

from gradcam_cli.errors import OutputError, reason
from gradcam_cli.files.marks import Mark
from gradcam_cli.pictures.stacks.stack import Frame
from gradcam_cli.pictures.stacks.video import VideoStack
from gradcam_cli.rendering.stacks.writer import StackWriter

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.video.stream import VideoStream


@dataclass(frozen=True)
class _Encoder:
    """An encoder of FFmpeg.

    Attributes:
        name: FFmpeg's name of it.
        pixels: FFmpeg's name of the form of its pixels.
        options: Its options; their quality hides no detail of an overlay.
    """

    name: str
    pixels: str = "yuv420p"
    options: dict[str, str] = field(default_factory=dict)


# By the extension: FFmpeg's name of the container, and encoders for it, the best first. All
# players know the formats. Some builds of FFmpeg lack H.264. Frames that are decoded out of order
# ("bf") would make the length of the last one wrong.
_MPEG4 = _Encoder(
    "mpeg4", options={"qmin": "2", "qmax": "3", "b": "40M", "maxrate": "200M", "bufsize": "200M"}
)
_H264 = (
    _Encoder("libx264", options={"crf": "18", "preset": "fast", "bf": "0"}),
    _Encoder("libopenh264", options={"b": "20M"}),
    _MPEG4,
)
_VP9 = (
    _Encoder(
        "libvpx-vp9",
        options={"crf": "24", "b": "0", "deadline": "good", "cpu-used": "5", "row-mt": "1"},
    ),
    _Encoder("libvpx", options={"crf": "10", "b": "20M", "deadline": "good", "cpu-used": "5"}),
)
_CONTAINERS = {
    "avi": ("avi", (_MPEG4,)),
    "mkv": ("matroska", _H264),
    "mov": ("mov", _H264),
    "mp4": ("mp4", _H264),
    "webm": ("webm", _VP9),
}
_MOST_THREADS = 4
_MILLISECONDS = Fraction(1, 1000)
# For videos whose own unit is too long or too short.
_USUAL_UNIT = Fraction(1, 90000)
_LONGEST_UNIT, _SHORTEST_UNIT = Fraction(1, 200), Fraction(1, 1_000_000)
# ISO/IEC 23091-2, and the convention of players for videos that don't describe their colours.
_HIGH_DEFINITION = 720
_BT_709, _BT_601, _LIMITED_RANGE = 1, 6, 1


class VideoWriter(StackWriter):
    """Writes a video of the same kind as the one that is explained, without its sound.

    A picture of odd width or height gets one more column or row, a copy of the last, because the
    usual formats store colours for squares of four pixels.
    """

    def __init__(self, stack: VideoStack, file: IO[bytes], mark: Mark) -> None:
        """Starts a file; see `gradcam_cli.rendering.stacks.writer.StackWriter`."""
        import av

        self._stack = stack
        name, self._encoders = _CONTAINERS[stack.ending]
        self._container: OutputContainer = av.open(file, "w", format=name)
        self._container.metadata["title"] = mark.title
        self._container.metadata["comment"] = mark.comment
        self._stream: VideoStream | None = None
        self._size = (0, 0)
        self._origin = 0.0
        self._last = -1
        # By the times of the frames that are in the encoder.
        self._durations: dict[int, int] = {}

    def add(self, frame: Frame, overlay: Image.Image, heat: np.ndarray) -> None:
        """Writes a frame."""
        with self._errors():
            if self._stream is None:
                self._start(frame, overlay.size)
            self._encode(frame, overlay)

    def close(self) -> None:
        """Completes the file."""
        with self._errors():
            if self._stream is not None:
                self._mux(self._stream.encode(None))
            self._container.close()

    def abandon(self) -> None:
        """Gives the file up. FFmpeg would write to it later, when it is closed."""
        with contextlib.suppress(Exception):
            self._container.close()

    def _start(self, frame: Frame, size: tuple[int, int]) -> None:
        import av

        self._size = size
        self._origin = frame.seconds or 0.0
        usual = 1 / self._stack.rate
        # With one frame in many, each is shown for that many.
        steps = max(1, round((frame.duration or 0.0) / usual))
        encoder = next(
            (one for one in self._encoders if one.name in av.codecs_available), self._encoders[-1]
        )
        stream: Any = self._container.add_stream(encoder.name, rate=self._stack.rate / steps)
        stream.width, stream.height = (side + side % 2 for side in size)
        stream.pix_fmt = encoder.pixels
        context = stream.codec_context
        context.options = dict(encoder.options)
        context.thread_count = min(_MOST_THREADS, os.cpu_count() or 1)
        context.time_base = stream.time_base = self._unit(usual * steps)
        self._is_high = size[1] >= _HIGH_DEFINITION
        context.colorspace = _BT_709 if self._is_high else _BT_601
        context.color_range = _LIMITED_RANGE
        self._stream = stream

    def _unit(self, usual: Fraction) -> Fraction:
        """Returns the unit of times."""
        if self._stack.ending == "avi":
            # All frames of an AVI file are shown for equally long.
            return usual
        if self._stack.ending in ("webm", "mkv"):
            return _MILLISECONDS
        own = self._stack.time_base
        return own if _SHORTEST_UNIT <= own <= _LONGEST_UNIT else _USUAL_UNIT

    def _encode(self, frame: Frame, overlay: Image.Image) -> None:
        import av

        assert self._stream is not None
        unit = self._stream.codec_context.time_base
        assert unit is not None
        if overlay.size != self._size:
            overlay = ImageOps.pad(overlay, self._size)
        width, height = self._size
        pixels = np.pad(np.asarray(overlay), ((0, height % 2), (0, width % 2), (0, 0)), "edge")
        converted = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(
            format=self._stream.pix_fmt, dst_colorspace="ITU709" if self._is_high else "ITU601"
        )
        time = round(((frame.seconds or 0.0) - self._origin) / unit)
        time = max(time, self._last + 1)
        self._last = time
        self._durations[time] = max(1, round((frame.duration or 0.0) / unit))
        converted.pts = time
        converted.time_base = unit
        self._mux(self._stream.encode(converted))

    def _mux(self, packets: Any) -> None:
        for packet in packets:
            if packet.pts in self._durations:
                packet.duration = self._durations.pop(packet.pts)
            self._container.mux(packet)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        import av

        try:
            yield
        except av.FFmpegError as error:
            why = getattr(error, "strerror", None) or reason(error)
            raise OutputError(
                f"{self._stack.path}: its result can't be written as a video ({why})"
            ) from error
