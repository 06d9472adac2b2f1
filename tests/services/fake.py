"""A backend without Serve, models and decoders: what tests of the routes talk to."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from services.catalogue import ServedInfo
from services.gateway.app import make_app
from services.models.keeper import Table
from services.problems import Problem
from services.settings import ServiceSettings
from services.tokens import TokenFile
from tests.pipelines.stores import wait_for
from vidmodels.core.entry import InputSpec
from vidmodels.data.keyframes import BoxRow, KeyFrames
from vidmodels.inference.moments import FrameActions, chosen_keys, gather
from vidmodels.ops.linking import Linker
from vidmodels.tasks.action_results import GAP, ActionsResult

INFO = ServedInfo(
    "moves", "moves", "3", "models-moves-0", "slowfast_tiny", ("classify", "features", "explain"),
    dataclasses.asdict(InputSpec(16, 1, 32)), ("left", "right"), licence="Apache-2.0",
    tags={"checkpoint_sha256": "a" * 64, "dataset_digest": "d" * 64, "recipe_hash": "r" * 12, "code_version": "git:1"},
)  # fmt: skip


WHO = dataclasses.replace(INFO, name="who", answers=("detect-actions",))
HEADER = {"duration": 1.5, "fps": 16.0, "width": 96, "height": 64}
"""The video of all answers."""
WINDOW = 4
"""Frames of a stream for each of its answers."""


@dataclasses.dataclass
class FakeStream:
    """A stream. frames: the times and the pictures that came."""

    owner: str
    settings: dict[str, Any]
    info: dict[str, Any]
    frames: list[tuple[float, bytes]] = dataclasses.field(default_factory=list)
    closed: bool = False


class FakeBackend:
    """Answers for a video of `header`. slow: seconds of an answer; problem: raised instead.

    streams: by their ids; broken: what the next frames of a stream meet instead of an answer, one after the other.
    """

    def __init__(self) -> None:
        self.state = Table({"moves": INFO, "who": WHO}, {}, True)
        self.header = HEADER
        self.streams: dict[str, FakeStream] = {}
        self.broken: list[Exception] = []
        self.jobs: list[Any] = []
        self.sizes: list[int] = []
        self.slow = 0.0
        self.problem: Problem | None = None
        self.cancelled = 0

    async def table(self) -> Table:
        return self.state

    async def answer(self, job) -> dict[str, Any]:
        self.jobs.append(job)
        self.sizes.append(Path(job.path).stat().st_size)
        try:
            await asyncio.sleep(self.slow)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.problem is not None:
            raise self.problem
        if job.task == "detect-actions":
            return _acted(job, self.header)
        answers = {"classify": _classified, "explain": _explained, "features": _embedded}
        return {**answers[job.task](job), **self.header}

    async def stream(self, method: str, stream_id: str, *arguments: Any) -> Any:
        if method == "create":
            values, info, owner = arguments
            self.streams[stream_id] = FakeStream(owner, values, info)
            return self._about(self.streams[stream_id])
        stream = self.streams.get(stream_id)
        if stream is None or stream.closed or stream.owner != arguments[0]:
            raise Problem("unknown_stream", "there is no such stream: create one with POST /v1/streams")
        if method == "push":
            await asyncio.sleep(self.slow)
            return self._pushed(stream, *arguments[1:])
        if method == "push_video":
            at, video = arguments[1:]
            return {"results": self._pushed(stream, at, video), "frames": 1, "skipped": 0}
        if method == "results":
            return [], False
        stream.closed = True
        return self._about(stream)

    def _pushed(self, stream: FakeStream, at: float, picture: str) -> list[dict[str, Any]]:
        if self.broken:
            raise self.broken.pop(0)
        stream.frames.append((at, Path(picture).read_bytes()))
        if len(stream.frames) % WINDOW:
            return []
        number = len(stream.frames) // WINDOW - 1
        left = (0.9, 0.75, 0.2)[number % 3]
        start = round(stream.frames[-WINDOW][0], 6)
        row = {"start": start, "end": round(at, 6), "top": _top(left), "scores": [left, 1 - left]}
        return [{"number": number, **row, "version": "moves/3", "ms": 12.5}]

    def _about(self, stream: FakeStream) -> dict[str, Any]:
        spec, fps = stream.info["spec"], stream.settings["fps"]
        length = spec["num_frames"] * spec["frame_stride"] / (spec["fps"] or fps)
        hop = stream.settings["stride"] or length
        return {"window": length, "hop": hop, "frames": len(stream.frames), "windows": len(stream.frames) // WINDOW}


def _top(left: float) -> list[dict[str, Any]]:
    rows = [{"name": "left", "score": left}, {"name": "right", "score": 1 - left}]
    return sorted(rows, key=lambda row: -row["score"])


def _classified(job) -> dict[str, Any]:
    scores = (0.95, 0.9, 0.4)
    return {
        "video": job.name, "model": "slowfast_tiny", "weights": job.info.label, "precision": "float32", "sound": None,
        "top": _top(0.75), "classes": ["left", "right"], "scores": [0.75, 0.25],
        "windows": [
            {"start": number / 2, "end": number / 2 + 0.5, "top": _top(left), "scores": [left, 1 - left]}
            for number, left in enumerate(scores)
        ],
    }  # fmt: skip


def _embedded(job) -> dict[str, Any]:
    return {"video": job.name, "model": "slowfast_tiny", "embeddings": [{"start": 0.0, "end": 0.5, "vector": [0.5, -0.25]}]}


def _explained(job) -> dict[str, Any]:
    picture = "data:image/gif;base64,R0lGODlhAQABAIAAAP8AAP///yH5BAAAAAAALAAAAAABAAEAAAICRAEAOw=="
    frames = [{"time": number / 8, "image": picture, "heat": picture} for number in range(4)]
    window = {"start": 0.0, "end": 0.5, "class": "left", "score": 0.95, "frames": frames}
    return {"video": job.name, "model": "slowfast_tiny", "method": "grad-cam", "windows": [window]}


def _acted(job, header: dict[str, Any]) -> dict[str, Any]:
    """People linked as a decoder does; person number n has the score 0.9 - n / 10 of the n-th class."""
    options, names = job.options, job.info.classes
    rows = [BoxRow(job.name, box.time, (box.x1, box.y1, box.x2, box.y2), person=box.person) for box in options.boxes]
    table = KeyFrames.from_rows(rows, "boxes")
    keys, step = chosen_keys([time for _, time in table.frames], options.step)
    linker, moments = Linker(max_gap=GAP * step), []
    for frame in table:
        numbers = tuple(linker.add(frame.time, frame.boxes))
        scores = np.full((len(numbers), len(names)), 0.1, np.float32)
        scores[range(len(numbers)), [(number - 1) % len(names) for number in numbers]] = [0.9 - n / 10 for n in numbers]
        moments.append(FrameActions(frame.time, frame.boxes, numbers, scores if frame.time in keys else None))
    sizes = (header[key] for key in ("duration", "width", "height"))
    found = ActionsResult(job.name, *sizes, step, names, gather(moments), job.info.entry, job.info.label, job.info.precision)
    return {"fps": header["fps"], **found.to_dict(options.top, options.threshold)}


@dataclasses.dataclass
class Service:
    """A gateway over a fake backend. folder: where its spool and tokens lie; token: one that may call."""

    backend: FakeBackend
    settings: ServiceSettings
    tokens: TokenFile
    token: str
    app: Any

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    @contextlib.asynccontextmanager
    async def client(self, token: bool = True) -> AsyncIterator[httpx.AsyncClient]:
        """Talks to the application without a socket, as whoever has the token."""
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        headers = self.headers if token else {}
        async with httpx.AsyncClient(transport=transport, base_url="http://service", headers=headers) as client:
            yield client

    def spooled(self) -> list[Path]:
        return list(Path(str(self.settings.spool)).glob("up-*"))


@contextlib.contextmanager
def listening(service: Service) -> Iterator[str]:
    """The address of a server of the application in a thread of this process."""
    import uvicorn

    server = uvicorn.Server(uvicorn.Config(service.app, host="127.0.0.1", port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_for(lambda: server.started, 30)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)


def make_service(folder: Path, **settings: Any) -> Service:
    backend = FakeBackend()
    found = ServiceSettings.model_validate({"spool": str(folder / "spool"), "spool_free_mb": 0, **settings})
    tokens = TokenFile(folder / "tokens.json")
    token, _ = tokens.create("tests", per_minute=100_000, concurrent=1000)
    return Service(backend, found, tokens, token, make_app(backend, found, tokens))
