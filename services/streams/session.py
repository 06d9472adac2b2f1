"""One stream: frames that are pushed, the windows that they complete, and the model's answers in their order."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from services.catalogue import ServedInfo, input_of
from services.models.served import Call
from services.streams.journal import Journal
from vidmodels.core.label_sets import classes_of
from vidmodels.inference.frame_stream import FrameStream, FrameWindow
from vidmodels.tasks.results import ClassifyResult, Window

KEPT_RESULTS = 512
"""Answers that wait for a reader; older ones are dropped, and the reader is told how many."""


@dataclass(frozen=True)
class StreamSettings:
    """What a stream was created with. fps: of the source; stride: seconds from window to window, None end to end."""

    model: str
    fps: float = 30.0
    stride: float | None = None
    top: int = 5


class Session:
    """The state of a stream on its replica.

    read: decodes a picture file in a sandbox; compute: asks the model's replica, and says which version answered.
    """

    def __init__(
        self,
        settings: StreamSettings,
        info: ServedInfo,
        journal: Journal,
        read: Callable[[Path], Awaitable[np.ndarray]],
        compute: Callable[[Call], Awaitable[tuple[Any, ServedInfo]]],
    ) -> None:
        self.settings, self.info, self.journal = settings, info, journal
        self._read, self._compute = read, compute
        self._stream = FrameStream(input_of(info), settings.fps, settings.stride)
        self._classes = classes_of(info.classes, info.label_sets)
        self._results: deque[dict[str, Any]] = deque(maxlen=KEPT_RESULTS)
        self._more = asyncio.Event()
        self._turn = asyncio.Lock()  # frames of a stream are taken one after the other
        self.frames = 0
        self.used = time.monotonic()
        self.closed = False

    async def restore(self) -> None:
        """Go on where the journal ends: the same windows as without the death of a replica."""
        state, kept = self.journal.load()
        if state is None:
            return
        frames = []
        for at, path in kept:
            small = FrameStream(self._stream.spec, self.settings.fps)
            small.push(at, await self._read(path))
            frames += small.frames
        self._stream.restore(state["number"], state["origin"], frames)
        self.frames = state["frames"]

    async def push(self, at: float, picture: Path) -> list[dict[str, Any]]:
        """Take a picture at a time in seconds; the answers that it leads to. Raises VidmodelsError, and Problem."""
        async with self._turn:
            self.used = time.monotonic()
            if at == self._stream.newest:
                return []  # asked again after the death of a replica that had taken it
            stream = self._stream
            before = (stream.number, stream.origin, stream.frames)
            windows = stream.push(at, await self._read(picture))
            try:
                answers = [await self._answer(window) for window in windows]
            except BaseException:
                stream.restore(*before)  # as if it had not come, so that it may be pushed again
                raise
            self.frames += 1
            self.journal.add(at, picture)
            state = {"number": self._stream.number, "origin": self._stream.origin, "frames": self.frames}
            self.journal.progress(state, self._stream.frames[0][0])
        for answer in answers:
            self._results.append(answer)
        if answers:
            self._wake()
        return answers

    async def results(self, after: int, wait_s: float) -> tuple[list[dict[str, Any]], bool]:
        """Answers with a number above `after`, waiting for the first at most so long; and whether the stream has ended."""
        self.used = time.monotonic()
        found = [row for row in self._results if row["number"] > after]
        if not found and not self.closed:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._more.wait(), wait_s)
            found = [row for row in self._results if row["number"] > after]
        return found, self.closed

    def about(self) -> dict[str, Any]:
        """Seconds of a window and from one to the next; frames and windows so far."""
        stream = self._stream
        return {"window": stream.length, "hop": stream.hop, "frames": self.frames, "windows": stream.number}

    def close(self) -> None:
        """End it: readers get what is left, and nothing stays behind."""
        self.closed = True
        self.journal.remove()
        self._wake()

    async def _answer(self, window: FrameWindow) -> dict[str, Any]:
        started = time.monotonic()
        rows, info = await self._compute(Call(self.info.name, "scores", window.clip[None]))
        if isinstance(rows, Exception):
            raise rows
        span = Window(window.start, window.end, rows.values[0])
        result = ClassifyResult("stream", self._classes, span.scores, (span,), info.entry, info.label)
        (row,) = result.to_dict(self.settings.top)["windows"]
        return {"number": window.number, **row, "version": info.label, "ms": round(1000 * (time.monotonic() - started), 1)}

    def _wake(self) -> None:
        self._more.set()
        self._more = asyncio.Event()
