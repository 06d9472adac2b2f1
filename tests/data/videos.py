"""Videos that the tests encode themselves: every frame carries its number as black and white blocks."""

from __future__ import annotations

import io
import itertools
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

BITS = 8


def numbered(number: int, height: int = 64, width: int = 64) -> np.ndarray:
    """A frame uint8 [H, W, 3] whose left to right columns are the bits of `number`; the top right corner is red."""
    bits = [(number >> bit) & 1 for bit in range(BITS)]
    row = np.repeat(bits, -(-width // BITS))[:width] * 215 + 20
    frame = np.broadcast_to(row[None, :, None], (height, width, 3)).astype(np.uint8)
    frame = frame.copy()
    frame[: height // 4] = 128
    frame[: height // 4, 3 * width // 4 :] = (220, 30, 30)
    return frame


def number_of(frame: np.ndarray) -> int:
    """The number that a decoded frame carries."""
    width = frame.shape[1]
    edges = np.linspace(0, -(-width // BITS) * BITS, BITS + 1)
    row = frame[frame.shape[0] // 2 :].mean((0, 2))
    columns = [row[int(a) + 1 : max(min(int(b), width) - 1, int(a) + 2)] for a, b in itertools.pairwise(edges)]
    return sum(int(column.mean() > 128) << bit for bit, column in enumerate(columns))


def write(
    path: Path | io.BytesIO,
    count: int = 60,
    fps: int | Fraction = 30,
    size: tuple[int, int] = (64, 64),
    stamps: list[int] | None = None,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    gop: int = 250,
    b_frames: int = 2,
    sound: np.ndarray | None = None,
    rotation: int = 0,
    format: str | None = None,
    options: dict[str, str] | None = None,
) -> Path | io.BytesIO:
    """Encode `count` numbered frames of `size` (height, width).

    stamps: presentation times in 1/1000 s, for uneven ones; sound: float32 [S] at 16 kHz; format: of the container.
    """
    target = str(path) if isinstance(path, Path) else path
    with av.open(target, "w", format=format, options=options or {}) as container:
        quality = {"crf": "12", "preset": "veryfast"} if codec in ("libx264", "libx265") else {}
        if codec == "libx264":
            quality["x264-params"] = "scenecut=0"  # keyframes where `gop` puts them and nowhere else
        stream = container.add_stream(codec, rate=fps, options=quality)
        stream.height, stream.width = size
        stream.pix_fmt = pix_fmt
        stream.gop_size = gop
        stream.max_b_frames = b_frames
        stream.thread_count = 1
        base = Fraction(1, 1000) if stamps is not None else 1 / Fraction(fps)
        stream.codec_context.time_base = base
        if codec not in ("libx264", "libx265"):
            stream.bit_rate = 2_000_000
        if rotation:
            stream.set_display_rotation(rotation)
        track = None
        if sound is not None:
            track = container.add_stream("aac", rate=16000, layout="mono")
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(numbered(number % (1 << BITS), *size), format="rgb24")
            frame = frame.reformat(format=pix_fmt)
            frame.pts, frame.time_base = number if stamps is None else stamps[number], base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if track is not None and sound is not None:
            for start in range(0, len(sound), 1024):
                piece = np.ascontiguousarray(sound[None, start : start + 1024], np.float32)
                samples = av.AudioFrame.from_ndarray(piece, format="fltp", layout="mono")
                samples.sample_rate, samples.pts, samples.time_base = 16000, start, Fraction(1, 16000)
                container.mux(track.encode(samples))
            container.mux(track.encode(None))
    return path


def write_sound(path: Path, seconds: float = 1.0) -> Path:
    """A file with sound only."""
    samples = np.sin(np.arange(round(16000 * seconds)) * 0.1).astype(np.float32)[None]
    with av.open(str(path), "w") as container:
        track = container.add_stream("aac", rate=16000, layout="mono")
        for start in range(0, samples.shape[1], 1024):
            piece = np.ascontiguousarray(samples[:, start : start + 1024])
            frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 16000, start, Fraction(1, 16000)
            container.mux(track.encode(frame))
        container.mux(track.encode(None))
    return path


def write_changing(path: Path, count: int = 20) -> Path:
    """A transport stream whose picture grows from 64x64 to 128x96 midway."""
    parts = []
    for number, size in enumerate(((64, 64), (128, 96))):
        part = io.BytesIO()
        with av.open(part, "w", format="mpegts") as container:
            stream = container.add_stream("libx264", rate=25, options={"crf": "12", "preset": "veryfast"})
            stream.height, stream.width = size
            stream.pix_fmt, stream.max_b_frames, stream.thread_count = "yuv420p", 0, 1
            for i in range(count // 2):
                index = number * (count // 2) + i
                frame = av.VideoFrame.from_ndarray(numbered(index, *size), format="rgb24").reformat(format="yuv420p")
                frame.pts, frame.time_base = index, Fraction(1, 25)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        parts.append(part.getvalue())
    path.write_bytes(b"".join(parts))
    return path
