"""What a classifier says about a video: scores of the whole, scores over time, as numbers, JSON and pictures.

K classes (of all label sets), T frames, H height, W width. Free of torch.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vidmodels.core.errors import DataError
from vidmodels.core.label_sets import parts_of
from vidmodels.visual.canvas import ACCENT, INK, MUTED, Label, as_frames, draw_labels, write_whole
from vidmodels.visual.text import percent, shorten

SIDE = 320  # a small frame is enlarged to about this many pixels, so that names can be read below it
ROW, PAD, BAR = 24, 10, 6
EMPTY, FULL = (44, 50, 60), (124, 178, 255)


class ClassScore(NamedTuple):
    """A class with its probability."""

    name: str
    score: float


@dataclass(frozen=True)
class Window:
    """The scores float32 [K] of the span `start` to `end`, in seconds of the video.

    heard: whether the model heard sound in it; None for one that takes none.
    """

    start: float
    end: float
    scores: np.ndarray
    heard: bool | None = None


@dataclass(frozen=True)
class ClassifyResult:
    """Classes of a video, or of a window of it.

    scores: float32 [K], probabilities, the mean over `windows`; classes: K names, LabelSets where there are several sets.
    model, weights, precision: what it was computed with; weights is None where the model has initial values.
    """

    video: str
    classes: tuple[str, ...]
    scores: np.ndarray
    windows: tuple[Window, ...]
    model: str = ""
    weights: str | None = None
    precision: str = "float32"

    def top(self, k: int = 5) -> list[ClassScore]:
        """The `k` most probable classes, the first of equals first."""
        return _top(self.scores, self.classes, k)

    def tops(self, k: int = 5) -> dict[str, list[ClassScore]]:
        """The `k` most probable classes of each label set by its name; by '' where there is one."""
        return _tops(self.scores, self.classes, k)

    @property
    def sound(self) -> str | None:
        """In words, whether the model heard the video; None for a model that takes no sound."""
        heard = [window.heard for window in self.windows if window.heard is not None]
        if not heard:
            return None
        if all(heard):
            return "with sound"
        return f"with sound in {sum(heard)} of {len(heard)} clips" if any(heard) else "without sound: it has none"

    def to_dict(self, k: int = 5) -> dict[str, Any]:
        """Plain values: `video`, `model`, `weights`, `precision`, `top` (k classes with scores), `classes`, `scores`
        and `windows` (`start` and `end` in seconds, `top`, `scores`). Of a model that hears each window has `heard`; of several
        label sets `top` has the k classes of each by its name."""
        return {
            "video": self.video,
            "model": self.model,
            "weights": self.weights,
            "precision": self.precision,
            "top": _plain_tops(self.tops(k)),
            "classes": list(self.classes),
            "scores": _plain(self.scores),
            "windows": [
                {
                    "start": round(window.start, 6),
                    "end": round(window.end, 6),
                    "top": _plain_tops(_tops(window.scores, self.classes, k)),
                    "scores": _plain(window.scores),
                    **({} if window.heard is None else {"heard": window.heard}),
                }
                for window in self.windows
            ],
        }

    def save(self, path: str | PathLike[str], k: int = 5) -> Path:
        """Write `to_dict` as JSON, whole or not at all. Raises RunError where it cannot be written."""
        return write_whole(path, (json.dumps(self.to_dict(k), indent=2) + "\n").encode())

    def draw(self, frames: Any, times: Sequence[float] | None = None, k: int = 3) -> np.ndarray:
        """Frames with a panel of the top classes at each time below them, uint8 [T, H', W', 3].

        frames: [T, H, W, C], uint8 or float in 0..1; times: seconds of each, default: evenly over the windows.
        Raises DataError for other shapes.
        """
        images = as_frames(frames)
        if times is None:
            end = max((window.end for window in self.windows), default=0.0)
            times = [end * (number + 0.5) / len(images) for number in range(len(images))]
        if len(times) != len(images):
            raise DataError(f"{len(images)} frames cannot be drawn with {len(times)} times: give one time for each frame")
        painter = Painter(self, k)
        return np.stack([painter(time, image) for time, image in zip(times, images)])


class Painter:
    """Draws a result below one frame after the other, so that a long video needs no memory.

    The k classes (of each label set) are those of the highest score in any window, and keep their places.
    """

    def __init__(self, result: ClassifyResult, k: int = 3) -> None:
        self._result = result
        highest = np.max([window.scores for window in result.windows], axis=0) if result.windows else result.scores
        self._sets = [place for place, _ in parts_of(result.classes).values()]
        self._shown = [part.start + int(i) for part in self._sets for i in np.argsort(-highest[part], kind="stable")[:k]]
        self._panels: dict[tuple[int, int], np.ndarray] = {}

    def __call__(self, time: float, frame: np.ndarray) -> np.ndarray:
        """The frame uint8 [H, W, 3] that is shown at `time` (seconds) above its panel, uint8 [H', W', 3]."""
        zoom = max(SIDE // max(frame.shape[:2]), 1)
        image = frame.repeat(zoom, 0).repeat(zoom, 1)
        number = self._window_at(time)
        key = (number, image.shape[1])
        if key not in self._panels:
            self._panels = {key: self._panel(number, image.shape[1])}  # windows come in order: keep one
        return np.concatenate([image, self._panels[key]])

    def _window_at(self, time: float) -> int:
        """The window that covers `time`, of several the one with the nearest middle; -1 without windows."""
        middles = [abs((window.start + window.end) / 2 - time) for window in self._result.windows]
        return int(np.argmin(middles)) if middles else -1

    def _panel(self, number: int, width: int) -> np.ndarray:
        result = self._result
        scores = result.scores if number < 0 else result.windows[number].scores
        wide = max(width, 160)
        first = {int(np.argmax(scores[part])) + part.start for part in self._sets}
        labels = []
        for row, index in enumerate(self._shown):
            y = PAD + row * ROW + 7
            best = index in first
            name = shorten(result.classes[index], max((wide - 2 * PAD - 48) // 7, 8))
            labels.append(Label(PAD, y, name, 8, ACCENT if best else INK, "bold" if best else "normal"))
            labels.append(Label(wide - PAD, y, percent(float(scores[index])), 8, MUTED, align="right"))
        panel = draw_labels(wide, 2 * PAD + ROW * len(self._shown), labels)[:, :width].copy()
        for row, index in enumerate(self._shown):
            top = PAD + row * ROW + 15
            right = width - PAD
            panel[top : top + BAR, PAD:right] = EMPTY
            panel[top : top + BAR, PAD : PAD + round(float(scores[index]) * (right - PAD))] = FULL
        return panel


def merge(results: Iterator[ClassifyResult]) -> ClassifyResult:
    """Results of parts of one video as one, whose scores are the mean over all windows. Raises DataError for none."""
    parts = list(results)
    if not parts:
        raise DataError("there are no results to merge: the video gave no window")
    windows = tuple(window for part in parts for window in part.windows)
    scores = np.stack([window.scores for window in windows]).mean(0, dtype=np.float64).astype(np.float32)
    first = parts[0]
    return ClassifyResult(first.video, first.classes, scores, windows, first.model, first.weights, first.precision)


def _top(scores: np.ndarray, classes: Sequence[str], k: int) -> list[ClassScore]:
    order = np.argsort(-scores, kind="stable")[: max(k, 0)]
    return [ClassScore(classes[index], round(float(scores[index]), 6)) for index in order]


def _tops(scores: np.ndarray, classes: tuple[str, ...], k: int) -> dict[str, list[ClassScore]]:
    return {name: _top(scores[place], names, k) for name, (place, names) in parts_of(classes).items()}


def _plain_tops(tops: dict[str, list[ClassScore]]) -> Any:
    """A list, or a list for each label set by its name."""
    lists = {name: [entry._asdict() for entry in entries] for name, entries in tops.items()}
    return lists.get("", lists)


def _plain(scores: np.ndarray) -> list[float]:
    return [round(float(score), 6) for score in scores]
