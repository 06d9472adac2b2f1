"""What a detector of actions says about a video: persons, where each is, what each does and when.

M boxes of a person over time, A key frames at which the actions of a person were computed, K classes. Free of torch.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vidmodels.core.errors import DataError
from vidmodels.tasks.results import ClassScore
from vidmodels.visual.boxes import TaggedBox, draw_boxes
from vidmodels.visual.canvas import MUTED, Label, as_frames, draw_labels, fit, save_png, write_whole

SIDE = 640  # a small frame is enlarged to about this many pixels, so that tags can be read on it
GAP = 2.5
"""Steps from one key frame to the next that a person may be unseen and still be the same, drawn in between."""


class ActionSpan(NamedTuple):
    """A person does something from `start` to `end` (seconds); score: the mean over its key frames."""

    person: int
    action: str
    start: float
    end: float
    score: float


@dataclass(frozen=True)
class PersonActions:
    """A person over time.

    number: from 1; name: what the file of boxes calls the person, or None. times float64 [M] (seconds, growing) and xyxy
    float64 [M, 4] (pixels of the video): where the person is. action_times float64 [A] and scores float32 [A, K]: what the
    person does at the key frames among them.
    """

    number: int
    name: str | None
    times: np.ndarray
    xyxy: np.ndarray
    action_times: np.ndarray
    scores: np.ndarray

    @property
    def title(self) -> str:
        return f"{self.number}" if self.name is None else f"{self.number}  {self.name}"

    def box_at(self, time: float, step: float) -> np.ndarray | None:
        """The box [4] at a time, between two known ones on the straight line; None where the person is not there.

        step: seconds between key frames. Before coming and after leaving the person stays for half the usual distance of
        two boxes, half a step at most.
        """
        if not self.times[0] - step / 2 <= time + 1e-6 <= self.times[-1] + step / 2 + 2e-6:
            return None
        after = int(np.searchsorted(self.times, time))
        before = after - 1
        if 0 < after < len(self.times):
            gap = self.times[after] - self.times[before]
            if gap <= GAP * step + 1e-6:
                share = (time - self.times[before]) / gap
                return (1 - share) * self.xyxy[before] + share * self.xyxy[after]
        stay = min(float(np.median(np.diff(self.times))) if len(self.times) > 1 else step, step) / 2
        for near in (before, after):
            if 0 <= near < len(self.times) and abs(self.times[near] - time) <= stay + 1e-6:
                return self.xyxy[near]
        return None

    def scores_at(self, time: float, step: float) -> np.ndarray | None:
        """The scores [K] of the nearest key frame; None where that is further than GAP steps away."""
        if not len(self.action_times):
            return None
        nearest = int(np.abs(self.action_times - time).argmin())
        return self.scores[nearest] if abs(self.action_times[nearest] - time) <= GAP * step else None


@dataclass(frozen=True)
class ActionsResult:
    """Persons of a video and their actions.

    duration in seconds; width, height of the video in pixels; step: seconds from key frame to key frame; classes: K names.
    model, weights, precision: what it was computed with; weights is None where the model has initial values.
    """

    video: str
    duration: float
    width: int
    height: int
    step: float
    classes: tuple[str, ...]
    persons: tuple[PersonActions, ...]
    model: str = ""
    weights: str | None = None
    precision: str = "float32"

    def spans(self, top: int = 3, threshold: float = 0.3) -> list[ActionSpan]:
        """Who does what from when to when, in the order of persons and times.

        An action counts at a key frame where it is among the `top` of the person with a score of `threshold` or more; it
        stands for half a step around, and key frames that follow each other are one span.
        """
        found = []
        for person in self.persons:
            shown = [_top(row, top, threshold) for row in person.scores]
            for k in sorted({k for classes in shown for k in classes}):
                places = [place for place, classes in enumerate(shown) if k in classes]
                found += [self._span(person, k, run) for run in self._runs(person, places)]
        return sorted(found, key=lambda span: (span.person, span.start, -span.score))

    def _runs(self, person: PersonActions, places: list[int]) -> list[list[int]]:
        """Key frames of a person in groups that follow each other."""
        runs: list[list[int]] = []
        for place in places:
            times = person.action_times
            if runs and place == runs[-1][-1] + 1 and times[place] - times[place - 1] <= 1.5 * self.step:
                runs[-1].append(place)
            else:
                runs.append([place])
        return runs

    def _span(self, person: PersonActions, k: int, places: list[int]) -> ActionSpan:
        start = max(float(person.action_times[places[0]]) - self.step / 2, 0.0)
        end = min(float(person.action_times[places[-1]]) + self.step / 2, self.duration)
        return ActionSpan(person.number, self.classes[k], start, end, float(person.scores[places, k].mean(dtype=np.float64)))

    def to_dict(self, top: int = 3, threshold: float = 0.3) -> dict[str, Any]:
        """Plain values: the video, the model, `classes`, `spans` (who does what when), and `persons`, each with `boxes`
        (time, x1, y1, x2, y2) and `actions` (time, `top`, all scores)."""
        return {
            "video": self.video,
            "duration": round(self.duration, 6),
            "width": self.width,
            "height": self.height,
            "step": round(self.step, 6),
            "model": self.model,
            "weights": self.weights,
            "precision": self.precision,
            "classes": list(self.classes),
            "spans": [
                {**span._asdict(), "start": round(span.start, 3), "end": round(span.end, 3), "score": round(span.score, 6)}
                for span in self.spans(top, threshold)
            ],
            "persons": [self._person(person, top, threshold) for person in self.persons],
        }

    def _person(self, person: PersonActions, top: int, threshold: float) -> dict[str, Any]:
        boxes = np.concatenate([person.times[:, None], person.xyxy], 1)
        return {
            "number": person.number,
            "name": person.name,
            "start": round(float(person.times[0]), 6),
            "end": round(float(person.times[-1]), 6),
            "boxes": [[round(time, 6), *(round(value, 2) for value in box)] for time, *box in boxes.tolist()],
            "actions": [
                {
                    "time": round(float(time), 6),
                    "top": [entry._asdict() for entry in self._named(row, top, threshold)],
                    "scores": [round(float(score), 6) for score in row],
                }
                for time, row in zip(person.action_times, person.scores)
            ],
        }

    def _named(self, scores: np.ndarray, top: int, threshold: float) -> list[ClassScore]:
        return [ClassScore(self.classes[k], round(float(scores[k]), 6)) for k in _top(scores, top, threshold)]

    def save(self, path: str | PathLike[str], top: int = 3, threshold: float = 0.3) -> Path:
        """Write `to_dict` as JSON, whole or not at all. Raises RunError where it cannot be written."""
        content = json.dumps(self.to_dict(top, threshold), ensure_ascii=False) + "\n"
        return write_whole(path, content.encode())

    def draw(self, frames: Any, times: Sequence[float], top: int = 3, threshold: float = 0.3) -> np.ndarray:
        """Frames with the boxes of the persons at each time and what they do, uint8 [T, H', W', 3].

        frames: [T, H, W, C] of the video at its own size, uint8 or float in 0..1; times: seconds of each. Raises DataError.
        """
        images = as_frames(frames)
        if len(times) != len(images):
            raise DataError(f"{len(images)} frames cannot be drawn with {len(times)} times: give one time for each frame")
        painter = ActionPainter(self, top, threshold)
        return np.stack([painter(time, image) for time, image in zip(times, images)])


class ActionPainter:
    """Draws the persons of a result on one frame after the other, so that a long video needs no memory."""

    def __init__(self, result: ActionsResult, top: int = 3, threshold: float = 0.3) -> None:
        self._result, self._top, self._threshold = result, top, threshold

    def __call__(self, time: float, frame: np.ndarray) -> np.ndarray:
        """The frame uint8 [H, W, 3] that is shown at `time` (seconds) with its boxes, enlarged where it is small."""
        zoom = max(round(SIDE / max(frame.shape[:2])), 1)
        scale = zoom * frame.shape[1] / self._result.width
        shown = []
        for person in self._result.persons:
            xyxy = person.box_at(time, self._result.step)
            if xyxy is None:
                continue
            scores = person.scores_at(time, self._result.step)
            lines = () if scores is None else tuple(
                (self._result.classes[k], round(float(scores[k]), 3)) for k in _top(scores, self._top, self._threshold)
            )  # fmt: skip
            shown.append(TaggedBox(xyxy * scale, person.number, person.title, lines))
        return draw_boxes(frame if zoom == 1 else frame.repeat(zoom, 0).repeat(zoom, 1), shown)


def save_sheet(pictures: np.ndarray, times: Sequence[float], path: str | PathLike[str], columns: int = 2) -> Path:
    """A picture of drawn frames uint8 [T, H, W, 3] in rows, each with its time below. Raises RunError."""
    cells = fit(pictures, SIDE)
    height, width = cells.shape[1:3]
    caption, gap = 24, 8
    rows = -(-len(cells) // columns)
    labels, places = [], []
    for number, time in enumerate(times):
        left, top = gap + number % columns * (width + gap), gap + number // columns * (height + caption)
        places.append((left, top))
        labels.append(Label(left + 2, top + height + caption / 2, f"{time:.2f} s", 9, MUTED))
    canvas = draw_labels(gap + columns * (width + gap), gap + rows * (height + caption), labels)
    for cell, (left, top) in zip(cells, places):
        canvas[top : top + height, left : left + width] = cell
    return save_png(canvas, path)


def _top(scores: np.ndarray, count: int, threshold: float) -> list[int]:
    """The `count` best classes of at least `threshold`, the first of equals first."""
    order = np.argsort(-scores, kind="stable")[: max(count, 0)]
    return [int(k) for k in order if scores[k] >= threshold]
