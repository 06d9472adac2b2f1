"""The HTTP routes, over anything that answers like a Backend."""

from __future__ import annotations

import contextlib
import importlib.metadata
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from prometheus_client import generate_latest
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from services.catalogue import ServedInfo
from services.decoding.answers import Job
from services.gateway import schemas
from services.gateway.access import Access, Admission
from services.gateway.backend import Backend
from services.gateway.gate import Gate, Metrics
from services.gateway.spool import Spool
from services.gateway.stores import named_video
from services.gateway.streams import add_stream_routes
from services.gateway.upload import Upload, received
from services.models.keeper import Table
from services.problems import Problem
from services.settings import LimitSection, ServiceSettings
from services.tasks import TASKS, MediaOptions, ServiceTask, options_of
from services.tokens import TokenFile
from vidmodels.core.errors import did_you_mean

PAGE = Path(__file__).parent.parent / "page"
CODES = {404: "not_found", 405: "method_not_allowed"}


def make_app(backend: Backend, settings: ServiceSettings, tokens: TokenFile, proxied: bool = False) -> FastAPI:
    """The gateway; proxied: as for `Gate`. The spool is opened when the application starts."""
    spool = Spool(settings.spool, settings.spool_free_mb * 1e6)
    metrics = Metrics()

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        spool.open()
        yield

    app = FastAPI(
        title="vidmodels", version=importlib.metadata.version("vidmodels"), lifespan=lifespan, redoc_url=None, docs_url=None
    )  # fmt: skip  (their pages would load scripts from elsewhere)
    _add_state_routes(app, backend, metrics)
    admission = Admission(settings.max_media)
    for task in TASKS.values():
        _add_task_route(app, task, backend, settings, spool, metrics, admission)
    add_stream_routes(app, backend, settings, spool, admission)
    _add_page(app)
    schemas.describe(app)
    app.add_exception_handler(HTTPException, _as_problem)
    app.add_exception_handler(RequestValidationError, _as_invalid)
    app.add_middleware(Gate, Access(tokens), settings.limits, settings.max_requests, metrics, proxied)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["authorization", "content-type", "x-request-id", "x-deadline-s", "x-filename"],
            expose_headers=["x-request-id", "x-model-version", "retry-after"],
        )
    return app


def _add_state_routes(app: FastAPI, backend: Backend, metrics: Metrics) -> None:
    @app.get("/healthz", response_model=schemas.Health, summary="Whether the gateway lives", tags=["state"])
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get(
        "/readyz", response_model=schemas.Health, responses=schemas.problems("not_ready"),
        summary="Whether models are served", tags=["state"],
    )  # fmt: skip
    async def readyz() -> dict[str, str]:
        _ready(await backend.table())
        return {"status": "ok"}

    @app.get("/metrics", summary="Numbers for Prometheus", tags=["state"], response_class=Response,
             responses=schemas.problems(*schemas.ALWAYS))  # fmt: skip
    async def numbers() -> Response:
        return Response(generate_latest(metrics.registry), media_type="text/plain; version=0.0.4")

    @app.get("/v1/models", response_model=schemas.ModelsAnswer, summary="The models that are served", tags=["models"],
             responses=schemas.problems(*schemas.ALWAYS))  # fmt: skip
    async def models() -> dict[str, Any]:
        table = await backend.table()
        return {"models": [info.public() for _, info in sorted(table.infos.items())], "failures": table.failures}

    @app.get("/v1/models/{name}", response_model=schemas.ModelAnswer, summary="One of them", tags=["models"],
             responses=schemas.problems(*schemas.ALWAYS, "unknown_model"))  # fmt: skip
    async def model(name: str) -> dict[str, Any]:
        return _info(await backend.table(), name).public()


