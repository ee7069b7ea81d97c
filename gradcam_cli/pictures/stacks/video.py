"""Reads videos frame by frame with PyAV (FFmpeg)."""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np
from PIL import Image

from gradcam_cli.errors import GradcamWarning, ImageError, reason
from gradcam_cli.files.downloads import Downloads
from gradcam_cli.files.storage import AnyPath
from gradcam_cli.files.text import LFS_POINTER, is_lfs_pointer
from gradcam_cli.files.video_containers import AVI, MATROSKA, MP4, container_of, is_cut_off
from gradcam_cli.pictures.reading import (
    content_of,
    most_pixels,
    reading_errors,
    to_picture,
    too_many_pixels,
)
from gradcam_cli.pictures.stacks.stack import (
    FRAME,
    UNKNOWN,
    Frame,
    FrameChoice,
    none_chosen,
    unreadable_after,
)
from gradcam_cli.runtime.extras import import_extra

if TYPE_CHECKING:
    from av import VideoCodecContext, VideoFrame
    from av.container import InputContainer
    from av.video.stream import VideoStream

# FFmpeg reads playlists too, which name other files. Only these can't.
_DEMUXERS = {MP4: "mov", MATROSKA: "matroska", AVI: "avi"}
_POINTER_BYTES = 1024
# More threads hardly decode faster, but each holds a frame.
_MOST_THREADS = 4
_USUAL_RATE = Fraction(25)
_HIGHEST_RATE = 1000
_MOST_INTEGER = 2**31 - 1
# The usual decoder ignores opacity.
_DECODERS_WITH_OPACITY = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
# ISO/IEC 23091-2: the colours aren't described. Players then go by the size.
_UNSPECIFIED = 2
_HIGH_DEFINITION = 720
# Of the same standard: the curves PQ and HLG.
_HIGH_DYNAMIC_RANGE = frozenset({16, 18})
# Between frames in a row, as a multiple of a frame's length.
_GAP = 1.5
# Wider pixels are a mistake of the file.
_WIDEST_PIXEL = 8
# The operations for a display matrix (ISO/IEC 14496-12, 6.2.2) by its numbers a, b, c and d.
_TRANSPOSES = {
    (-1, 0, 0, 1): Image.Transpose.FLIP_LEFT_RIGHT,
    (1, 0, 0, -1): Image.Transpose.FLIP_TOP_BOTTOM,
    (-1, 0, 0, -1): Image.Transpose.ROTATE_180,
    (0, -1, 1, 0): Image.Transpose.ROTATE_90,
    (0, 1, -1, 0): Image.Transpose.ROTATE_270,
    (0, 1, 1, 0): Image.Transpose.TRANSPOSE,
    (0, -1, -1, 0): Image.Transpose.TRANSVERSE,
}
_ONE = 1 << 16


def open_video(path: AnyPath, downloads: Downloads | None = None) -> VideoStack:
    """Opens a video; see `gradcam_cli.pictures.stacks.opening.open_stack`."""
    import_extra("av", "video", str(path))
    with reading_errors(path):
        content = content_of(path, downloads)
        with _opened(content) as file:
            kind = container_of(file)
            if kind is None:
                file.seek(0)
                if is_lfs_pointer(file.read(_POINTER_BYTES)):
                    raise ImageError(f"{path}: {LFS_POINTER}")
                raise ImageError(f"{path}: not a supported video (MP4, MOV, WebM, MKV, AVI)")
        with _demuxed(path, content, kind) as (_, stream):
            stack = VideoStack(path, content, kind, stream)
            is_hdr = stream.codec_context.color_trc in _HIGH_DYNAMIC_RANGE
    if is_hdr:
        warnings.warn(
            f"{path}: is an HDR video; its frames are explained with paler colours than a player "
            f"shows, so that predictions may differ",
            GradcamWarning,
            stacklevel=2,
        )
    return stack


