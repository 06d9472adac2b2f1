"""Sound of an open container by presentation time.

S audio samples.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import av
import numpy as np

from vidmodels.core.errors import MediaError
from vidmodels.data.probe import reason


def read_sound(
    container: av.container.InputContainer, uri: str, start: float, end: float, rate: int | None, origin: float
) -> np.ndarray:
    """Samples between `start` and `end` as float32 [channels, S]; where there is no sound the samples are 0.

    start, end: seconds after `origin`, which is where the frames' clock starts in the file's own time.
    rate: in Hz; None: the sound's own. Raises MediaError where there is no sound or it cannot be decoded.
    """
    if not container.streams.audio:
        raise MediaError(f"{uri} has no sound: give a video with an audio stream")
    stream = container.streams.audio[0]
    if stream.codec_context is None or not stream.rate:
        raise MediaError(f"{uri}: its sound cannot be decoded: convert it to AAC")
    native = int(stream.rate)
    samples = np.zeros((stream.channels, max(round((end - start) * native), 0)), np.float32)
    try:
        _fill(samples, container, stream, start + origin, end + origin)
        if rate is None or rate == native:
            return samples
        return _resampled(samples, stream.layout.name, native, rate)
    except (av.error.FFmpegError, ValueError) as error:
        raise MediaError(f"{uri}: its sound cannot be decoded ({reason(error)}): replace the file") from error


def _fill(samples: np.ndarray, container, stream, start: float, end: float) -> None:
    # one packet earlier: the first packet after a seek may lack what it overlaps with
    try:
        container.seek(int((start - 0.2) / stream.time_base), backward=True, stream=stream)
    except av.error.FFmpegError:
        container.seek(0)
    to_float = av.AudioResampler(format="fltp", layout=stream.layout.name, rate=stream.rate)
    following = None
    for frame in _frames(container, stream):
        at = following if frame.pts is None or frame.time_base is None else float(frame.pts * frame.time_base)
        at = start if at is None else at
        following = at + frame.samples / stream.rate
        if at >= end:
            break
        if following <= start:
            continue
        frame.pts = None
        pieces = [piece.to_ndarray() for piece in to_float.resample(frame)]
        if not pieces:
            continue
        data = np.concatenate(pieces, 1)
        first = round((at - start) * stream.rate)
        skipped = max(-first, 0)
        data = data[:, skipped : skipped + samples.shape[1] - max(first, 0)]
        samples[:, max(first, 0) : max(first, 0) + data.shape[1]] = data


def _frames(container, stream) -> Iterator[av.AudioFrame]:
    """Decoded frames from where the container stands.

    AAC fills bands with noise that goes on from what the decoder decoded before: from a decoder of its own, a span is the same
    whatever was read earlier.
    """
    if stream.codec_context.name != "aac":
        yield from container.decode(stream)
        return
    known = stream.codec_context
    fresh: Any = av.CodecContext.create(known.name, "r")
    fresh.extradata, fresh.sample_rate, fresh.layout = known.extradata, known.sample_rate, known.layout.name
    for packet in container.demux(stream):
        yield from fresh.decode(packet if packet.size else None)


def _resampled(samples: np.ndarray, layout: str, native: int, rate: int) -> np.ndarray:
    """float32 [channels, S] from `native` to `rate` Hz (FFmpeg's resampler)."""
    wanted = round(samples.shape[1] * rate / native)
    out = np.zeros((len(samples), wanted), np.float32)
    if not samples.shape[1]:
        return out
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout=layout)
    frame.sample_rate = native
    resampler = av.AudioResampler(format="fltp", layout=layout, rate=rate)
    pieces = [piece.to_ndarray() for piece in (*resampler.resample(frame), *resampler.resample(None))]
    data = np.concatenate(pieces, 1)[:, :wanted]
    out[:, : data.shape[1]] = data
    return out