def _add_task_route(
    app: FastAPI,
    task: ServiceTask,
    backend: Backend,
    settings: ServiceSettings,
    spool: Spool,
    metrics: Metrics,
    admission: Admission,
) -> None:
    async def route(request: Request) -> Response:
        with admission.slot():
            return await answered(request)

    async def answered(request: Request) -> Response:
        async with received(request, spool, settings.limits) as upload:
            if upload.file is not None:
                metrics.bytes.inc(upload.file.size)
            info, options = await _asked(task, upload, backend, settings.limits)
            async with _video(upload, options, settings, spool) as (path, name):
                limits = settings.limits
                job = Job(task.name, str(path), name, info, options, limits.of_media(), limits.windows)
                answer = await backend.answer(job)
        return JSONResponse(answer, headers={"x-model-version": info.label})

    app.add_api_route(
        f"/v1/{task.name}",
        route,
        methods=["POST"],
        name=task.name,
        summary=task.summary,
        tags=["tasks"],
        response_model=schemas.ANSWERS.get(task.name),
        responses=schemas.problems(*schemas.OF_MEDIA),
        openapi_extra={"requestBody": schemas.request_body(task)},
    )


async def _asked(task: ServiceTask, upload: Upload, backend: Backend, limits: LimitSection) -> tuple[ServedInfo, MediaOptions]:
    """The model and the options that a request names. Raises Problem."""
    fields = dict(upload.fields)
    name = fields.pop("model", None)
    if not isinstance(name, str) or not name:
        raise Problem("invalid", "model: say which model shall answer, see /v1/models", field="model")
    options = options_of(task, fields)
    options.check(limits)
    table = await backend.table()
    _ready(table)
    info = _info(table, name)
    if task.name not in info.answers:
        fitting = ", ".join(sorted(each.name for each in table.infos.values() if task.name in each.answers)) or "none"
        raise Problem("invalid", f"model: {name!r} does not answer {task.name}; models that do: {fitting}", field="model")
    return info, options


@contextlib.asynccontextmanager
async def _video(
    upload: Upload, options: MediaOptions, settings: ServiceSettings, spool: Spool
) -> AsyncIterator[tuple[Path, str]]:
    """The video that a request brings or names, and what to call it. Raises Problem for none and for two."""
    if (upload.file is None) == (options.uri is None):
        what = "no video was sent" if upload.file is None else "a video and a uri were sent"
        raise Problem("invalid", f"{what}: send a file `video`, or name one as `uri`", field="video")
    if upload.file is not None:
        yield upload.file.path, upload.filename
        return
    async with named_video(str(options.uri), settings, spool) as found:
        yield found


def _info(table: Table, name: str) -> ServedInfo:
    if name not in table.infos:
        near = did_you_mean(name, table.infos)
        raise Problem("unknown_model", f"no model {name[:80]!r} is served{near}; see /v1/models", field="model")
    return table.infos[name]


def _ready(table: Table) -> None:
    if not table.ready or not table.infos:
        reason = next(iter(table.failures.values()), "the models are being loaded")
        raise Problem("not_ready", f"no model is served yet: {reason}", retry_after=2)


def _add_page(app: FastAPI) -> None:
    app.mount("/page", StaticFiles(directory=PAGE), name="page")

    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        return Response((PAGE / "index.html").read_bytes(), media_type="text/html")


async def _as_invalid(request: Request, error: Exception) -> Response:
    """A parameter of the path or the address that is wrong."""
    assert isinstance(error, RequestValidationError)
    fault = error.errors()[0]
    field = str(fault["loc"][-1])
    problem = Problem("invalid", f"{field}: {fault['msg']}", field=field)
    return JSONResponse(problem.to_dict(request.scope["state"]["request_id"]), problem.status)


async def _as_problem(request: Request, error: Exception) -> Response:
    """Errors of the framework, such as an unknown path, in the service's form."""
    assert isinstance(error, HTTPException)
    code = CODES.get(error.status_code, "bad_request")
    message = f"there is nothing at {request.url.path[:200]}" if code == "not_found" else str(error.detail)[:300]
    problem = Problem(code, message)
    headers = {key: value for key, value in (error.headers or {}).items() if key.lower() == "allow"}
    return JSONResponse(problem.to_dict(request.scope["state"]["request_id"]), problem.status, headers)
