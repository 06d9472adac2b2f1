"""Calls gathered into batches: those that come while a batch is computed are the next one.

Serve's own `batch` closes a batch before it waits for the one that is computed, so that calls which arrive a few milliseconds
apart stay alone for as long as the queue is full.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from services.models.served import Call

Compute = Callable[[Sequence[Call]], Iterable[tuple[int, Any]]]


class Batches:
    """Computes calls in one thread, so that the event loop stays free for health checks and further calls.

    compute: numbers of some calls and their answers, each of which is handed on as it comes; most: calls of a batch; wait_s:
    how long the first call waits for others while nothing is computed. A call that was cancelled before its batch began is
    left out.
    """

    def __init__(self, compute: Compute, most: int, wait_s: float = 0.0) -> None:
        self._compute, self._most, self._wait_s = compute, most, wait_s
        self._thread = ThreadPoolExecutor(1, "compute")
        self._waiting: deque[tuple[Call, asyncio.Future[Any]]] = deque()
        self._task: asyncio.Task[None] | None = None
        self.batches, self.calls = 0, 0

    async def answer(self, call: Call) -> Any:
        """The answer to a call. Raises what `compute` raised for its batch."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((call, future))
        if self._task is None:
            self._task = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        try:
            if self._wait_s:
                await asyncio.sleep(self._wait_s)
            while part := self._next():
                await self._one(part)
        finally:
            self._task = None

    def _next(self) -> list[tuple[Call, asyncio.Future[Any]]]:
        part: list[tuple[Call, asyncio.Future[Any]]] = []
        while self._waiting and len(part) < self._most:
            call, future = self._waiting.popleft()
            if not future.cancelled():
                part.append((call, future))
        return part

    async def _one(self, part: list[tuple[Call, asyncio.Future[Any]]]) -> None:
        self.batches, self.calls = self.batches + 1, self.calls + len(part)
        loop = asyncio.get_running_loop()

        def work() -> None:
            for number, answer in self._compute([call for call, _ in part]):
                loop.call_soon_threadsafe(_settle, part[number][1], answer)

        try:
            await loop.run_in_executor(self._thread, work)
        except Exception as error:
            for _, future in part:
                if not future.done():
                    future.set_exception(error)


def _settle(future: asyncio.Future[Any], answer: Any) -> None:
    if not future.done():  # nobody waits for it any more
        future.set_result(answer)
