"""The routes of streams: create, push pictures by HTTP or by websocket, read answers as server-sent events, close."""

from __future__ import annotations

import json
import math
import re
import secrets
import struct
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import FastAPI, Path, Query, Request, WebSocket
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, Field, ValidationError
from starlette.websockets import WebSocketDisconnect

from services.gateway import schemas
from services.gateway.access import Admission
from services.gateway.backend import Backend
from services.gateway.spool import Spool
from services.gateway.upload import received
from services.models.keeper import Table
from services.problems import Problem
from services.settings import ServiceSettings, first_fault
from vidmodels.core.errors import did_you_mean
from vidmodels.core.recipe.base import Section

WAIT_S = 10.0
"""Seconds after which a reader of events is told that the stream still lives."""
MAX_PICTURE = 16_000_000

StreamId = Annotated[str, Path(pattern="^[0-9a-f]{32}$")]


class StreamOptions(Section):
    """What a stream is created with."""

    model: str = Field(max_length=200)
    """Name of a model that classifies."""
    fps: float = Field(30, ge=0.1, le=1000, allow_inf_nan=False)
    """Frames per second of the source."""
    stride: float | None = Field(None, gt=0, le=3600, allow_inf_nan=False)
    """Seconds from window to window; default: end to end."""
    top: int = Field(5, ge=1, le=1000)
    """Classes of a window that are named."""


class StreamAnswer(BaseModel):
    """A stream. window, hop: seconds of a window, and from one to the next; frames, windows: so far."""

    id: str
    window: float
    hop: float
    frames: int
    windows: int


class StreamWindow(schemas.ClassifyWindow):
    """A window's classes. number: from 0; version: of the model; ms: that the model took."""

    number: int
    version: str
    ms: float


class PushAnswer(BaseModel):
    results: list[StreamWindow]


class PushVideoAnswer(PushAnswer):
    """frames: that were taken; skipped: that were not newer than what the stream had."""

    frames: int
    skipped: int


PROBLEMS = schemas.problems(*schemas.ALWAYS, "unknown_stream", "stream_lost", "invalid", "not_ready", "unknown_model")
WITH_BODY = PROBLEMS | schemas.problems(*schemas.OF_MEDIA, "stream_lost", "unknown_stream")


def _bodies(*kinds: str) -> dict[str, Any]:
    binary = {"schema": {"type": "string", "format": "binary"}}
    return {"requestBody": {"required": True, "content": dict.fromkeys(kinds, binary)}}


At = Annotated[float, Query(ge=0, le=1e9, description="Seconds on the clock of the stream")]


