"""Requests to a service for a while, from clients that each wait for their answer or at a steady rate."""

from __future__ import annotations

import asyncio
import statistics
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.services.lab import Lab


@dataclass(frozen=True)
class Shot:
    """One request. at: seconds after the load began; seconds: until its answer; status: 0 where none came, with why."""

    at: float
    seconds: float
    status: int
    version: str = ""
    retry_after: str = ""
    why: str = ""


@dataclass
class Load:
    """Posts one video again and again, as a context in a thread or for `seconds` by `run`.

    clients: as many wait for their answers and ask again; rate: requests a second whatever comes back, instead.
    """

    lab: Lab
    content: bytes
    clients: int = 1
    rate: float = 0.0
    query: str = "model=moves&num_clips=1"
    shots: list[Shot] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._go()), daemon=True)

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join(120)
        assert not self._thread.is_alive(), "a request has no end"

    def run(self, seconds: float) -> Load:
        with self:
            time.sleep(seconds)
        return self

    @property
    def good(self) -> list[Shot]:
        return [shot for shot in self.shots if shot.status == 200]

    @property
    def refused(self) -> list[Shot]:
        return [shot for shot in self.shots if shot.status == 503]

    @property
    def failed(self) -> list[Shot]:
        """Neither answered nor refused."""
        return [shot for shot in self.shots if shot.status not in (200, 503)]

    def per_second(self, seconds: float) -> float:
        """Answers a second of those that came within the load's first seconds; others were on their way when it ended."""
        return sum(shot.at + shot.seconds <= seconds for shot in self.good) / seconds

    @property
    def versions(self) -> list[str]:
        return [shot.version for shot in self.good]

    async def _go(self) -> None:
        headers = {**self.lab.headers, "content-type": "video/mp4"}
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=64)
        begun = time.monotonic()
        async with httpx.AsyncClient(timeout=90, headers=headers, limits=limits) as client:
            if self.rate:
                await self._steadily(client, begun)
            else:
                await asyncio.gather(*(self._repeatedly(client, begun) for _ in range(self.clients)))

    async def _repeatedly(self, client: httpx.AsyncClient, begun: float) -> None:
        while not self._stop.is_set():
            await self._shoot(client, begun)

    async def _steadily(self, client: httpx.AsyncClient, begun: float) -> None:
        running: set[asyncio.Task[Any]] = set()
        number = 0
        while not self._stop.is_set():
            task = asyncio.create_task(self._shoot(client, begun))
            running.add(task)
            task.add_done_callback(running.discard)
            number += 1
            await asyncio.sleep(max(begun + number / self.rate - time.monotonic(), 0))
        await asyncio.gather(*running)

    async def _shoot(self, client: httpx.AsyncClient, begun: float) -> None:
        at = time.monotonic()
        version = retry_after = why = ""
        try:
            response = await client.post(f"{self.lab.url}/v1/classify?{self.query}", content=self.content)
            status, version = response.status_code, response.headers.get("x-model-version", "")
            retry_after = response.headers.get("retry-after", "")
            why = "" if status == 200 else response.text[:300]
        except httpx.HTTPError as error:
            status, why = 0, f"{type(error).__name__}: {error}"
        self.shots.append(Shot(at - begun, time.monotonic() - at, status, version, retry_after, why))


def quantile(values: list[float], share: float) -> float:
    """The value that this share of them does not exceed."""
    return statistics.quantiles(values, n=1000, method="inclusive")[round(1000 * share) - 1] if len(values) > 1 else values[0]
