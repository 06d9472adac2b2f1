"""The only place that opens media for reading: containers white-listed, limits checked before the first frame."""

from __future__ import annotations

import io
import itertools
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import BinaryIO

import av
import numpy as np

from vidmodels.core.errors import DataError, MediaError, MediaLimitError, VidmodelsError
from vidmodels.data.storage import is_local, open_media, read_bytes, regular_file

FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts"
"""Containers that may be opened. Playlists and concat scripts are formats too, and would read other files."""
PICTURES = ("JPEG", "PNG", "WEBP", "BMP")
"""Formats of pictures that may be opened."""


@dataclass(frozen=True)
class Limits:
    """What a video may cost. The defaults are for trusted files: any length, but no absurd header.

    seconds and frames of the video; width and height in pixels as coded; fps; audio_channels; streams of all kinds;
    decoded_bytes that one read may return.
    """

    seconds: float = math.inf
    frames: int = 1 << 62
    width: int = 16384
    height: int = 16384
    fps: float = 1000.0
    audio_channels: int = 64
    streams: int = 64
    decoded_bytes: int = 64_000_000_000


TRUSTED = Limits()
UNTRUSTED = Limits(600.0, 36_000, 4096, 4096, 120.0, 8, 16, 2_000_000_000)
"""For what strangers send: 10 minutes, 36,000 frames, 4096 x 4096, 120 fps, 8 channels, 2 GB decoded."""


@dataclass(frozen=True)
class VideoInfo:
    """What a video's header says.

    duration in seconds; fps, frames per second on average; width and height in pixels as shown (after `rotation`, in
    degrees counter-clockwise); num_frames or None where the header does not say; audio_rate in Hz;
    variable_rate: whether the frames are known to come at uneven times.
    """

    duration: float
    fps: float
    width: int
    height: int
    num_frames: int | None
    codec: str
    container: str
    pixel_format: str
    rotation: int = 0
    has_audio: bool = False
    audio_rate: int = 0
    audio_channels: int = 0
    variable_rate: bool = False


@contextmanager
def open_container(uri: str, limits: Limits | None = None) -> Iterator[tuple[av.container.InputContainer, VideoInfo]]:
    """An open container, positioned at its start, and its header, which is within `limits` (None: for trusted files).

    The header's `rotation` is 0 because only a decoded frame carries it (see `turned`). Only existing regular files
    and objects of a store are opened, never a string that FFmpeg would take for a protocol. Raises MediaError (no
    video, unreadable) and MediaLimitError (refused by its header).
    """
    limits = limits or TRUSTED
    source: str | BinaryIO
    try:
        # an absolute path cannot be read as `concat:`, `subfile:` or another protocol
        source = regular_file(uri) if is_local(uri) else open_media(uri)
    except VidmodelsError as error:
        raise MediaError(str(error)) from error
    try:
        with _open(source, uri) as container:
            yield container, _header(container, uri, limits)
    finally:
        if not isinstance(source, str):
            source.close()


def probe(uri: str, limits: Limits | None = None) -> VideoInfo:
    """What a video's header says, its first frame decoded as a proof. Raises MediaError and MediaLimitError."""
    with open_container(uri, limits) as (container, info):
        try:
            frame = next(container.decode(video_stream(container, uri)), None)
        except (av.error.FFmpegError, ValueError) as error:
            raise MediaError(f"{uri}: its first frame cannot be decoded ({reason(error)}): replace the file") from error
        if frame is None:
            raise MediaError(f"{uri} holds no frame that can be decoded: replace the file")
        return turned(info, frame.rotation)


def video_stream(container: av.container.InputContainer, uri: str) -> av.VideoStream:
    """The first stream of moving pictures (the cover of a song is none). Raises MediaError where there is none."""
    for stream in container.streams.video:
        if not stream.disposition & av.stream.Disposition.attached_pic:
            return stream
    raise MediaError(f"{uri} holds sound but no pictures: give a video" if container.streams.audio
                     else f"{uri} holds no video stream: give a video")  # fmt: skip


def turned(info: VideoInfo, rotation: int) -> VideoInfo:
    """`info` with the rotation that a decoded frame carries (in degrees counter-clockwise) applied to its size."""
    rotation = round(rotation / 90) * 90 % 360
    if rotation in (90, 270):
        info = replace(info, width=info.height, height=info.width)
    return replace(info, rotation=rotation)


