"""Mutated videos through the sandbox.

Seeds are short clips of every codec in every container that can hold it. A mutation flips bytes, cuts the file, blanks a hole,
doubles or moves a piece, or overwrites a length. A file may be refused, may kill its sandbox, or is decoded whole; what must
not be is a service that dies or hangs, or a video that ends early without an error.
"""

from __future__ import annotations

import asyncio
import collections
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import av

from tests.data.videos import write
from vidmodels.core.entry import InputSpec
from vidmodels.core.errors import MediaError, MediaLimitError
from vidmodels.data.nursery import Nursery
from vidmodels.data.probe import VideoInfo
from vidmodels.inference.reading import HANDLER, Group, Views, read_video

CODECS = {
    "h264": ("libx264",), "hevc": ("libx265",), "vp9": ("libvpx-vp9",), "av1": ("libsvtav1", "libaom-av1"),
    "mpeg4": ("mpeg4",), "mjpeg": ("mjpeg",),
}  # fmt: skip
CONTAINERS = {
    "mp4": ("h264", "hevc", "vp9", "av1", "mpeg4", "mjpeg"),
    "matroska": ("h264", "hevc", "vp9", "av1", "mpeg4", "mjpeg"),
    "webm": ("vp9", "av1"),
    "avi": ("h264", "mpeg4", "mjpeg"),
    "mpegts": ("h264", "hevc", "mpeg4"),
}
FRAMES, FPS = 24, 12
SPEC = InputSpec(4, 1, 32)
PATIENCE_S = 20.0


@dataclass
class Outcome:
    """What became of the mutated files: counts of each end, and the names of those that must not be."""

    counts: collections.Counter[str] = field(default_factory=collections.Counter)
    short: list[str] = field(default_factory=list)
    hung: list[str] = field(default_factory=list)
    strange: list[str] = field(default_factory=list)


def seeds(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Clips by name, CODEC.CONTAINER."""
    for container, codecs in CONTAINERS.items():
        for codec in codecs:
            encoder = next((name for name in CODECS[codec] if name in av.codecs_available), None)
            if encoder is None:
                continue
            path = folder / f"{codec}.{container}"
            still = codec == "mjpeg"
            write(
                path, count=FRAMES, fps=FPS, size=(64, 64), codec=encoder, pix_fmt="yuvj420p" if still else "yuv420p", gop=8,
                b_frames=0 if still else 2, format=container,
            )  # fmt: skip
            yield path.name, path.read_bytes()


def mutated(data: bytes, rng: random.Random) -> bytes:
    """The data with one to three faults."""
    content = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        rng.choice(FAULTS)(content, rng)
    return bytes(content)


def _flip(content: bytearray, rng: random.Random) -> None:
    for _ in range(rng.randint(1, max(1, len(content) // 200))):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)


def _cut(content: bytearray, rng: random.Random) -> None:
    del content[rng.randrange(1, len(content)) :]


def _hole(content: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(content))
    content[start : start + 512] = bytes(len(content[start : start + 512]))


def _double(content: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(content))
    content[start:start] = content[start : start + rng.randint(1, 400)]


def _lengths(content: bytearray, rng: random.Random) -> None:
    start = rng.randrange(max(1, len(content) - 4))
    content[start : start + 4] = rng.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\0\0\0\1"))


FAULTS: tuple[Callable[[bytearray, random.Random], None], ...] = (_flip, _cut, _hole, _double, _lengths)


async def read_one(nursery: Nursery, path: Path, name: str, outcome: Outcome) -> None:
    """Read all windows of a file as the service does."""
    info: VideoInfo | None = None
    end = 0.0
    try:
        async with asyncio.timeout(PATIENCE_S):
            async for part in read_video(nursery, str(path), name, SPEC, Views(batch=8)):
                if isinstance(part, VideoInfo):
                    info = part
                elif isinstance(part, Group):
                    end = part.spans[-1].end
    except MediaLimitError:
        outcome.counts["over a limit"] += 1
    except MediaError as error:
        outcome.counts["killed its sandbox" if "killed its decoder" in str(error) else "refused"] += 1
    except TimeoutError:
        outcome.hung.append(name)
    except Exception as error:
        outcome.strange.append(f"{name}: {error!r}")
    else:
        whole = info is not None and end >= info.duration - max(3 / info.fps, 0.02 * info.duration)
        outcome.counts["decoded whole"] += whole
        if not whole:
            outcome.short.append(name)


async def fuzz(count: int, seed: int, folder: Path, children: int = 2) -> Outcome:
    """Mutate and read `count` files."""
    originals = list(seeds(folder))
    rng, outcome = random.Random(seed), Outcome()
    nursery = Nursery(HANDLER, children)
    nursery.start()
    try:

        async def one(number: int) -> None:
            name, data = originals[number % len(originals)]
            path = folder / f"{number}-{name}"
            path.write_bytes(mutated(data, rng))
            await read_one(nursery, path, path.name, outcome)
            if path.name not in outcome.short + outcome.hung:
                path.unlink()

        for first in range(0, count, 4 * children):
            await asyncio.gather(*(one(number) for number in range(first, min(first + 4 * children, count))))
        # the service still answers
        await read_one(nursery, folder / originals[0][0], originals[0][0], alive := Outcome())
        if alive.counts["decoded whole"] != 1:
            outcome.strange.append("the sandbox no longer reads a good file")
    finally:
        nursery.close()
    return outcome


def videos(count: int = 2000, seed: int = 0) -> list[str]:
    """Mutated videos through the sandbox; what was wrong."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        outcome = asyncio.run(fuzz(count, seed, Path(folder)))
    ends = ", ".join(f"{number} {name}" for name, number in outcome.counts.most_common())
    print(f"videos: {count} mutated ones: {ends}; {len(outcome.hung)} hung, {len(outcome.short)} ended early in silence, "
          f"{len(outcome.strange)} strange; {time.monotonic() - started:.0f} s")  # fmt: skip
    return outcome.hung + outcome.short + outcome.strange