class VideoStack:
    """The frames of a video.

    Attributes:
        rate: The mean number of frames a second.
        time_base: The unit of its times, in seconds.
    """

    noun = FRAME

    def __init__(
        self, path: AnyPath, content: Path | io.BytesIO, kind: str, stream: VideoStream
    ) -> None:
        """Sets what to read.

        Args:
            path: The file as the user would write it.
            content: The local file, or the content of one in a store.
            kind: The kind of its container.
            stream: Its stream of moving pictures, which describes the frames.
        """
        self.path = path
        self.rate = _rate(stream)
        self.time_base = stream.time_base or 1 / self.rate
        self._content = content
        self._kind = kind
        self._stated = stream.frames or None
        self._pixel = _pixel_aspect(stream)
        # By the rotation of a frame.
        self._turns: dict[int, Image.Transpose | None] = {}

    @property
    def count(self) -> int | None:
        """The number of frames as the container states it; None if it doesn't."""
        return self._stated

    @property
    def ending(self) -> str:
        """The extension of a result: that of the file, or of the usual file of this kind."""
        own = self.path.suffix.lower().removeprefix(".")
        ends = {MP4: ("mp4", "mov"), MATROSKA: ("webm", "mkv"), AVI: ("avi",)}[self._kind]
        return own if own in ends else ends[0]

    def frames(self, choice: FrameChoice) -> Iterator[Frame]:
        """Reads the chosen frames; see `gradcam_cli.pictures.stacks.stack.Stack`."""
        count = self._count_frames() if choice.needs_count else UNKNOWN
        chosen = choice.among(count)
        if not chosen:
            raise none_chosen(self.path, self.noun, self._count_frames())
        # A frame is shown until the next chosen one would follow.
        last = chosen[-1] + chosen.step
        held: Frame | None = None
        number, end = -1, 0.0
        try:
            for number, (decoded, seconds, end_of_one) in enumerate(self._decoded()):
                if held is not None and (number in chosen or number == last):
                    yield replace(held, duration=seconds - (held.seconds or 0))
                    held = None
                if number == last:
                    return
                if number in chosen:
                    held = Frame(number, self._picture(decoded), seconds)
                end = end_of_one
        except ImageError:
            if held is not None:
                yield replace(held, duration=end - (held.seconds or 0))
            raise
        if held is not None:
            yield replace(held, duration=end - (held.seconds or 0))
        elif number < chosen.start:
            raise none_chosen(self.path, self.noun, number + 1)

    def _count_frames(self) -> int:
        """Counts the frames by decoding them; those before damage if there is any."""
        number = 0
        with contextlib.suppress(ImageError):
            for _ in self._decoded():
                number += 1
        return number

    def _decoded(self) -> Iterator[tuple[VideoFrame, float, float]]:
        """Yields all frames, and when they begin and end, in seconds.

        Raises:
            ImageError: The file is damaged or truncated after these frames.
        """
        import av

        number, begun, end = 0, 0.0, 0.0
        with reading_errors(self.path), _opened(self._content) as file:
            is_short = is_cut_off(file)
        with _demuxed(self.path, self._content, self._kind) as (container, stream):
            starts = [
                one.start_time * one.time_base
                for one in container.streams
                if one.start_time is not None and one.time_base is not None
            ]
            origin = min(starts, default=Fraction(0))
            unit = stream.time_base or self.time_base
            try:
                for frame in _frames(container, stream, is_cut_off=is_short):
                    if frame.is_corrupt:
                        raise ValueError("its data is damaged")
                    seconds = end if frame.pts is None else float(frame.pts * unit - origin)
                    # Some files repeat times.
                    seconds = max(seconds, end if number and seconds <= begun else 0.0)
                    length = frame.duration * unit if frame.duration else 1 / self.rate
                    begun, end = seconds, seconds + float(length)
                    yield frame, seconds, end
                    number += 1
            except (av.FFmpegError, ValueError) as error:
                raise unreadable_after(self.path, self.noun, number, _why(error)) from error
        if is_short:
            raise unreadable_after(self.path, self.noun, number, "the rest is missing")

    def _picture(self, frame: VideoFrame) -> Image.Image:
        """Converts a frame to a picture as it is meant to be seen: upright, with square pixels."""
        pixel = self._pixel
        width = max(1, round(frame.width * max(pixel, 1)))
        height = max(1, round(frame.height / min(pixel, 1)))
        if width * height > most_pixels():
            raise too_many_pixels(self.path)
        has_opacity = any(one.is_alpha for one in frame.format.components)
        colors = None
        if frame.colorspace == _UNSPECIFIED:
            colors = "ITU709" if frame.height >= _HIGH_DEFINITION else "ITU601"
        converted = frame.reformat(format="rgba" if has_opacity else "rgb24", src_colorspace=colors)
        image = Image.fromarray(converted.to_ndarray())
        if image.size != (width, height):
            image = image.resize((width, height), Image.Resampling.BICUBIC)
        # The side data of a frame refer to it, so that it would stay in memory for long.
        if frame.rotation not in self._turns:
            self._turns[frame.rotation] = _turn(frame)
        turn = self._turns[frame.rotation]
        if turn is not None:
            image = image.transpose(turn)
        return to_picture(image) if has_opacity else image


@contextlib.contextmanager
def _opened(content: Path | io.BytesIO) -> Iterator[IO[bytes]]:
    if isinstance(content, Path):
        with open(content, "rb") as file:
            yield file
    else:
        # Without a copy of the bytes.
        yield io.BytesIO(content.getvalue())


