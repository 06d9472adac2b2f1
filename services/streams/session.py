"""One stream: frames that are pushed, the windows that they complete, and the model's answers in their order."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from services.catalogue import ServedInfo, input_of
from services.models.served import Call
from services.problems import Problem
from services.streams.journal import Journal
from vidmodels.core.label_sets import classes_of
from vidmodels.data.probe import VideoInfo
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

    read: decodes a picture file in a sandbox; walk: the header of a video file, then its frames as the model takes them, in
    groups; compute: asks the model's replica, and says which version answered; windows: the most of one video.
    """

    def __init__(
        self,
        settings: StreamSettings,
        info: ServedInfo,
        journal: Journal,
        read: Callable[[Path], Awaitable[np.ndarray]],
        walk: Callable[[Path], AsyncGenerator[VideoInfo | list[tuple[float, np.ndarray]], None]],
        compute: Callable[[Call], Awaitable[tuple[Any, ServedInfo]]],
        windows: int = 1200,
    ) -> None:
        self.settings, self.info, self.journal = settings, info, journal
        self._read, self._walk, self._compute, self._most = read, walk, compute, windows
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
            answers = await self._take(at, await self._read(picture))
            self.journal.add(at, picture)
            self._note()
        return answers

    async def push_video(self, at: float, video: Path) -> dict[str, Any]:
        """Take the frames of a video that begins at a time in seconds; the answers, and how many frames were taken and skipped.

        Frames that are not newer than what the stream has are skipped, so that a video which was taken in part may be pushed
        again. What was taken before an error stays. Raises VidmodelsError, and Problem.
        """
        answers: list[dict[str, Any]] = []
        taken = skipped = 0
        async with self._turn:
            try:
                async with contextlib.aclosing(self._walk(video)) as parts:
                    async for part in parts:
                        if isinstance(part, VideoInfo):
                            self._check_length(part)
                            continue
                        for time, frame in part:
                            if at + time <= self._stream.newest:
                                skipped += 1
                                continue
                            answers += await self._patiently(at + time, frame)
                            taken += 1
            finally:
                if taken:
                    self.journal.add_frames(self._stream.frames)
                    self._note()
        return {"results": answers, "frames": taken, "skipped": skipped}

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

    def _check_length(self, video: VideoInfo) -> None:
        if video.duration / self._stream.hop > self._most:
            message = f"the video has more than {self._most} windows, the limit: push less at once, or take a larger stride"
            raise Problem("media_limit", message)

    async def _patiently(self, at: float, frame: np.ndarray) -> list[dict[str, Any]]:
        """Take a frame, waiting for a model that has too much to do: whoever pushed the video has a deadline."""
        while True:
            try:
                return await self._take(at, frame)
            except Problem as problem:
                if problem.code != "overloaded":
                    raise
                await asyncio.sleep(problem.retry_after or 1)

    async def _take(self, at: float, frame: np.ndarray) -> list[dict[str, Any]]:
        """The answers that a frame leads to; where they cannot be had, it is as if the frame had not come."""
        self.used = time.monotonic()
        stream = self._stream
        before = (stream.number, stream.origin, stream.frames)
        try:
            answers = [await self._answer(window) for window in stream.push(at, frame)]
        except BaseException:
            stream.restore(*before)
            raise
        self.frames += 1
        self._results.extend(answers)
        if answers:
            self._wake()
        return answers

    def _note(self) -> None:
        """Tell the journal how far the stream came."""
        stream = self._stream
        self.journal.progress({"number": stream.number, "origin": stream.origin, "frames": self.frames}, stream.frames[0][0])

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