def packets_end(uri: str, limits: Limits | None = None) -> tuple[float, float]:
    """Where the packets of a file end, without decoding: seconds of its pictures, seconds of all its streams.

    Both count from the start of the container. Damaged packets end the walk.
    """
    ends: dict[bool, float] = {True: 0.0, False: 0.0}
    with open_container(uri, limits) as (container, _):
        stream = video_stream(container, uri)
        origin = (container.start_time or 0) / av.time_base
        try:
            for packet in container.demux():
                if packet.size and packet.pts is not None and packet.time_base is not None:
                    end = float((packet.pts + (packet.duration or 0)) * packet.time_base) - origin
                    of_pictures = packet.stream.index == stream.index
                    ends[of_pictures] = max(ends[of_pictures], end)
        except av.error.FFmpegError:
            pass
    return ends[True], max(ends.values())


def _open(source: str | BinaryIO, uri: str) -> av.container.InputContainer:
    options = {"format_whitelist": FORMATS, "protocol_whitelist": "file", "max_streams": "256"}
    try:
        return av.open(source, "r", options=options, buffer_size=1 << 16, metadata_errors="replace")
    except (av.error.FFmpegError, ValueError) as error:
        raise MediaError(f"{uri} {_what_it_is(source, error)}") from error


def _what_it_is(source: str | BinaryIO, error: Exception) -> str:
    """Words for a file that is no video, from its first bytes."""
    if isinstance(source, str):
        with open(source, "rb") as file:
            head = file.read(512)
    else:
        source.seek(0)
        head = source.read(512)
    if not head:
        return "is empty (0 bytes): it was not copied whole, replace it"
    if head.lstrip().startswith((b"ffconcat", b"#EXTM3U")):
        return "is a playlist that points to other files, not a video: give the videos themselves"
    if b"\0" not in head and all(byte >= 32 or byte in b"\t\n\r\f" for byte in head):
        return "is text, not a video: give a video file (mp4, mov, mkv, webm, avi or ts)"
    return f"cannot be opened as a video ({reason(error)}): it is damaged, cut off, or no mp4, mov, mkv, webm, avi or ts"


def _header(container: av.container.InputContainer, uri: str, limits: Limits) -> VideoInfo:
    """Read and check the header. Raises MediaError where it makes no sense, MediaLimitError where it asks too much."""
    stream = video_stream(container, uri)
    context = stream.codec_context
    if context is None:
        raise MediaError(f"{uri}: its video codec is not known here: convert it to H.264")
    if context.width < 1 or context.height < 1:
        raise MediaError(f"{uri}: its header names no picture size: the file is damaged, replace it")
    sounds = [sound for sound in container.streams.audio if sound.codec_context is not None]
    check = _Checker(uri)
    check("streams", len(container.streams), limits.streams)
    check("pixels wide", context.width, limits.width)
    check("pixels high", context.height, limits.height)
    check("audio channels", max((sound.channels for sound in sounds), default=0), limits.audio_channels)
    duration = _duration(container, stream)
    fps = _fps(stream, duration, uri)
    if duration is None:
        duration = _scanned_duration(container, stream, fps, limits.frames)
    check("seconds", duration, limits.seconds)
    check("frames per second", fps, limits.fps)
    check("frames", max(stream.frames, round(duration * fps)), limits.frames)
    return VideoInfo(
        duration=duration,
        fps=fps,
        width=context.width,
        height=context.height,
        num_frames=_num_frames(stream, fps, duration),
        codec=context.name,
        container=container.format.name.split(",")[0],
        pixel_format=context.pix_fmt or "",
        has_audio=bool(sounds),
        audio_rate=sounds[0].rate or 0 if sounds else 0,
        audio_channels=sounds[0].channels if sounds else 0,
        variable_rate=_uneven(stream),
    )


@dataclass(frozen=True)
class _Checker:
    uri: str

    def __call__(self, name: str, value: float, limit: float) -> None:
        if value > limit:
            raise MediaLimitError(f"{self.uri} has {value:.6g} {name}, and the limit is {limit:.6g}: give a smaller one")


