"""Videos that cost far more than they weigh, and odd ones that are honest: each with what may become of it."""

from __future__ import annotations

import io
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from tests.data.videos import write, write_changing, write_sound

REFUSED, WHOLE = "refused", "whole"
"""What becomes of a file: an error that names a limit or a fault, or a decode to its end."""


def _repeated(path: Path, count: int, fps: int, size: int = 64) -> Path:
    """One encoded second again and again: hours for the cost of a second."""
    part = io.BytesIO()
    write(part, count=fps, fps=fps, size=(size, size), b_frames=0, format="mp4")
    part.seek(0)
    with av.open(part) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        packets = [bytes(packet) for packet in source.demux() if packet.size]
        for number in range(count):
            packet = av.Packet(packets[number % fps])
            packet.pts = packet.dts = number
            packet.time_base, packet.stream = Fraction(1, fps), stream
            packet.is_keyframe = number % fps == 0
            target.mux(packet)
    return path


def _flat(path: Path, width: int, height: int, count: int, codec: str = "libx264", pixels: str = "yuv420p") -> Path:
    """Black frames of any size."""
    with av.open(str(path), "w") as container:
        options = {"preset": "ultrafast"} if codec == "libx264" else {}
        stream = container.add_stream(codec, rate=10, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, pixels
        frame = av.VideoFrame(width, height, pixels)
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        for number in range(count):
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def _many_streams(path: Path, count: int) -> Path:
    with av.open(str(path), "w", format="matroska") as container:
        streams = []
        for _ in range(count):
            stream = container.add_stream("mpeg4", rate=10)
            stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
            streams.append(stream)
        frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24").reformat(format="yuv420p")
        for stream in streams:
            frame.pts = 0
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return path


def _animated(path: Path, kind: str) -> Path:
    """A picture with many large frames of one colour: some kilobytes."""
    from PIL import Image

    frames = [Image.new("P", (6000, 6000), number) for number in range(6)]
    frames[0].save(path, format=kind, save_all=True, append_images=frames[1:], duration=20, loop=0)
    return path


def _early(path: Path) -> Path:
    """Times begin below zero."""
    with av.open(str(path), "w", options={"avoid_negative_ts": "disabled"}) as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for number in range(20):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 9 * number, np.uint8), format="rgb24")
            frame.pts, frame.time_base = number - 10, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


Maker = Callable[[Path], Path]
BOMBS: dict[str, tuple[str, Maker, str]] = {
    "8192 x 8192, 30 frames": (".mp4", lambda p: _flat(p, 8192, 8192, 30), REFUSED),
    "64 x 64, 200,000 frames": (".mp4", lambda p: _repeated(p, 200_000, 100), REFUSED),
    "64 x 64, 40,000 frames in six minutes": (".mp4", lambda p: _repeated(p, 40_000, 120), REFUSED),
    "10 hours at one frame a second": (".mp4", lambda p: _repeated(p, 36_000, 1), REFUSED),
    "32,768 x 2": (".avi", lambda p: _flat(p, 32_768, 2, 3, "mjpeg", "yuvj420p"), REFUSED),
    "16 x 16,384": (".avi", lambda p: _flat(p, 16, 16_384, 3, "mjpeg", "yuvj420p"), REFUSED),
    "1,000 streams": (".mkv", lambda p: _many_streams(p, 1000), REFUSED),
    "240 frames a second": (".mp4", lambda p: write(p, count=240, fps=240), REFUSED),
    "an animated GIF": (".gif", lambda p: _animated(p, "GIF"), REFUSED),
    "an animated PNG": (".png", lambda p: _animated(p, "PNG"), REFUSED),
    "sound alone": (".m4a", write_sound, REFUSED),
    "one frame": (".mp4", lambda p: write(p, count=1, fps=25), WHOLE),
    "uneven times": (".mkv", lambda p: write(p, count=24, fps=25, stamps=[41 * n + 7 * (n % 3) for n in range(24)]), WHOLE),
    "a turned picture": (".mp4", lambda p: write(p, count=24, size=(48, 64), rotation=90), WHOLE),
    "ten bits": (".mp4", lambda p: write(p, count=24, codec="libx265", pix_fmt="yuv420p10le"), WHOLE),
    "odd sides": (".mp4", lambda p: write(p, count=24, size=(51, 67), pix_fmt="yuv444p"), WHOLE),
    "a picture that grows midway": (".ts", write_changing, WHOLE),
    "times below zero": (".mkv", _early, WHOLE),
}
"""Ending of the file, its maker, and what may become of it."""
