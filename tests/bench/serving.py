"""The services against what they are made of: an empty request, one upload, saturation, the memory of a replica."""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.bench.harness import Figure, Ratio, alternate, ratio, seconds, shown

if TYPE_CHECKING:
    import httpx

CLIENTS = 16
BARE = """
import json, sys
import torch
torch.set_num_threads(1)
from vidmodels import Predictor
from tests.services.lab import pss
predictor = Predictor(sys.argv[1])
predictor.predict(sys.argv[2], num_clips=1)
import os
print(json.dumps(pss(os.getpid())))
"""


def serve_noop(requests: int = 500) -> list[Figure]:
    """Milliseconds of a request without media to a model that computes nothing, one at a time over one connection."""
    import httpx
    from ray import serve

    from tests.pipelines.stores import free_port
    from tests.services import noop
    from tests.services.load import quantile

    with _ray() as folder:
        port = free_port()
        headers = noop.start(folder, port)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers) as client:

                def ask() -> float:
                    return 1000 * seconds(lambda: client.post("/v1/noop").raise_for_status())

                for _ in range(50):
                    ask()
                found = [ask() for _ in range(requests)]
        finally:
            serve.shutdown()
    shown("request without media", found, "ms")
    return [
        Figure("serve_noop_p50", quantile(found, 0.5), "ms", "<= 25 ms"),
        Figure("serve_noop_p99", quantile(found, 0.99), "ms", "<= 80 ms"),
    ]


def serve_upload(rounds: int = 40) -> list[Figure]:
    """Milliseconds by which an upload is answered later than a call of the predictor on the same file, one thread each."""
    import httpx
    import torch

    from vidmodels import Predictor

    torch.set_num_threads(1)
    with _service("slowfast_tiny") as lab, httpx.Client(base_url=lab.url, headers=lab.headers, timeout=60) as client:
        predictor = Predictor(str(lab.weights(0)))
        video = _clip(lab.folder, 320, 240)

        def bare() -> float:
            return 1000 * seconds(lambda: predictor.predict(str(video), num_clips=1))

        def served() -> float:
            return 1000 * seconds(lambda: upload(client, video))

        for _ in range(5):
            bare(), served()
        answered, alone = alternate(served, bare, rounds)
    shown("upload, answered over HTTP", answered, "ms")
    shown("decode and forward in this process", alone, "ms")
    extra = statistics.median(answered) - statistics.median(alone)
    return [Figure("serve_upload_extra", extra, "ms", "<= 40 ms")]


def upload(client: httpx.Client, video: Path) -> None:
    with open(video, "rb") as stream:
        files = {"video": ("clip.mp4", stream, "video/mp4")}
        client.post("/v1/classify", data={"model": "moves", "num_clips": "1"}, files=files).raise_for_status()


def serve_saturation(model: str = "c2d_r50", span: float = 40.0, rounds: int = 2) -> list[Figure | Ratio]:
    """Videos a second with as many clients as make batches, against decoding them and one batched forward pass, one thread.

    The service decodes in one process while another one computes, so that it may well be above 1.
    """
    import torch

    from tests.services.load import Load

    torch.set_num_threads(1)
    with _service(model) as lab:
        video = _clip(lab.folder, 320, 256)
        bare = _bare(lab.weights(0), video)
        load = Load(lab, video.read_bytes(), clients=CLIENTS)
        load.run(10)  # the first batches are small
        before, rates, alone = _counts(lab), [], []
        for _ in range(rounds):
            load = Load(lab, video.read_bytes(), clients=CLIENTS).run(span)
            assert not load.failed, load.failed[:3]
            rates.append(len(load.good) / max(shot.at + shot.seconds for shot in load.good))
            alone.append(bare())
        after = _counts(lab)
    shown(f"{CLIENTS} clients of the service", rates, "videos/s")
    shown("decoding and batches of 16 in this process", alone, "videos/s")
    mean = (after["calls"] - before["calls"]) / max(after["batches"] - before["batches"], 1)
    return [ratio("serve_saturation", rates, alone, ">= 0.85"), Figure("serve_saturation_batch", mean, "clips", ">= 4")]


def _bare(weights: Path, video: Path) -> Any:
    """Videos a second of a predictor that decodes sixteen and computes them at once."""
    import numpy as np

    from vidmodels import Predictor
    from vidmodels.inference.windows import read_clips, view_spans

    predictor = Predictor(str(weights), batch_size=CLIENTS)

    def one() -> np.ndarray:
        with predictor._open(video) as reader:
            return next(iter(read_clips(reader, view_spans(reader.info, predictor.spec, 1), predictor.spec, 1, 1)))[1]

    single = seconds(lambda: predictor.scores(one()))
    print(f"  one clip: {1000 * seconds(lambda: predictor.scores(one())):.0f} ms ({1000 * single:.0f} the first time)")

    def rate() -> float:
        return CLIENTS / seconds(lambda: predictor.scores(np.concatenate([one() for _ in range(CLIENTS)])))

    return rate


def serve_memory(model: str = "slowfast_r50") -> list[Figure]:
    """Megabytes (PSS) of a replica beyond those of a process that holds torch and the same model and has answered once."""
    from tests.services.lab import ROOT, pss, replicas

    with _service(model) as lab:
        video = _clip(lab.folder, 320, 240)
        for _ in range(3):
            lab.ask(video=video, num_clips="1").raise_for_status()
        (pid,) = replicas(":models")
        served = pss(pid)
        words = [sys.executable, "-c", BARE, str(lab.weights(0)), str(video)]
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
        alone = float(json.loads(done.stdout))
    shown("replica", [served], "MB")
    shown("bare process", [alone], "MB")
    return [Figure("serve_memory_extra", served - alone, "MB", "<= 300 MB")]


def _counts(lab: Any) -> dict[str, int]:
    """Batches and calls of the model's replica."""
    from ray import serve

    (app,) = [name for name in serve.status().applications if name.startswith("models-")]
    return serve.get_app_handle(app).counts.remote().result(timeout_s=60)


def _clip(folder: Path, width: int, height: int) -> Path:
    """Two seconds of video."""
    from tests.data.videos import write

    return write(folder / "two-seconds.mp4", count=66, fps=30, size=(height, width))


@contextlib.contextmanager
def _service(model: str) -> Iterator[Any]:
    from tests.services.lab import Lab

    with _ray() as folder:
        lab = Lab(folder, model)
        lab.start()
        try:
            yield lab
        finally:
            lab.stop()


@contextlib.contextmanager
def _ray() -> Iterator[Path]:
    """A Ray for one measurement, and a folder."""
    import ray

    from tests.services.lab import start_ray

    with tempfile.TemporaryDirectory() as folder:
        start_ray()
        try:
            yield Path(folder)
        finally:
            ray.shutdown()
