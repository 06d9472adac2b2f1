"""Evaluation of detectors of actions: mean average precision over all key frames, each scored exactly once.

R boxes of a key frame, G true ones, K classes, h, w sides of a whole frame.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from vidmodels.core.errors import DataError
from vidmodels.data.boxed_reader import WholeFrameReader
from vidmodels.data.keyframes import KeyFrames
from vidmodels.data.transforms import pixels_of
from vidmodels.metrics.classification import LabelRow
from vidmodels.metrics.detection import action_precision
from vidmodels.tasks.classify import scores_of


@dataclass
class BoxScores:
    """Scores float32 [R, K] of the boxes of key frames, by their numbers in the manifest; errors: {number: why} of the rest."""

    scores: dict[int, np.ndarray] = field(default_factory=dict)
    errors: dict[int, str] = field(default_factory=dict)


@dataclass
class ActionEvaluation:
    """What a detector reaches.

    metrics: map, key_frames, boxes, undecoded. per_class: a row per evaluated class: its true boxes and average precision.
    """

    metrics: dict[str, float]
    per_class: list[LabelRow]
    errors: dict[str, str]


@torch.no_grad()
def score_key_frames(
    model: nn.Module, reader: WholeFrameReader, indices: Sequence[int], batch_size: int = 8, device: torch.device | str = "cpu"
) -> BoxScores:
    """Scores of all boxes of these key frames, up to `batch_size` frames of equal size at a time."""
    model.eval()
    found = BoxScores()
    waiting: list[dict] = []
    for index in indices:
        row = reader.read(index)
        if row["error"]:
            found.errors[index] = row["error"]
            continue
        if waiting and (len(waiting) == batch_size or waiting[0]["clips"].shape != row["clips"].shape):
            found.scores.update(_scored(model, waiting, device))
            waiting = []
        waiting.append(row)
    if waiting:
        found.scores.update(_scored(model, waiting, device))
    return found


def _scored(model: nn.Module, rows: list[dict], device: torch.device | str) -> dict[int, np.ndarray]:
    clips = torch.from_numpy(np.concatenate([row["clips"] for row in rows])).to(device)
    for number, row in enumerate(rows):
        row["boxes"][:, 0] = number
    boxes = torch.from_numpy(np.concatenate([row["boxes"] for row in rows])).to(device)
    pixels = pixels_of(clips, model.input)  # type: ignore[arg-type]
    scores = scores_of(model, model(pixels, boxes)).cpu().numpy()
    parts = np.split(scores, np.cumsum([len(row["boxes"]) for row in rows])[:-1])
    return {row["number"]: part for row, part in zip(rows, parts)}


def join_box_scores(parts: Iterable[BoxScores], num_frames: int) -> BoxScores:
    """Parts from any number of workers as one. Raises DataError where a key frame is missing or comes twice."""
    joined = BoxScores()
    seen: list[int] = []
    for part in parts:
        seen += [*part.scores, *part.errors]
        joined.scores.update(part.scores)
        joined.errors.update(part.errors)
    if sorted(seen) != list(range(num_frames)):
        absent, twice = len(set(range(num_frames)) - set(seen)), len(seen) - len(set(seen))
        raise DataError(f"{absent} key frames were not evaluated and {twice} twice: the result would be wrong, run it again")
    return joined


def summarise_actions(
    found: BoxScores,
    boxes: KeyFrames,
    truth: KeyFrames,
    classes: Sequence[str],
    evaluated: Sequence[int] | None = None,
    min_overlap: float = 0.5,
) -> ActionEvaluation:
    """Average precision of each class and its mean.

    boxes: the key frames that were scored; truth: what is true, in the same units. Key frames that could not be decoded
    count neither way, and are in `errors`. Raises DataError where none is left.
    """
    count = len(classes)
    undecoded = {boxes.frames[index]: why for index, why in found.errors.items()}
    if not found.scores:
        first, why = next(iter(undecoded.items()), (("", 0.0), "there is none"))
        raise DataError(f"no key frame could be evaluated: the first error is {first[0]}: {why}")
    answers: Any = {boxes.frames[index]: (boxes.row(index).boxes.xyxy, scores) for index, scores in found.scores.items()}
    true: Any = truth.truth(count)
    result = action_precision(true, answers, count, evaluated, set(undecoded), min_overlap)
    numbers = range(count) if evaluated is None else evaluated
    rows = [LabelRow(classes[k], int(result.support[k]), float(result.per_class[k])) for k in numbers]
    metrics = {"map": result.mean, "key_frames": float(len(found.scores)), "boxes": float(result.boxes)}
    metrics["undecoded"] = float(len(undecoded))
    return ActionEvaluation(metrics, rows, {f"{video}@{time:.3f}": why for (video, time), why in undecoded.items()})
