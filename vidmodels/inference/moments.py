"""The people of a video moment by moment: which moments are key frames, and what becomes of the answers. Free of torch.

R boxes, K classes, H height, W width.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from vidmodels.core.errors import ConfigError
from vidmodels.core.structures import Boxes
from vidmodels.data.probe import VideoInfo
from vidmodels.tasks.action_results import PersonActions


@dataclass(frozen=True)
class FrameActions:
    """The people at `time` (seconds): their boxes in pixels of the video, their numbers, and scores float32 [R, K].

    scores is None between key frames, where only the boxes are known.
    """

    time: float
    boxes: Boxes
    persons: tuple[int, ...]
    scores: np.ndarray | None


def chosen_keys(times: Sequence[float], step: float) -> tuple[list[float], float]:
    """Of growing times those that are key frames, at least `step` seconds apart, and how far apart they usually are.

    Raises ConfigError for a step that is no length of time.
    """
    check_step(step)
    chosen: list[float] = []
    for time in times:
        if not chosen or time >= chosen[-1] + step - 1e-3:
            chosen.append(time)
    return chosen, float(np.median(np.diff(chosen))) if len(chosen) > 1 else step


def check_step(step: float) -> None:
    """Raise ConfigError for a step that is no length of time."""
    if not 0 < step < float("inf"):
        raise ConfigError(f"key frames {step:g} s apart never reach the end of a video: give a step above 0")


def boxes_in_clips(boxes: Sequence[Boxes], info: VideoInfo, height: int, width: int) -> np.ndarray:
    """The boxes of some frames of a video as float64 [R, 5] (number of the frame, x1, y1, x2, y2), in its frames of H x W."""
    rows = []
    for number, each in enumerate(boxes):
        scaled = each.scaled(width / info.width, height / info.height).clipped(width, height)
        rows.append(np.column_stack([np.full(len(scaled), number), scaled.xyxy]))
    return np.concatenate(rows)


def key_times(info: VideoInfo, step: float) -> list[float]:
    """The middles of all spans of `step` seconds in a video; of a shorter video its middle."""
    count = int(info.duration / step + 0.5)
    return [(number + 0.5) * step for number in range(count)] or [info.duration / 2]


def gather(moments: Iterable[FrameActions]) -> tuple[PersonActions, ...]:
    """The people of all moments, each with its boxes and scores, in the order of their numbers."""
    names: dict[int, str | None] = {}
    boxes: dict[int, list[tuple[float, np.ndarray]]] = {}
    actions: dict[int, list[tuple[float, np.ndarray]]] = {}
    for moment in moments:
        for row, number in enumerate(moment.persons):
            names.setdefault(number, moment.boxes.persons[row])
            boxes.setdefault(number, []).append((moment.time, moment.boxes.xyxy[row]))
            if moment.scores is not None:
                actions.setdefault(number, []).append((moment.time, moment.scores[row]))
    persons = []
    for number in sorted(boxes):
        times, xyxy = zip(*boxes[number])
        action_times, scores = zip(*actions[number]) if number in actions else ((), np.zeros((0, 0), np.float32))
        persons.append(
            PersonActions(
                number, names[number], np.array(times), np.array(xyxy), np.array(action_times, float), np.array(scores)
            )
        )
    return tuple(persons)