def add_stream_routes(app: FastAPI, backend: Backend, settings: ServiceSettings, spool: Spool, admission: Admission) -> None:
    """Add them to the gateway."""

    @app.post("/v1/streams", status_code=201, response_model=StreamAnswer, responses=WITH_BODY, tags=["streams"],
              summary="Create a stream", openapi_extra={"requestBody": {"required": True, "content": {
                  "application/json": {"schema": StreamOptions.model_json_schema()}}}})  # fmt: skip
    async def create(request: Request) -> Response:
        async with received(request, spool, settings.limits) as upload:
            try:
                options = StreamOptions.model_validate(upload.fields)
            except ValidationError as error:
                field = ".".join(str(part) for part in error.errors(include_url=False)[0]["loc"])
                raise Problem("invalid", first_fault(error), field=field or None) from None
        info = _classifier(await backend.table(), options.model)
        stream_id = secrets.token_hex(16)
        about = await backend.stream("create", stream_id, options.model_dump(), info.to_dict(), _owner(request))
        return JSONResponse({"id": stream_id, **about}, 201, {"x-model-version": info.label})

    @app.post("/v1/streams/{stream_id}/frames", response_model=PushAnswer, tags=["streams"], responses=WITH_BODY,
              summary="Push a picture; the answers that it leads to",
              openapi_extra=_bodies("image/jpeg", "image/png"))  # fmt: skip
    async def push(request: Request, stream_id: StreamId, time: At) -> Response:
        async with received(request, spool, settings.limits) as upload:
            if upload.file is None or upload.file.size > MAX_PICTURE:
                raise Problem("invalid", f"the body is no picture of at most {MAX_PICTURE // 1_000_000} MB", field="body")
            found = await backend.stream("push", stream_id, _owner(request), time, str(upload.file.path))
        return JSONResponse({"results": found})

    @app.post("/v1/streams/{stream_id}/video", response_model=PushVideoAnswer, tags=["streams"], responses=WITH_BODY,
              summary="Push a video that begins at a time; the answers that it leads to",
              openapi_extra=_bodies("video/mp4", "video/webm"))  # fmt: skip
    async def push_video(request: Request, stream_id: StreamId, time: At) -> Response:
        with admission.slot():
            async with received(request, spool, settings.limits) as upload:
                if upload.file is None:
                    raise Problem("invalid", "the body is no video: send the file itself", field="body")
                found = await backend.stream("push_video", stream_id, _owner(request), time, str(upload.file.path))
        return JSONResponse(found)

    @app.get("/v1/streams/{stream_id}/events", tags=["streams"], summary="Answers as server-sent events", responses={
        **PROBLEMS, 200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
        response_class=StreamingResponse)  # fmt: skip
    async def events(request: Request, stream_id: StreamId, after: Annotated[int, Query(ge=-1)] = -1) -> Response:
        sent = request.headers.get("last-event-id", "")
        last = int(sent) if re.fullmatch("[0-9]{1,15}", sent) else after
        first = await backend.stream("results", stream_id, _owner(request), last, 0.0)
        body = _events(backend, stream_id, _owner(request), last, first)
        return StreamingResponse(body, media_type="text/event-stream", headers={"cache-control": "no-store"})

    @app.delete("/v1/streams/{stream_id}", response_model=StreamAnswer, responses=PROBLEMS, tags=["streams"],
                summary="Close a stream")  # fmt: skip
    async def close(request: Request, stream_id: StreamId) -> Response:
        return JSONResponse({"id": stream_id, **await backend.stream("close", stream_id, _owner(request))})

    @app.websocket("/v1/streams/{stream_id}/ws")
    async def socket(websocket: WebSocket, stream_id: str) -> None:
        await backend.stream("results", stream_id, _owner(websocket), -1, 0.0)  # refuse before it is accepted
        offered = websocket.scope.get("subprotocols", [])
        await websocket.accept(subprotocol="vidmodels" if "vidmodels" in offered else None)
        try:
            while True:
                await websocket.send_json(await _pushed(await websocket.receive_bytes(), stream_id, websocket))
        except (WebSocketDisconnect, KeyError):  # a text message has no bytes
            return

    async def _pushed(message: bytes, stream_id: str, websocket: WebSocket) -> dict[str, Any]:
        """The answer to a message: eight bytes of a big-endian float64, the time in seconds, and a picture."""
        try:
            if not 8 < len(message) <= MAX_PICTURE:
                raise Problem("invalid", "a message is eight bytes of time and a picture")
            (at,) = struct.unpack("!d", message[:8])
            if not 0 <= at <= 1e9 or math.isnan(at):
                raise Problem("invalid", "the time is not between 0 and 1e9 seconds", field="time")
            with spool.file() as picture:
                picture.write(message[8:])
                return {"results": await backend.stream("push", stream_id, _owner(websocket), at, str(picture.path))}
        except Problem as problem:
            return problem.to_dict(websocket.scope["state"]["request_id"])


async def _events(backend: Backend, stream_id: str, owner: str, after: int, first: Any) -> AsyncIterator[str]:
    """Answers as they come, each with its number as id, so that a reader who comes back misses none that is kept."""
    rows, ended = first
    while True:
        for row in rows:
            if row["number"] > after + 1 and after >= 0:
                yield f"event: missed\ndata: {json.dumps({'windows': row['number'] - after - 1})}\n\n"
            after = row["number"]
            yield f"id: {after}\ndata: {json.dumps(row)}\n\n"
        if ended:
            yield "event: end\ndata: {}\n\n"
            return
        if not rows:
            yield ": alive\n\n"
        try:
            rows, ended = await backend.stream("results", stream_id, owner, after, WAIT_S)
        except Problem as problem:
            yield f"event: problem\ndata: {json.dumps({'code': problem.code, 'message': problem.message})}\n\n"
            return


def _owner(connection: Any) -> str:
    return connection.scope["state"]["token"].id


def _classifier(table: Table, name: str):
    """The model of a stream. Raises Problem."""
    if not table.ready:
        raise Problem("not_ready", "the models are being loaded", retry_after=2)
    info = table.infos.get(name)
    if info is None:
        raise Problem("unknown_model", f"no model {name[:80]!r} is served{did_you_mean(name, table.infos)}", field="model")
    if "classify" not in info.answers or info.spec.get("audio") is not None or info.spec["num_frames"] < 2:
        raise Problem("invalid", f"model: {name!r} does not classify streams of pictures without sound", field="model")
    return info
