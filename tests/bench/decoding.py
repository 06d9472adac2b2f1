"""Benchmarks of decoding: one pass for several clips of a video, Ray's decoders against a DataLoader, the object store."""

from __future__ import annotations

import functools
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.bench.harness import Ratio, alternate, ratio, seconds, shown
from vidmodels.core.recipe import ClipSection, RunSection
from vidmodels.data.decode import VideoReader
from vidmodels.data.formats import load_manifest
from vidmodels.data.loader import LocalLoader
from vidmodels.data.order import Order
from vidmodels.data.reader import TrainReader
from vidmodels.data.sampling import train_requests

MICRO = 8
CLIP = ClipSection(num_frames=16, frame_stride=4, size=224)


def write_video(path: Path, frames: int, width: int, height: int, gop: int, seed: int = 0, fps: int = 30) -> None:
    """An H.264 video of drifting smooth noise."""
    import av
    import cv2

    rng = np.random.default_rng(seed)
    texture = cv2.resize(rng.integers(0, 255, (height // 16 + 8, width // 16 + 8, 3), np.uint8), (width + 128, height + 128))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"g": str(gop), "preset": "veryfast", "crf": "23"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for t in range(frames):
            dx, dy = round(32 + 30 * np.sin(t / 20)), round(32 + 30 * np.cos(t / 25))
            picture = np.ascontiguousarray(texture[dy : dy + height, dx : dx + width])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode())


def decode_repeat(rounds: int = 5) -> list[Ratio]:
    """Four random clips of a 10 s 1280 x 720 video with one key frame: four decodes / one pass."""
    with tempfile.TemporaryDirectory() as folder:
        path, plans, separate, together = _one_video(Path(folder), CLIP.replace(repeats=4), rounds)
        others = {
            name: [seconds(functools.partial(read, path, plan)) for plan in plans] for name, read in _others(path).items()
        }
    for name, values in others.items():
        shown(f"beside: {name}, one call, one thread", values)
    return [ratio("decode_repeat", separate, together, ">= 1.43")]


def rho_decode(rounds: int = 7) -> list[Ratio]:
    """The four clips of a video that `rho_moco_rho4_k400` takes: one pass / four decodes, of a video as in `decode_repeat`."""
    from vidmodels.systems.rho_contrastive.recipes import rho_moco_rho4_k400

    with tempfile.TemporaryDirectory() as folder:
        _, _, separate, together = _one_video(Path(folder), rho_moco_rho4_k400().data.clip, rounds)
    return [ratio("rho_decode", together, separate, "<= 0.7")]


def _one_video(folder: Path, clip: ClipSection, rounds: int) -> tuple[Path, list[list[list[float]]], list[float], list[float]]:
    """A 10 s 1280 x 720 video with one key frame, the times of its clips in each round, seconds of a decode for each clip,
    and of one pass for all. Both sides of a round decode the same clips."""
    path = folder / "video.mp4"
    write_video(path, 300, 1280, 720, 250)

    def times(round_number: int) -> list[list[float]]:
        with VideoReader(str(path)) as video:
            requests = train_requests(video.info.duration, video.info.fps, clip, 0, round_number, 0)
        return [list(request.times) for request in requests]

    def one_pass(wanted: list[list[float]]) -> None:
        with VideoReader(str(path)) as video:
            video.read_many(wanted)

    def separate(wanted: list[list[float]]) -> None:
        for one in wanted:
            one_pass([one])

    plans = [times(n) for n in range(rounds)]
    one_pass(plans[0])
    a, b = [], []
    for number, plan in enumerate(plans):
        first, second = functools.partial(separate, plan), functools.partial(one_pass, plan)
        x, y = alternate(lambda first=first: seconds(first), lambda second=second: seconds(second), 1, number)
        a, b = a + x, b + y
    shown("four separate decodes", a)
    shown("one pass", b)
    return path, plans, a, b


def _others(video: Path) -> dict[str, Callable[[Path, list[list[float]]], object]]:
    """Other decoders that are installed (extra `bench`), each reading all frames in one call."""
    found: dict[str, Callable[[Path, list[list[float]]], object]] = {}
    try:
        from torchcodec.decoders import VideoDecoder

        def torchcodec(path: Path, wanted: list[list[float]]) -> object:
            return VideoDecoder(str(path), num_ffmpeg_threads=1).get_frames_played_at(sorted(t for one in wanted for t in one))

        torchcodec(video, [[0.0]])
        found["torchcodec"] = torchcodec
    except (ImportError, RuntimeError, OSError) as error:  # it needs FFmpeg's libraries and says so at the first video
        print(f"  torchcodec cannot be measured: {str(error).splitlines()[0]}")
    try:
        import decord

        def with_decord(path: Path, wanted: list[list[float]]) -> object:
            reader = decord.VideoReader(str(path), num_threads=1)
            return reader.get_batch([min(round(t * 30), len(reader) - 1) for one in wanted for t in one])

        found["decord"] = with_decord
    except ImportError as error:
        print(f"  decord cannot be measured: {error}")
    return found


def _reader(folder: Path, videos: int) -> TrainReader:
    for number in range(videos):
        write_video(folder / f"{number:03d}.mp4", 300, 340, 256, 250, number)
    manifest = load_manifest(str(folder), "folder", None)
    return TrainReader((manifest,), Order([videos]), CLIP, 0)


def _clips_per_s(batches, warm: int) -> tuple[float, float]:
    """(steady clips/s after `warm` batches, seconds to the first batch)."""
    started = time.perf_counter()
    first = steady_from = 0.0
    count = 0
    for number, batch in enumerate(batches):
        if number == 0:
            first = time.perf_counter() - started
        if number == warm:
            steady_from = time.perf_counter()
        elif number > warm:
            count += len(batch)
    return count / (time.perf_counter() - steady_from), first


def _numbers(total: int) -> list[range]:
    return [range(first, first + MICRO) for first in range(0, total - MICRO + 1, MICRO)]


def _ray_batches(reader: TrainReader, total: int):
    from pipelines.common.decoding import decoded_dataset
    from pipelines.common.decoding import micro_batches as read
    from pipelines.common.ray_ledger import start_ledger

    run = RunSection(decoders=2)
    return read(decoded_dataset(reader, _numbers(total), 1, run, start_ledger()))


def decode(total: int = 320, rounds: int = 5) -> list[Ratio]:
    """Steady clips/s of 2 Ray decoders / 2 DataLoader processes with the same reader, after the first 64 clips."""
    from pipelines.common.cluster import ensure_ray

    ensure_ray(RunSection(decoders=2))
    with tempfile.TemporaryDirectory() as folder:
        reader = _reader(Path(folder), 16)
        warm = 64 // MICRO

        def ray_side() -> float:
            return _clips_per_s(_ray_batches(reader, total), warm)[0]

        def loader_side() -> float:
            numbers = _numbers(total)
            return _clips_per_s(LocalLoader(reader, None, 2).batches(numbers), warm)[0]

        ray_side(), loader_side()
        a, b = alternate(ray_side, loader_side, rounds)
    shown("Ray Data, 2 decoders, steady", a, "clips/s")
    shown("DataLoader, 2 processes, steady", b, "clips/s")
    return [ratio("decode", a, b, ">= 0.95")]


def decode_whole(total: int = 1000, rounds: int = 3) -> list[Ratio]:
    """1,000 clips with the time to the first batch: seconds of the DataLoader / of Ray."""
    from pipelines.common.cluster import ensure_ray

    ensure_ray(RunSection(decoders=2))
    with tempfile.TemporaryDirectory() as folder:
        reader = _reader(Path(folder), 16)

        def ray_side() -> float:
            return seconds(lambda: sum(len(batch) for batch in _ray_batches(reader, total)))

        def loader_side() -> float:
            numbers = _numbers(total)
            return seconds(lambda: sum(len(batch) for batch in LocalLoader(reader, None, 2).batches(numbers)))

        ray_side()
        a, b = alternate(loader_side, ray_side, rounds)
    shown("DataLoader, 2 processes, whole", a)
    shown("Ray Data, 2 decoders, whole", b)
    return [ratio("decode_whole", a, b, ">= 0.85")]


def store(total: int = 160) -> list[Ratio]:
    """Bytes in the object store per clip / T*H*W*3, and the peak share of the store with a slow consumer."""
    import re

    import ray
    from ray._private.internal_api import memory_summary  # there is no public reading of the store's use

    from pipelines.common.cluster import ensure_ray

    ensure_ray(RunSection(decoders=2))
    capacity = ray.cluster_resources()["object_store_memory"]
    with tempfile.TemporaryDirectory() as folder:
        reader = _reader(Path(folder), 8)
        used = []
        for _ in _ray_batches(reader, total):
            time.sleep(0.1)
            found = re.search(r"Plasma memory usage (\d+) MiB", memory_summary(stats_only=True))
            used.append(int(found[1]) * 2**20 if found else 0)
        from pipelines.common.decoding import decoded_dataset
        from pipelines.common.ray_ledger import start_ledger

        held = decoded_dataset(reader, _numbers(32), 1, RunSection(decoders=2), start_ledger()).materialize()
        per_clip = held.size_bytes() / 32
    pixels = CLIP.num_frames * CLIP.size**2 * 3
    share = max(used, default=0) / capacity
    print(f"  bytes per clip {per_clip:.0f}, pixels {pixels}; peak {100 * share:.1f} % of a store of {capacity / 1e6:.0f} MB")
    value = per_clip / pixels
    return [Ratio("store", value, value, value, "<= 1.1"), Ratio("store_peak", share, share, share, "< 0.4")]
