"""What a decoder makes of a video and a model's answers for its windows: the result that the caller gets. Free of torch."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from services.catalogue import ServedInfo, input_of
from services.models.served import Call
from services.tasks import ClassifyOptions, DetectActionsOptions, ExplainOptions, FeaturesOptions
from vidmodels.core.errors import ConfigError, MediaError, MediaLimitError, did_you_mean
from vidmodels.core.label_sets import classes_of
from vidmodels.data.keyframes import BoxRow, KeyFrame, KeyFrames
from vidmodels.data.nursery import Nursery
from vidmodels.data.probe import Limits, VideoInfo
from vidmodels.inference.moments import FrameActions, boxes_in_clips, chosen_keys, gather
from vidmodels.inference.reading import Group, Views, read_moments, read_video
from vidmodels.ops.linking import Linker
from vidmodels.tasks.action_results import GAP, ActionsResult
from vidmodels.tasks.results import ClassifyResult, Window, merge

Compute = Callable[[Call], Awaitable[Any]]
"""Asks the model's replica."""

AHEAD = 2
"""Groups of windows that are with the model while the next one is decoded."""


@dataclass(frozen=True)
class Job:
    """A video and what is wanted of it.

    path: where it lies; name: what the caller calls it; windows: the most that are answered for.
    """

    task: str
    path: str
    name: str
    info: ServedInfo
    options: Any
    limits: Limits
    windows: int = 1200


@dataclass(frozen=True)
class Tools:
    """What a job is done with."""

    nursery: Nursery
    compute: Compute


async def classify(job: Job, tools: Tools) -> dict[str, Any]:
    """`ClassifyResult.to_dict` with the header of the video."""
    options: ClassifyOptions = job.options
    views = Views(options.num_clips, options.num_crops, options.stride, most=job.windows)
    windows: list[Window] = []
    video: VideoInfo | None = None
    async for found, group, rows in _answered(job, tools, views, "scores"):
        video = found
        scores = rows.values.reshape(len(group.spans), options.num_crops, -1).mean(1)
        heard = rows.heard or (None,) * len(group.spans)
        windows += [Window(s.start, s.end, row, flag) for s, row, flag in zip(group.spans, scores, heard)]
    classes = classes_of(job.info.classes, job.info.label_sets)
    result = merge(
        ClassifyResult(job.name, classes, window.scores, (window,), job.info.entry, job.info.label, job.info.precision)
        for window in windows
    )
    return {**_about(video), **result.to_dict(options.top), "sound": result.sound}


async def features(job: Job, tools: Tools) -> dict[str, Any]:
    """Embeddings with their spans."""
    options: FeaturesOptions = job.options
    views = Views(options.num_clips, 1, options.stride, most=job.windows)
    rows: list[dict[str, Any]] = []
    video: VideoInfo | None = None
    async for found, group, answer in _answered(job, tools, views, "embed"):
        video = found
        heard = answer.heard or (None,) * len(group.spans)
        for span, vector, flag in zip(group.spans, answer.values, heard):
            row = {"start": round(span.start, 6), "end": round(span.end, 6), "vector": [round(float(x), 7) for x in vector]}
            rows.append(row if flag is None else {**row, "heard": flag})
    return {**_about(video), "video": job.name, "model": job.info.entry, "embeddings": rows}


async def explain(job: Job, tools: Tools) -> dict[str, Any]:
    """Windows with the explained class and pictures (JPEG as data addresses): frames, and the same under their heat."""
    options: ExplainOptions = job.options
    target = None
    if options.target is not None:
        if options.target not in job.info.classes:
            near = did_you_mean(options.target, job.info.classes)
            raise ConfigError(f"the model knows no class {options.target!r}{near}")
        target = job.info.classes.index(options.target)
    views = Views(options.windows, batch=1, most=job.windows)
    rows: list[dict[str, Any]] = []
    method = ""
    video: VideoInfo | None = None
    async for found, group, answer in _answered(job, tools, views, "explain", {"target": target}):
        video, method = found, answer["method"]
        span, maps = group.spans[0], answer["maps"][0].astype(np.float32)
        picks = np.linspace(0, len(maps) - 1, min(options.frames, len(maps))).round().astype(int)
        pictures = await asyncio.to_thread(_heated, group.clips[0][picks], maps[picks] / max(float(maps.max()), 1e-12))
        rows.append(
            {
                "start": round(span.start, 6),
                "end": round(span.end, 6),
                "class": job.info.classes[answer["target"][0]],
                "score": round(answer["scores"][0], 6),
                "frames": [
                    {"time": round(span.times[pick], 6), "image": image, "heat": heat}
                    for pick, (image, heat) in zip(picks, pictures)
                ],
            }
        )
    return {**_about(video), "video": job.name, "model": job.info.entry, "method": method, "windows": rows}


