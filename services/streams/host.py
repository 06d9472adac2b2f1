"""The replicas that hold streams: each stream on one of them, found by consistent hashing of its id."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
import weakref
from pathlib import Path
from typing import Any

from ray import serve
from ray.serve.config import RequestRouterConfig

from services.catalogue import ServedInfo, info_of, input_of
from services.decoding.deployment import computed
from services.gateway.backend import ServeBackend
from services.gateway.spool import Spool
from services.problems import Problem, problem_of
from services.settings import ServiceSettings
from services.streams.journal import Journal
from services.streams.session import Session, StreamSettings
from vidmodels.core.errors import VidmodelsError
from vidmodels.data.nursery import Nursery
from vidmodels.inference.reading import HANDLER, read_frames, read_picture

log = logging.getLogger(__name__)

LOOK_S = 5.0


class StreamHost:
    """Holds sessions in memory, and restores those that another replica had. Every answer is a value or a Problem."""

    def __init__(self, settings: ServiceSettings, keeper: Any) -> None:
        self._settings = settings
        self._models = ServeBackend(keeper, None)
        spool = Spool(settings.spool)
        spool.open()
        self._spool = spool.folder
        self._sessions: dict[str, Session] = {}
        # of ids that are being looked for, whoever asks: what nobody waits for any more is not kept
        self._opening: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()
        children = settings.decoder.children
        self._nursery = Nursery(HANDLER, children)
        self._videos = asyncio.Semaphore(max(1, children - 1))  # pictures of cameras shall not wait for whole videos
        self._nursery.start()
        self._task = asyncio.get_event_loop().create_task(self._drop_idle())

    async def create(
        self, stream_id: str, values: dict[str, Any], info: dict[str, Any], owner: str
    ) -> dict[str, Any] | Problem:
        """Begin a stream of a token (owner)."""
        try:
            if len(self._sessions) >= self._settings.streams.sessions:
                raise Problem("overloaded", "the service holds as many streams as it can: try again later", retry_after=5)
            owned = sum(1 for path in self._spool.glob("stream-*/owner-*") if path.name == f"owner-{owner}")
            if owned >= self._settings.streams.per_token:
                most = self._settings.streams.per_token
                raise Problem("too_many_requests", f"the token has {most} open streams, the limit: close one", retry_after=5)
            session = self._session(stream_id, values, info)
            session.journal.create({"settings": values, "info": info, "owner": owner})
            (session.journal.folder / f"owner-{owner}").touch()
            self._sessions[stream_id] = session
            return session.about()
        except VidmodelsError as error:
            return problem_of(error)
        except Problem as problem:
            return problem

    async def push(self, stream_id: str, owner: str, at: float, picture: str) -> list[dict[str, Any]] | Problem:
        """A picture file of a stream."""
        try:
            return await (await self._find(stream_id, owner)).push(at, Path(picture))
        except VidmodelsError as error:
            return problem_of(error)
        except Problem as problem:
            return problem

    async def push_video(self, stream_id: str, owner: str, at: float, video: str) -> dict[str, Any] | Problem:
        """A video file of a stream."""
        try:
            session = await self._find(stream_id, owner)
            async with self._videos:
                return await session.push_video(at, Path(video))
        except VidmodelsError as error:
            return problem_of(error)
        except Problem as problem:
            return problem

    async def results(self, stream_id: str, owner: str, after: int, wait_s: float) -> tuple[list, bool] | Problem:
        """What `Session.results` gives."""
        try:
            return await (await self._find(stream_id, owner)).results(after, wait_s)
        except Problem as problem:
            return problem

    async def close(self, stream_id: str, owner: str) -> dict[str, Any] | Problem:
        """End a stream."""
        try:
            session = await self._find(stream_id, owner)
        except Problem as problem:
            return problem
        session.close()
        self._sessions.pop(stream_id, None)
        return session.about()

    def pid(self) -> int:
        """The process of this replica, for tests that kill it."""
        return os.getpid()

    def check_health(self) -> None:
        if self._task.done():
            raise RuntimeError(f"idle streams are no longer dropped: {self._task.exception()!r}")

    async def _find(self, stream_id: str, owner: str) -> Session:
        """The session, restored where another replica had it. Another token's stream is as if it were not there."""
        lock = self._opening.setdefault(stream_id, asyncio.Lock())
        async with lock:
            session = self._sessions.get(stream_id)
            journal = Journal(self._spool, stream_id) if session is None else session.journal
            known = journal.settings()
            if known["owner"] != owner:
                raise Problem("unknown_stream", "there is no such stream: create one with POST /v1/streams")
            if session is None:
                session = self._session(stream_id, known["settings"], known["info"])
                try:
                    await session.restore()
                except (VidmodelsError, KeyError) as error:
                    session.close()
                    raise Problem(
                        "stream_lost", f"the stream was lost and cannot be restored ({error}): create a new one"
                    ) from None
                log.info("restored stream %s after %d frames", stream_id, session.frames)
                self._sessions[stream_id] = session
        return session

    def _session(self, stream_id: str, values: dict[str, Any], info: dict[str, Any]) -> Session:
        found = info_of(info)
        limits = self._settings.limits.of_media()

        async def read(path: Path):
            return await read_picture(self._nursery, str(path), "the frame", limits)

        def walk(path: Path):
            return read_frames(self._nursery, str(path), "the video", input_of(found).view_size, limits)

        async def compute(call: Any) -> tuple[Any, ServedInfo]:
            # a stream outlives versions: it is answered by the one that is served now
            now = (await self._models.table()).infos.get(found.name)
            if now is None or now.classes != found.classes or json.dumps(now.spec) != json.dumps(found.spec):
                raise Problem("stream_lost", "the model has gone, or has other classes or another input: create a new stream")
            return await computed(serve.get_app_handle(now.app), call), now

        journal, windows = Journal(self._spool, stream_id), self._settings.limits.windows
        return Session(StreamSettings(**values), found, journal, read, walk, compute, windows)

    async def _drop_idle(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            now = time.monotonic()
            for stream_id, session in list(self._sessions.items()):
                if now - session.used > self._settings.streams.idle_s:
                    session.close()
                    self._sessions.pop(stream_id, None)


def stream_deployment(settings: ServiceSettings, keeper: Any) -> serve.Application:
    """The deployment, whose requests with one session id reach one replica."""
    router = "ray.serve.experimental.consistent_hash_router:ConsistentHashRouter"
    deployment = serve.deployment(
        name="streams",
        num_replicas=settings.streams.replicas,
        max_ongoing_requests=4 * settings.streams.sessions,
        max_queued_requests=settings.streams.sessions,
        ray_actor_options={"num_cpus": 0.1},
        health_check_period_s=2,
        graceful_shutdown_timeout_s=10,
        request_router_config=RequestRouterConfig.model_validate(
            {"request_router_class": router, "request_router_kwargs": {"num_fallback_replicas": 0}}
        ),
    )
    return deployment(StreamHost).bind(settings, keeper)
