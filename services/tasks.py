"""What the service answers about a video: each task with its options, as requests name them. Free of torch."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationError, model_validator

from services.problems import Problem
from services.settings import LimitSection, first_fault
from vidmodels.core.recipe.base import Section


def _one_or_three(crops: int) -> int:
    if crops not in (1, 3):
        raise ValueError("choose 1 or 3 crops")
    return crops


Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Crops = Annotated[int, AfterValidator(_one_or_three), Field(json_schema_extra={"enum": [1, 3]})]
Coordinate = Annotated[float, Field(ge=-100_000, le=100_000, allow_inf_nan=False)]


class MediaOptions(Section):
    """The video of a request that does not bring it as a file."""

    uri: str | None = Field(None, max_length=4096)
    """STORE:PATH of a configured store, or an https address of an allowed host."""

    def check(self, limits: LimitSection) -> None:
        """Raise Problem for more than the service's limits allow."""


class ClassifyOptions(MediaOptions):
    """Options of /v1/classify."""

    num_clips: int | None = Field(None, ge=1, le=100)
    """Clips evenly over the video; default: windows over all of it."""
    num_crops: Crops = 1
    """Crops of each clip: the centre, or three along the long side."""
    stride: Positive | None = None
    """Seconds from window to window; default: end to end."""
    top: int = Field(5, ge=1, le=1000)
    """Classes of each window and of the whole that are named."""


class FeaturesOptions(MediaOptions):
    """Options of /v1/features."""

    num_clips: int | None = Field(None, ge=1, le=100)
    """Clips evenly over the video; default: windows over all of it."""
    stride: Positive | None = None
    """Seconds from window to window; default: end to end."""


class ExplainOptions(MediaOptions):
    """Options of /v1/explain."""

    target: str | None = Field(None, max_length=256)
    """Class that is explained; default: the highest of each window."""
    windows: int = Field(4, ge=1, le=16)
    """Windows evenly over the video that are explained."""
    frames: int = Field(8, ge=1, le=32)
    """Frames of each window that are drawn."""


class BoxOption(Section):
    """A person's box at a time."""

    time: float = Field(ge=0, le=1e6, allow_inf_nan=False)
    """Seconds of the video."""
    x1: Coordinate
    y1: Coordinate
    x2: Coordinate
    y2: Coordinate
    """Pixels of the video."""
    person: str | None = Field(None, max_length=100)
    """Who it is, where that is known."""

    @model_validator(mode="after")
    def _has_an_area(self) -> BoxOption:
        if not (self.x1 < self.x2 and self.y1 < self.y2):
            raise ValueError("the box is inverted or empty: give x1 < x2 and y1 < y2")
        return self


class DetectActionsOptions(MediaOptions):
    """Options of /v1/detect-actions."""

    boxes: tuple[BoxOption, ...] = Field(min_length=1, max_length=36_000)
    """Boxes of people at the times at which their actions are wanted."""
    step: Positive = 1.0
    """Seconds between two key frames at least."""
    top: int = Field(3, ge=1, le=100)
    """Actions of a person at a time that are named."""
    threshold: float = Field(0.3, ge=0, le=1, allow_inf_nan=False)
    """Score from which an action counts."""

    def check(self, limits: LimitSection) -> None:
        time, most = Counter(box.time for box in self.boxes).most_common(1)[0]
        if most > limits.boxes:
            message = f"boxes: {most} at {time:g} s, and the limit is {limits.boxes} at one time: leave some out"
            raise Problem("media_limit", message, field="boxes")


@dataclass(frozen=True)
class ServiceTask:
    """A route of the service."""

    name: str
    options: type[MediaOptions]
    summary: str


TASKS = {
    task.name: task
    for task in (
        ServiceTask("classify", ClassifyOptions, "Classes of a video, of the whole and over time"),
        ServiceTask("features", FeaturesOptions, "Embeddings of a video over time"),
        ServiceTask("explain", ExplainOptions, "Where and when the evidence for a class lies"),
        ServiceTask("detect-actions", DetectActionsOptions, "What each person does and when, given boxes"),
    )
}


def options_of(task: ServiceTask, fields: dict[str, Any]) -> MediaOptions:
    """The options in a request's fields; text of a form stands for numbers and JSON. Raises Problem with the field's path."""
    import json

    values: dict[str, Any] = {}
    for key, value in fields.items():
        if isinstance(value, str) and value[:1] in "[{" and key in task.options.model_fields:
            try:
                value = json.loads(value)
            except (ValueError, RecursionError):
                raise Problem("invalid", f"{key}: is not JSON", field=key) from None
        values[key] = value
    try:
        return task.options.model_validate(values)
    except ValidationError as error:
        path = ".".join(str(part) for part in error.errors(include_url=False)[0]["loc"])
        raise Problem("invalid", first_fault(error), field=path or None) from None