@contextlib.contextmanager
def _demuxed(
    path: AnyPath, content: Path | io.BytesIO, kind: str
) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Opens a video and its first stream of moving pictures.

    Raises:
        ImageError: The container can't be read, it has no such stream, or its frames are too large.
    """
    import av

    with contextlib.ExitStack() as stack:
        with reading_errors(path):
            file = stack.enter_context(_opened(content))
            try:
                container = av.open(file, format=_DEMUXERS[kind], metadata_errors="ignore")
            except av.FFmpegError as error:
                raise ImageError(f"{path}: damaged or truncated ({_why(error)})") from error
            stack.enter_context(container)
            stream = _moving_pictures(path, container, file)
        yield container, stream


def _moving_pictures(path: AnyPath, container: InputContainer, file: IO[bytes]) -> VideoStream:
    """Finds the stream to read; sets how to decode it."""
    from av.stream import Disposition

    # Files of music may have a cover.
    streams = [
        one for one in container.streams.video if not one.disposition & Disposition.attached_pic
    ]
    if not streams and is_cut_off(file):
        # What would describe the pictures may be in the part that is missing.
        raise ImageError(f"{path}: damaged or truncated (the rest is missing)")
    if not streams:
        raise ImageError(f"{path}: has no moving pictures, only sound or other data")
    stream = streams[0]
    context = stream.codec_context
    if context is None:
        raise ImageError(f"{path}: its frames are stored in a way that PyAV can't decode")
    if context.width * context.height > most_pixels():
        raise too_many_pixels(path)
    # The size may change within the file.
    context.options = {"max_pixels": str(min(most_pixels(), _MOST_INTEGER))}
    context.thread_type = "AUTO"
    context.thread_count = min(_MOST_THREADS, os.cpu_count() or 1)
    return stream


def _frames(
    container: InputContainer, stream: VideoStream, *, is_cut_off: bool
) -> Iterator[VideoFrame]:
    """Decodes a stream; yields what the decoder holds before it raises an error.

    Frames are stored in another order than they are shown. Where the data end too early, the last
    ones in the decoder may not be consecutive; these are left out.

    Raises:
        av.FFmpegError: The stream is damaged.
    """
    import av

    decoder = _decoder(stream)
    last: VideoFrame | None = None
    try:
        for packet in container.demux(stream):
            # The last packet is empty, and so are those of frames that AVI files repeat.
            if packet.size:
                for frame in decoder.decode(packet):
                    yield frame
                    last = frame
    except av.FFmpegError:
        with contextlib.suppress(av.FFmpegError):
            yield from _consecutive(last, decoder.decode(None))
        raise
    rest = decoder.decode(None)
    yield from _consecutive(last, rest) if is_cut_off else rest


def _consecutive(last: VideoFrame | None, frames: Iterable[VideoFrame]) -> Iterator[VideoFrame]:
    """Yields frames up to a gap in their times."""
    for frame in frames:
        if last is not None and last.pts is not None and frame.pts is not None:
            length = last.duration or frame.duration
            if length and frame.pts - last.pts > _GAP * length:
                return
        yield frame
        last = frame


def _decoder(stream: VideoStream) -> VideoCodecContext:
    import av

    with_opacity = _DECODERS_WITH_OPACITY.get(stream.codec_context.name)
    texts = {name.lower(): text for name, text in stream.metadata.items()}
    if with_opacity is not None and texts.get("alpha_mode") == "1":
        # Some builds of FFmpeg lack it.
        with contextlib.suppress(ValueError, av.FFmpegError):
            decoder = av.VideoCodecContext.create(with_opacity, "r")
            decoder.options = stream.codec_context.options
            return decoder
    return stream.codec_context


def _why(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or reason(error))


def _rate(stream: VideoStream) -> Fraction:
    rates = [stream.average_rate, stream.guessed_rate]
    return next((one for one in rates if one and 0 < one <= _HIGHEST_RATE), _USUAL_RATE)


def _pixel_aspect(stream: VideoStream) -> Fraction:
    """Returns the width of a pixel relative to its height."""
    stated = stream.sample_aspect_ratio
    if stated and 1 / _WIDEST_PIXEL <= stated <= _WIDEST_PIXEL:
        return stated
    return Fraction(1)


def _turn(frame: VideoFrame) -> Image.Transpose | None:
    """Returns the operation that turns a frame upright."""
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return None
    a, b, _, c, d = (round(one / _ONE) for one in np.frombuffer(matrix, np.int32)[:5].tolist())
    return _TRANSPOSES.get((a, b, c, d))
