"""Key frames: the moments of videos at which the boxes of people are known, as one table. Free of torch.

F key frames, R boxes in all of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from vidmodels.core.errors import DataError
from vidmodels.core.structures import Boxes
from vidmodels.data.probe import VideoInfo
from vidmodels.data.storage import is_video

OVERSHOOT = 0.05
"""Share of the frame by which a box may stand over its edge, as detectors have it; it is cut there."""

Xyxy = tuple[float, float, float, float]


class BoxRow(NamedTuple):
    """One row of a file of boxes: time in seconds of the video, row its number in the file."""

    video: str
    time: float
    xyxy: Xyxy
    labels: tuple[int, ...] = ()
    person: str | None = None
    score: float = 1.0
    row: int = 0


class KeyFrame(NamedTuple):
    """The boxes of a video at one time in seconds."""

    video: str
    time: float
    boxes: Boxes


@dataclass(frozen=True)
class KeyFrames:
    """Key frames in the order of their videos and times.

    frames: video and time of each; first: int64 [F + 1], key frame i has the boxes first[i] to first[i + 1]; rows: int64 [R],
    where each box stands in its file, `source`. classes: names of the labels. normalised: whether the boxes are shares of
    the frame, else they are pixels.
    """

    frames: tuple[tuple[str, float], ...]
    first: np.ndarray
    boxes: Boxes
    rows: np.ndarray
    source: str
    classes: tuple[str, ...] | None = None
    normalised: bool = False

    @classmethod
    def from_rows(
        cls, rows: Iterable[BoxRow], source: str, classes: tuple[str, ...] | None = None, normalised: bool = False
    ) -> KeyFrames:
        """The table of these rows; rows of one box of one person are one box with the labels of all.

        Raises DataError for a box that is inverted or (normalised) outside of the frame.
        """
        table: dict[tuple[str, float], dict[tuple[Xyxy, str | None], BoxRow]] = {}
        for row in rows:
            _check_box(row, source, normalised)
            frame, key = table.setdefault((row.video, row.time), {}), (row.xyxy, row.person)
            before = frame.get(key)
            if before is not None:
                more = tuple(label for label in row.labels if label not in before.labels)
                row = before._replace(labels=before.labels + more, score=max(before.score, row.score))
            frame[key] = row
        frames = tuple(sorted(table))
        ordered = [row for frame in frames for row in table[frame].values()]
        boxes = Boxes(
            [row.xyxy for row in ordered],
            [row.score for row in ordered],
            [row.person for row in ordered],
            [row.labels for row in ordered],
        )
        if ordered and not normalised and boxes.xyxy.max() <= 1:
            raise DataError(f"{source}: all boxes lie within one pixel: if they are shares of the frame, say so (normalised)")
        first = np.cumsum([0] + [len(table[frame]) for frame in frames])
        return cls(frames, first, boxes, np.array([row.row for row in ordered], np.int64), source, classes, normalised)

    def __len__(self) -> int:
        return len(self.frames)

    def __iter__(self) -> Iterator[KeyFrame]:
        return (self.row(index) for index in range(len(self)))

    def row(self, index: int) -> KeyFrame:
        """Key frame number `index`, its boxes as they stand in the file."""
        if not 0 <= index < len(self):
            raise IndexError(f"key frame {index} outside 0..{len(self) - 1}")
        return KeyFrame(*self.frames[index], self.boxes.take(np.arange(self.first[index], self.first[index + 1])))

    def truth(self, num_classes: int) -> dict[tuple[str, float], tuple[np.ndarray, np.ndarray]]:
        """For each key frame its boxes [R, 4], as they stand in the file, and what is true of them, float32 [R, K]."""
        return {(frame.video, frame.time): (frame.boxes.xyxy, frame.boxes.targets(num_classes)) for frame in self}

    @property
    def videos(self) -> tuple[str, ...]:
        """The names of the videos, each once."""
        return tuple(dict.fromkeys(video for video, _ in self.frames))

    def take(self, indices: Sequence[int]) -> KeyFrames:
        """The key frames of these numbers, in their order."""
        places = [np.arange(self.first[index], self.first[index + 1]) for index in indices]
        picked = np.concatenate([np.zeros(0, np.int64), *places])
        first = np.cumsum([0, *map(len, places)])
        frames = tuple(self.frames[index] for index in indices)
        return replace(self, frames=frames, first=first, boxes=self.boxes.take(picked), rows=self.rows[picked])

    def of_video(self, uri: str, info: VideoInfo) -> list[KeyFrame]:
        """The key frames of one video, their boxes in its pixels and cut at its edges.

        A file names a video by its path, its file name, or that without the ending. Raises DataError where it names none
        or several, for a key frame outside of the video's time, and for a box outside of its frame.
        """
        name = self._name_of(uri)
        return [self.in_pixels(index, uri, info) for index, (video, _) in enumerate(self.frames) if video == name]

    def in_pixels(self, index: int, uri: str, info: VideoInfo) -> KeyFrame:
        """Key frame number `index` with its boxes in pixels of its video at `uri`, cut at the edges. Raises as `of_video`."""
        video, time = self.frames[index]
        where = f"{self.source}, row {self.rows[self.first[index]]}"
        if not 0 <= time < info.duration + 0.5 / info.fps:
            raise DataError(
                f"{where}: the key frame at {time:g} s is outside of {uri}, which lasts {info.duration:g} s: correct its "
                "time, or leave it out"
            )
        boxes = self.row(index).boxes
        if self.normalised:
            boxes = boxes.scaled(info.width, info.height)
        for box, row in zip(boxes.xyxy, self.rows[self.first[index] :]):
            if _is_outside(box, info.width, info.height):
                raise DataError(
                    f"{self.source}, row {row}: the box {_said(box)} lies outside of the {info.width}x{info.height} frame "
                    f"of {uri}: correct it, or give the video that the boxes were made for"
                )
        return KeyFrame(video, time, boxes.clipped(info.width, info.height))

    def _name_of(self, uri: str) -> str:
        """The name that the table has for the video at `uri`."""
        forms: tuple[Callable[[str], str], ...] = (str, _file_name, _stem)
        for form in forms:
            names = [video for video in self.videos if form(video) == form(uri)]
            if len(names) > 1:
                raise DataError(f"{self.source} has boxes of {names[0]} and of {names[1]}: give the path that it names")
            if names:
                return names[0]
        listed = ", ".join(self.videos[:3]) or "none"
        raise DataError(f"{self.source} has no boxes of {uri}; it names {listed}: correct its column `video`")


def _check_box(row: BoxRow, source: str, normalised: bool) -> None:
    where = f"{source}, row {row.row}"
    x1, y1, x2, y2 = row.xyxy
    if not all(map(math.isfinite, (*row.xyxy, row.time))):
        raise DataError(f"{where}: time {row.time} and box {_said(row.xyxy)} must be finite numbers")
    if not (x1 < x2 and y1 < y2):
        raise DataError(f"{where}: the box {_said(row.xyxy)} is inverted or empty: give x1 < x2 and y1 < y2")
    if normalised and _is_outside(row.xyxy, 1, 1):
        raise DataError(
            f"{where}: the box {_said(row.xyxy)} lies outside of the frame, whose sides are 1 for normalised boxes: "
            "correct it, or read the boxes as pixels"
        )


def _is_outside(box: Iterable[float], width: float, height: float) -> bool:
    """Whether a box stands far over the edges of the frame, or has no part inside."""
    x1, y1, x2, y2 = box
    over = max(-x1 / width, -y1 / height, x2 / width - 1, y2 / height - 1)
    return over > OVERSHOOT or x1 >= width or y1 >= height or x2 <= 0 or y2 <= 0


def _said(box: Iterable[float]) -> str:
    return f"({', '.join(f'{value:g}' for value in box)})"


def _file_name(path: str) -> str:
    return path.replace("\\", "/").rsplit("/", 1)[-1]


def _stem(path: str) -> str:
    name = _file_name(path)
    return name.rsplit(".", 1)[0] if is_video(name) else name
