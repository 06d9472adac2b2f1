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

from services.catalogue import ServedInfo
from services.gateway.app import make_app
from services.models.keeper import Table
from services.problems import Problem
from services.settings import ServiceSettings
from services.tokens import TokenFile
from tests.pipelines.stores import wait_for
from vidmodels.core.entry import InputSpec

INFO = ServedInfo(
    "moves", "moves", "3", "models-moves-0", "slowfast_tiny", ("classify", "features", "explain"),
    dataclasses.asdict(InputSpec(16, 1, 32)), ("left", "right"), licence="Apache-2.0",
    tags={"checkpoint_sha256": "a" * 64, "dataset_digest": "d" * 64, "recipe_hash": "r" * 12, "code_version": "git:1"},
)  # fmt: skip


class FakeBackend:
    """Answers with the size of the video. slow: seconds of an answer; problem: raised instead."""

    def __init__(self) -> None:
        self.state = Table({"moves": INFO, "who": dataclasses.replace(INFO, name="who", answers=("detect-actions",))}, {}, True)
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
        return _explained(job) if job.task == "explain" else _classified(job)


def _classified(job) -> dict[str, Any]:
    def top(left: float) -> list[dict[str, Any]]:
        rows = [{"name": "left", "score": left}, {"name": "right", "score": 1 - left}]
        return sorted(rows, key=lambda row: -row["score"])

    scores = (0.95, 0.9, 0.4)
    return {
        "duration": 1.5, "fps": 16.0, "width": 96, "height": 64, "video": job.name, "model": "slowfast_tiny",
        "weights": job.info.label, "precision": "float32", "sound": None, "top": top(0.75), "classes": ["left", "right"],
        "scores": [0.75, 0.25],
        "windows": [
            {"start": number / 2, "end": number / 2 + 0.5, "top": top(left), "scores": [left, 1 - left]}
            for number, left in enumerate(scores)
        ],
    }  # fmt: skip


def _explained(job) -> dict[str, Any]:
    picture = "data:image/gif;base64,R0lGODlhAQABAIAAAP8AAP///yH5BAAAAAAALAAAAAABAAEAAAICRAEAOw=="
    frames = [{"time": number / 8, "image": picture, "heat": picture} for number in range(4)]
    window = {"start": 0.0, "end": 0.5, "class": "left", "score": 0.95, "frames": frames}
    return {
        "duration": 1.5, "fps": 16.0, "width": 96, "height": 64, "video": job.name, "model": "slowfast_tiny",
        "method": "grad-cam", "windows": [window],
    }  # fmt: skip


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