def _duration(container: av.container.InputContainer, stream: av.VideoStream) -> float | None:
    """Seconds of the video stream, from the best of what the header knows; None where nothing is known."""
    known = []
    if stream.duration and stream.duration > 0 and stream.time_base:
        known.append(float(stream.duration * stream.time_base))
    elif (tag := _clock(stream.metadata.get("DURATION", ""))) is not None:
        known.append(tag)  # Matroska keeps the length of a stream in a tag
    if container.duration and container.duration > 0:
        known.append(container.duration / av.time_base)
    return min(known) if known else None


def _scanned_duration(container: av.container.InputContainer, stream: av.VideoStream, fps: float, most: int) -> float:
    """Seconds of a video whose header gives none (recorded live): its packets are walked, not decoded."""
    first, last, count = math.inf, -math.inf, 0
    try:
        for packet in container.demux(stream):
            if packet.size and (stamp := packet.dts if packet.pts is None else packet.pts) is not None:
                first, last = min(first, stamp), max(last, stamp)
                count += 1
                if count > most:
                    break  # the caller refuses it for its number of frames
        container.seek(0)
    except av.error.FFmpegError:
        pass  # what is damaged is named when it is decoded
    if not count or stream.time_base is None:
        return 1 / fps
    return max(float((last - first) * stream.time_base) + 1 / fps, (count - 1) / fps if count > most else 0.0)


def _clock(text: str) -> float | None:
    """'00:01:02.500' in seconds."""
    try:
        hours, minutes, seconds = (float(part) for part in text.split(":"))
    except ValueError:
        return None
    total = hours * 3600 + minutes * 60 + seconds
    return total if 0 < total < 1e9 else None


def _fps(stream: av.VideoStream, duration: float | None, uri: str) -> float:
    for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate):
        if rate is not None and 0 < rate < 1_000_000:
            return float(rate)
    if stream.frames and duration:
        return stream.frames / duration
    raise MediaError(f"{uri}: its header gives 0 frames per second: convert it to a file with a frame rate")


def _num_frames(stream: av.VideoStream, fps: float, duration: float) -> int | None:
    if stream.frames <= 0:
        return None
    if abs(stream.frames - duration * fps) <= max(2.0, 0.02 * stream.frames):
        return stream.frames
    # an edit list hides part of the stream: count what is shown
    entries = stream.index_entries
    return sum(not entry.is_discard for entry in entries) if len(entries) == stream.frames else None


def _uneven(stream: av.VideoStream) -> bool:
    """Whether the first 256 frames of the index come at uneven times; False where there is no index of all frames."""
    if len(stream.index_entries) < stream.frames or stream.frames < 3:
        return False
    stamps = [entry.timestamp for entry in itertools.islice(stream.index_entries, 256)]
    gaps = sorted(b - a for a, b in itertools.pairwise(stamps))
    middle = gaps[len(gaps) // 2]
    slack = max(Fraction(2), Fraction(middle, 20))
    return sum(abs(gap - middle) > slack for gap in gaps) > 0.02 * len(gaps)


def reason(error: BaseException) -> str:
    """FFmpeg's words for an error, without number and path."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def read_image(uri: str, limits: Limits | None = None) -> np.ndarray:
    """A picture file as uint8 [H, W, 3] RGB, upright. limits: its largest sides (None: those for trusted files).

    Raises MediaError, and MediaLimitError before a picture that is too large is decoded.
    """
    import cv2

    limits = limits or TRUSTED
    try:
        content = read_bytes(uri)
    except DataError as error:
        raise MediaError(str(error)) from error
    _check_picture(uri, content, limits)
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if content else None
    if picture is None:
        raise MediaError(f"{uri} cannot be read as a picture: it is damaged, or no JPEG, PNG or WebP; replace it")
    return picture[..., ::-1]


def _check_picture(uri: str, content: bytes, limits: Limits) -> None:
    """Raise MediaLimitError where the header of a picture names sides over the limits; nothing is decoded."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limits here are ours
            with Image.open(io.BytesIO(content), formats=PICTURES) as picture:
                width, height = picture.size
    except Image.DecompressionBombError as error:
        most = f"{limits.width} x {limits.height}"
        raise MediaLimitError(f"{uri} is far larger than the limit of {most} pixels: give a smaller one") from error
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise MediaError(f"{uri} cannot be read as a picture: it is damaged, or no JPEG, PNG or WebP; replace it") from error
    check = _Checker(uri)
    check("pixels wide", width, limits.width)
    check("pixels high", height, limits.height)
