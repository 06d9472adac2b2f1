"""The outermost layer of the gateway: request ids, tokens, deadlines, errors as answers, the log, numbers for Prometheus."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import re
import secrets
import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.gateway.access import Access, is_open
from services.problems import Problem
from services.settings import LimitSection

log = logging.getLogger("services.requests")

SECURITY = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "content-security-policy": (
        "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; style-src 'self'; frame-ancestors 'none'"
    ),
}
SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    """What `/metrics` shows of this gateway."""

    def __init__(self) -> None:
        self.registry = where = CollectorRegistry()
        self.requests = Counter("vidmodels_requests_total", "Requests", ["route", "status"], registry=where)
        self.seconds = Histogram("vidmodels_request_seconds", "Their seconds", ["route"], registry=where, buckets=SECONDS)
        self.ongoing = Gauge("vidmodels_requests_ongoing", "Requests that are being answered", registry=where)
        self.bytes = Counter("vidmodels_upload_bytes_total", "Bytes of uploads", registry=where)


class Gate:
    """ASGI middleware around the routes. Everything that leaves it has a request id; problems leave as JSON.

    most: requests at the same time. proxied: something in front adds the request's id to answers (Serve's proxy does). The
    log has no content, no addresses with their queries and no tokens.
    """

    def __init__(
        self, app: ASGIApp, access: Access, limits: LimitSection, most: int, metrics: Metrics, proxied: bool = False
    ) -> None:
        self._app, self._access, self._limits, self._most, self._metrics = app, access, limits, most, metrics
        self._ongoing, self._proxied = 0, proxied

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        request_id = _request_id(connection.headers.get("x-request-id", ""))
        answer = _Answer(send, request_id, scope["type"], self._proxied)
        scope.setdefault("state", {})["request_id"] = request_id
        started = time.monotonic()
        self._ongoing += 1
        self._metrics.ongoing.set(self._ongoing)
        try:
            await self._guarded(scope, receive, answer, connection)
        except Problem as problem:
            await answer.problem(problem, scope, receive)
        except Exception:
            log.exception("request %s failed", request_id)
            await answer.problem(Problem("internal", "the service failed; the request id finds it in the log"), scope, receive)
        finally:
            self._ongoing -= 1
            self._metrics.ongoing.set(self._ongoing)
            self._note(scope, request_id, answer.status, time.monotonic() - started)

    async def _guarded(self, scope: Scope, receive: Receive, answer: _Answer, connection: HTTPConnection) -> None:
        if is_open(scope["path"]) or (scope["type"] == "http" and scope["method"] == "OPTIONS"):
            await self._app(scope, receive, answer)
            return
        token = self._access.token_of(connection)
        scope["state"]["token"] = token
        with self._access.counted(token):
            if self._ongoing > self._most:
                raise Problem("overloaded", "the gateway has as many requests as it can hold: try again later", retry_after=1)
            if scope["type"] == "websocket" or scope["path"].endswith("/events"):
                await self._app(scope, receive, answer)  # they last as long as they are wanted
                return
            seconds = _deadline(connection.headers.get("x-deadline-s", ""), self._limits.deadline_s)
            try:
                async with asyncio.timeout(seconds):
                    await self._app(scope, receive, answer)
            except TimeoutError:
                raise Problem("deadline", f"the answer was not ready within {seconds:g} s: send a shorter video") from None

    def _note(self, scope: Scope, request_id: str, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "other")
        self._metrics.requests.labels(route, str(status)).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        token = scope["state"].get("token")
        log.info(
            "%s",
            json.dumps({"request_id": request_id, "method": scope.get("method", "WS"), "route": route, "status": status,
                        "ms": round(1000 * seconds, 1), "token": token.id if token else None}),
        )  # fmt: skip


class _Answer:
    """The send side of a request: adds headers, and knows whether an answer has begun."""

    def __init__(self, send: Send, request_id: str, kind: str, proxied: bool) -> None:
        self._send, self._request_id, self._kind = send, request_id, kind
        self._headers = [(name.encode(), value.encode()) for name, value in SECURITY.items()]
        if not proxied:
            self._headers.append((b"x-request-id", request_id.encode()))
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message = {**message, "headers": [*message["headers"], *self._headers]}
        elif message["type"] == "websocket.accept":
            self.status = 101
        await self._send(message)

    async def problem(self, problem: Problem, scope: Scope, receive: Receive) -> None:
        """Answer with a problem; where an answer has begun, only its end can follow."""
        if self._kind == "websocket":
            self.status = problem.status
            await self._send({"type": "websocket.close", "code": 4000 + problem.status, "reason": problem.message[:120]})
            return
        if self.status:
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        headers = {}
        if problem.retry_after is not None:
            headers["retry-after"] = str(max(1, math.ceil(problem.retry_after)))
        if problem.code == "unauthorized":
            headers["www-authenticate"] = "Bearer"
        if problem.status in (408, 413, 503):
            headers["connection"] = "close"  # the rest of the body is not wanted
        await JSONResponse(problem.to_dict(self._request_id), problem.status, headers)(scope, receive, self)


def _request_id(sent: str) -> str:
    """The caller's id where it is a plain word, else a new one."""
    return sent if re.fullmatch(r"[\w.-]{8,64}", sent) else secrets.token_hex(8)


def _deadline(sent: str, most: float) -> float:
    """Seconds that a request may take. Raises Problem for a header that is no number above 0."""
    if not sent:
        return most
    try:
        seconds = float(sent)
    except ValueError:
        seconds = math.nan
    if not seconds > 0:
        raise Problem("invalid", f"X-Deadline-S is {sent[:40]!r}: give seconds above 0", field="X-Deadline-S")
    return min(seconds, most)