async def detect_actions(job: Job, tools: Tools) -> dict[str, Any]:
    """`ActionsResult.to_dict`: persons linked over time, and what each does at the key frames."""
    options: DetectActionsOptions = job.options
    rows = [
        BoxRow(job.name, box.time, (box.x1, box.y1, box.x2, box.y2), person=box.person, row=number)
        for number, box in enumerate(options.boxes)
    ]
    table = KeyFrames.from_rows(rows, "boxes")
    keys, step = chosen_keys([time for _, time in table.frames], options.step)
    if len(keys) > job.windows:
        raise MediaLimitError(f"boxes: {len(keys)} key frames, and the limit is {job.windows}: give a larger step")
    spec = input_of(job.info)
    video: VideoInfo | None = None
    frames: list[KeyFrame] = []
    scores: dict[float, np.ndarray] = {}
    async with contextlib.aclosing(read_moments(tools.nursery, job.path, job.name, spec, keys, job.limits)) as parts:
        async for part in parts:
            if isinstance(part, VideoInfo):
                video, frames = part, table.of_video(job.name, part)
                boxes = {frame.time: frame.boxes for frame in frames}
                continue
            shown = [boxes[keys[number]] for number in part.numbers]
            values = {"boxes": boxes_in_clips(shown, _checked(video), *part.clips.shape[2:4])}
            answer = await tools.compute(Call(job.info.name, "actions", part.clips, values=values))
            if isinstance(answer, Exception):
                raise answer
            cuts = np.cumsum([len(each) for each in shown])[:-1]
            scores |= dict(zip((keys[number] for number in part.numbers), np.split(answer, cuts)))
    info, linker = _checked(video), Linker(max_gap=GAP * step)
    moments = [
        FrameActions(frame.time, frame.boxes, tuple(linker.add(frame.time, frame.boxes)), scores.get(frame.time))
        for frame in frames
    ]
    result = ActionsResult(
        job.name, info.duration, info.width, info.height, step, job.info.classes, gather(moments), job.info.entry,
        job.info.label, job.info.precision,
    )  # fmt: skip
    return {"fps": round(info.fps, 6), **result.to_dict(options.top, options.threshold)}


ANSWERS: dict[str, Callable[[Job, Tools], Awaitable[dict[str, Any]]]] = {
    "classify": classify,
    "features": features,
    "explain": explain,
    "detect-actions": detect_actions,
}


async def _answered(
    job: Job, tools: Tools, views: Views, what: str, values: dict[str, Any] | None = None
) -> AsyncGenerator[tuple[VideoInfo, Group, Any], None]:
    """Groups of windows with the model's answers, in order, some with the model while the next one is decoded.

    Raises the errors of the video, and those that the model answers with.
    """
    waiting: deque[tuple[Group, asyncio.Task[Any]]] = deque()
    video: VideoInfo | None = None
    spec = input_of(job.info)
    try:
        async with contextlib.aclosing(read_video(tools.nursery, job.path, job.name, spec, views, job.limits)) as parts:
            async for part in parts:
                if isinstance(part, VideoInfo):
                    video = part
                    continue
                call = Call(job.info.name, what, part.clips, part.waves, values or {})
                waiting.append((part, asyncio.ensure_future(tools.compute(call))))
                while len(waiting) > AHEAD:
                    yield _checked(video), *await _first(waiting)
        while waiting:
            yield _checked(video), *await _first(waiting)
    finally:
        for _, task in waiting:
            task.cancel()


async def _first(waiting: deque[tuple[Group, asyncio.Task[Any]]]) -> tuple[Group, Any]:
    group, task = waiting[0]
    answer = await task
    waiting.popleft()
    if isinstance(answer, Exception):
        raise answer
    return group, answer


def _checked(video: VideoInfo | None) -> VideoInfo:
    if video is None:
        raise MediaError("the decoder sent frames before the header")
    return video


def _about(video: VideoInfo | None) -> dict[str, Any]:
    """The header of a video, as answers give it."""
    if video is None:
        raise MediaError("the video has no window: give a longer one")
    return {"duration": round(video.duration, 6), "fps": round(video.fps, 6), "width": video.width, "height": video.height}


def _heated(frames: np.ndarray, heat: np.ndarray) -> list[tuple[str, str]]:
    """Frames uint8 [T, S, S, C], plain and under their heat [T, S, S], as data addresses."""
    import cv2

    from vidmodels.visual.heatmap import overlay

    def address(picture: np.ndarray) -> str:
        done, jpeg = cv2.imencode(".jpg", np.ascontiguousarray(picture[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 88])
        assert done
        return "data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode()

    return [(address(frame), address(heated)) for frame, heated in zip(frames, overlay(frames, heat))]
