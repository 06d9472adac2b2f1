"""The service's description: bodies, answers and examples of its routes in OpenAPI."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from services.gateway.access import is_open
from services.problems import STATUSES
from services.tasks import TASKS, ServiceTask

REFERENCE = "#/components/schemas/{model}"


class ErrorBody(BaseModel):
    code: str
    """What programs read."""
    message: str
    """What people read."""
    request_id: str
    field: str | None = None
    """Path of the field that is wrong."""


class ErrorAnswer(BaseModel):
    """Every answer with a status of 400 or more."""

    error: ErrorBody


class ScoredClass(BaseModel):
    name: str
    score: float


class ClassifyWindow(BaseModel):
    start: float
    end: float
    top: list[ScoredClass] | dict[str, list[ScoredClass]]
    scores: list[float]
    heard: bool | None = None


class VideoAnswer(BaseModel):
    """What all answers about a video have: its header."""

    duration: float
    fps: float
    width: int
    height: int
    video: str
    model: str


class ClassifyAnswer(VideoAnswer):
    weights: str
    precision: str
    sound: str | None
    top: list[ScoredClass] | dict[str, list[ScoredClass]]
    classes: list[str]
    scores: list[float]
    windows: list[ClassifyWindow]


class Embedding(BaseModel):
    start: float
    end: float
    vector: list[float]
    heard: bool | None = None


class FeaturesAnswer(VideoAnswer):
    embeddings: list[Embedding]


class HeatFrame(BaseModel):
    time: float
    image: str
    heat: str


class ExplainedWindow(BaseModel):
    start: float
    end: float
    score: float
    frames: list[HeatFrame]

    model_config = {"extra": "allow"}  # `class` is no name for a field in Python


class ExplainAnswer(VideoAnswer):
    method: str
    windows: list[ExplainedWindow]


class ActionSpan(BaseModel):
    """A person does something from `start` to `end`."""

    person: int
    action: str
    start: float
    end: float
    score: float


class ActionsAt(BaseModel):
    time: float
    top: list[ScoredClass]
    scores: list[float]


class Person(BaseModel):
    number: int
    name: str | None
    start: float
    end: float
    boxes: list[list[float]]
    """Rows of time, x1, y1, x2, y2 in pixels of the video."""
    actions: list[ActionsAt]


class DetectActionsAnswer(VideoAnswer):
    weights: str
    precision: str
    step: float
    classes: list[str]
    spans: list[ActionSpan]
    persons: list[Person]


class ModelAnswer(BaseModel):
    """A model that is served."""

    name: str
    version: str
    model: str
    answers: list[str]
    input: dict[str, Any]
    labels: list[str]
    precision: str
    licence: str
    weights_sha256: str
    data_digest: str
    recipe_hash: str
    code_version: str


class ModelsAnswer(BaseModel):
    models: list[ModelAnswer]
    failures: dict[str, str]
    """Versions that are not served, and why."""


class Health(BaseModel):
    status: str


ANSWERS: dict[str, type[BaseModel]] = {
    "classify": ClassifyAnswer,
    "features": FeaturesAnswer,
    "explain": ExplainAnswer,
    "detect-actions": DetectActionsAnswer,
}


def problems(*codes: str) -> dict[int | str, dict[str, Any]]:
    """Responses of a route that may have these problems."""
    found: dict[int | str, dict[str, Any]] = {}
    for code in codes:
        entry = found.setdefault(STATUSES[code], {"model": ErrorAnswer, "description": ""})
        entry["description"] = ", ".join(filter(None, [entry["description"], code]))
    return found


ALWAYS = ("bad_request", "unauthorized", "too_many_requests", "internal", "overloaded", "deadline")
OF_MEDIA = (*ALWAYS, "unknown_model", "upload_stalled", "too_large", "unsupported_media_type", "invalid", "media_unreadable",
            "media_limit", "not_ready", "spool_full")  # fmt: skip


def describe(app: FastAPI) -> None:
    """Complete what FastAPI writes of the routes: the token, and the schemas of bodies that are read by hand."""
    written = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = written()
            parts = document["components"]
            parts["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer", "description": "See `vidmodels token`"}}
            for task in TASKS.values():
                parts["schemas"] |= task.options.model_json_schema(ref_template=REFERENCE).get("$defs", {})
            for path, operations in document["paths"].items():
                if not is_open(path):
                    for operation in operations.values():
                        operation["security"] = [{"token": []}]
        assert app.openapi_schema is not None
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def request_body(task: ServiceTask) -> dict[str, Any]:
    """The body of a task's route: a form with the video, JSON that names it, or the video alone."""
    options = task.options.model_json_schema(ref_template=REFERENCE)
    properties = {"model": {"type": "string", "description": "Name of the model"}, **options.get("properties", {})}
    required = options.get("required", [])
    schema = {"type": "object", "properties": properties, "required": ["model", *required], "additionalProperties": False}
    video = {"type": "string", "format": "binary", "description": "A video: mp4, mov, mkv, webm, avi or ts; or a picture"}
    inner = {key: value for key, value in properties.items() if key != "uri"}
    form = {**schema, "properties": {**inner, "video": video}, "required": ["model", "video", *required]}
    named = {**schema, "required": ["model", "uri", *required]}
    return {
        "required": True,
        "content": {
            "multipart/form-data": {"schema": form},
            "application/json": {"schema": named, "example": {"model": "slowfast_tiny", "uri": "clips:dog.mp4"}},
            "video/mp4": {"schema": {"type": "string", "format": "binary"}},
        },
    }
