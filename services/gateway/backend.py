"""What the gateway has behind it: the protocol, and the deployments of Serve that fulfil it."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any, Protocol

from services.decoding.answers import Job
from services.models.keeper import Table, table_of
from services.problems import Problem

log = logging.getLogger(__name__)

TABLE_S = 1.0
"""How old the table of models may be."""


class Backend(Protocol):
    """Answers for the routes."""

    async def table(self) -> Table:
        """What is served now."""

    async def answer(self, job: Job) -> dict[str, Any]:
        """The result of a job. Raises Problem."""

    async def stream(self, method: str, stream_id: str, *arguments: Any) -> Any:
        """What `StreamHost.METHOD` of the replica that has this stream answers. Raises Problem."""


class ServeBackend:
    """Handles of the deployments. A job whose decoder dies is given to another one once: all jobs may be repeated."""

    def __init__(self, keeper: Any, decoder: Any, streams: Any = None) -> None:
        self._keeper, self._decoder, self._streams = keeper, decoder, streams
        self._table = Table()
        self._asked = -TABLE_S
        self._asking: asyncio.Task[None] | None = None

    async def table(self) -> Table:
        if time.monotonic() - self._asked >= TABLE_S and self._asking is None:
            self._asking = asyncio.ensure_future(self._ask())
        if self._asked < 0 and self._asking is not None:
            await asyncio.shield(self._asking)
        return self._table

    async def answer(self, job: Job) -> dict[str, Any]:
        from ray.exceptions import RayActorError
        from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError

        for attempt in (1, 2):
            try:
                found = await self._decoder.answer.remote(job)
            except BackPressureError:
                raise Problem(
                    "overloaded", "the decoders have as much work as they can hold: try again later", None, 1
                ) from None
            except (RayActorError, DeploymentUnavailableError):
                if attempt == 2:
                    raise Problem("overloaded", "the decoders were lost while they answered: try again", None, 1) from None
                continue
            if isinstance(found, Problem):
                raise found
            return found
        raise AssertionError

    async def stream(self, method: str, stream_id: str, *arguments: Any) -> Any:
        from ray.exceptions import RayActorError
        from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError

        handle = getattr(self._streams.options(session_id=stream_id), method)
        for attempt in (1, 2):
            try:
                found = await handle.remote(stream_id, *arguments)
            except BackPressureError:
                raise Problem("overloaded", "the streams' replicas have as much work as they can hold", None, 1) from None
            except (RayActorError, DeploymentUnavailableError):
                # what was asked of a replica that died may have been done: a frame that was taken is not taken twice
                if attempt == 2 or method == "create":
                    raise Problem("stream_lost", "the replica of the stream was lost: create a new one") from None
                continue
            if isinstance(found, Problem):
                raise found
            return found
        raise AssertionError

    async def _ask(self) -> None:
        from ray.exceptions import RayError

        try:
            # the first answer may have to wait for a keeper that is being replaced
            self._table = table_of(await asyncio.wait_for(self._keeper.table.remote(), 5 if self._table.ready else 30))
        except (RayError, TimeoutError) as error:  # the table that is known serves on
            log.warning("the keeper does not answer: %s", type(error).__name__)
        finally:
            self._asked, self._asking = time.monotonic(), None
