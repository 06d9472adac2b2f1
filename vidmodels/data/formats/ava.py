"""AVA, versions 2.1 and 2.2: boxes with actions, boxes of a detector, label map, excluded moments, lists of frames.

The lists count the seconds of whole movies; the published cuts and frames begin at 15 minutes (ORIGIN).
"""

from __future__ import annotations

import csv
import io
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence

import numpy as np

from vidmodels.core.errors import DataError
from vidmodels.core.structures import pairwise_iou
from vidmodels.data.keyframes import BoxRow, KeyFrames
from vidmodels.data.storage import is_video, join, list_files, read_bytes

NUM_CLASSES = 80
FIRST_SECOND, LAST_SECOND = 902, 1798
ORIGIN = 900.0
FPS = 30.0
"""Frames per second of the published frames."""

Moment = tuple[str, float]
"""A video and a second of it."""


def read_ava(path: str, num_classes: int = NUM_CLASSES, excluded: Collection[Moment] = (), origin: float = ORIGIN) -> KeyFrames:
    """The boxes of people with their actions: lines of video, second, x1, y1, x2, y2 (shares of the frame), action, person.

    Actions count from 1 in the file and from 0 here. A line of two columns is a key frame without boxes. excluded: moments
    that are left out; origin: the second at which the video files begin (0 for whole movies). Raises DataError.
    """
    rows = []
    for line, cells in _lines(path, (2, 7, 8)):
        moment = _moment(path, line, cells)
        if not FIRST_SECOND <= moment[1] <= LAST_SECOND:
            raise DataError(
                f"{path}, row {line}: second {moment[1]:g} is no key frame of AVA, which has {FIRST_SECOND} to {LAST_SECOND}: "
                "correct it, or read the file as boxes of your own"
            )
        if moment in excluded or len(cells) == 2:
            continue
        action = _whole(path, line, "action", cells[6], num_classes)
        person = cells[7] or None if len(cells) == 8 else None
        rows.append(BoxRow(moment[0], moment[1] - origin, _box(path, line, cells), (action - 1,), person, row=line))
    return KeyFrames.from_rows(rows, path, normalised=True)


def read_detections(
    path: str,
    min_score: float = 0.8,
    num_classes: int = NUM_CLASSES,
    excluded: Collection[Moment] = (),
    origin: float = ORIGIN,
) -> KeyFrames:
    """The boxes of a person detector of at least `min_score`: lines of video, second, x1, y1, x2, y2, (action,) score.

    The action is empty or -1 where the list gives none. Boxes at other moments than AVA's key frames are left out, as are
    the excluded. These are the boxes that a model is tested on. Raises DataError.
    """
    rows = []
    for line, cells in _lines(path, (7, 8)):
        moment, score = _moment(path, line, cells), _number(path, line, "score", cells[-1])
        if not 0 <= score <= 1:  # such as the number of a person, in a list of true boxes
            raise DataError(f"{path}, row {line}: score {score:g} is not in 0..1: give a list of detected boxes")
        if score < min_score or moment in excluded or not FIRST_SECOND <= moment[1] <= LAST_SECOND:
            continue
        given = len(cells) == 8 and cells[6] not in ("", "-1")
        labels = (_whole(path, line, "action", cells[6], num_classes) - 1,) if given else ()
        rows.append(BoxRow(moment[0], moment[1] - origin, _box(path, line, cells), labels, score=score, row=line))
    return KeyFrames.from_rows(rows, path, normalised=True)


def training_boxes(truth: KeyFrames, detected: KeyFrames, min_overlap: float = 0.9, negatives: bool = False) -> KeyFrames:
    """The true boxes and, beside them, those of a detector with the actions of the true box that they overlap most.

    A detected box with actions of its own keeps them; one without any, and below `min_overlap` of every true box, is left
    out, or (negatives) stays as a person who does nothing. Moments without a true box are left out (SlowFast, section 5).
    `rows` of the table count in two files, which its `source` names both.
    """
    known = {frame: index for index, frame in enumerate(truth.frames)}
    rows = list(_rows(truth))
    for index, frame in enumerate(detected.frames):
        if frame not in known:
            continue
        true, found = truth.row(known[frame]).boxes, detected.row(index).boxes
        overlap = pairwise_iou(found.xyxy, true.xyxy)
        for box, row in enumerate(_rows(detected, index)):
            nearest = int(overlap[box].argmax())
            labels = row.labels or (true.labels[nearest] if overlap[box, nearest] >= min_overlap - 1e-9 else ())
            if labels or negatives:
                rows.append(row._replace(labels=labels))
    return KeyFrames.from_rows(rows, f"{truth.source} or {detected.source}", truth.classes, truth.normalised)


def read_label_map(path: str) -> dict[int, str]:
    """Numbers, from 1, and names of the actions in a .pbtxt file; AVA's map of the evaluation names 60 of the 80.

    Raises DataError.
    """
    names: dict[int, str] = {}
    for block in re.findall(r"\{([^{}]*)\}", _text(path)):
        name, number = re.search(r'\bname:\s*"([^"]*)"', block), re.search(r"\b(?:label_)?id:\s*(\d{1,9})\b", block)
        if name is None or number is None:
            raise DataError(f"{path}: the item {' '.join(block.split())[:80]!r} lacks its name or its id: add it")
        names[int(number[1])] = name[1]
    if not names or 0 in names:
        raise DataError(f"{path} is no label map: give a .pbtxt file with items of a name and an id from 1")
    return names


def ava_classes(names: dict[int, str], num_classes: int = NUM_CLASSES) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Names of all classes by their number from 0, and the numbers of those that are evaluated, from a label map."""
    if (largest := max(names)) > num_classes:
        raise DataError(f"the label map names action {largest}, and there are {num_classes}: give the map of this data set")
    classes = tuple(names.get(number, f"action {number}") for number in range(1, num_classes + 1))
    return classes, tuple(sorted(number - 1 for number in names))


def read_excluded(path: str) -> frozenset[Moment]:
    """The moments that are not evaluated: lines of video and second. Raises DataError."""
    return frozenset(_moment(path, line, cells) for line, cells in _lines(path, (2,)))


def read_frame_lists(path: str, root: str) -> dict[str, tuple[str, ...]]:
    """The pictures of each video in their order, for FrameReader, from a list "original_vido_id video_id frame_id path labels".

    root: the folder that the paths are relative to. Raises DataError.
    """
    frames: dict[str, dict[int, str]] = defaultdict(dict)
    for number, text in enumerate(_text(path).splitlines(), 1):
        cells = text.split()
        if not cells or (number == 1 and "frame_id" in cells):
            continue
        if len(cells) < 4 or not re.fullmatch(r"\d{1,9}", cells[2]):
            raise DataError(f"{path}, row {number}: {text[:80]!r} is not a video, its number, a frame's number and a path")
        frames[cells[0]][int(cells[2])] = join(root, cells[3])
    if not frames:
        raise DataError(f"{path} lists no frame: give a list with a video, its number, a frame's number and a path a line")
    return {video: tuple(paths[number] for number in sorted(paths)) for video, paths in frames.items()}


def find_videos(names: Sequence[str], root: str) -> tuple[dict[str, str], tuple[str, ...]]:
    """Addresses of the videos of these names (files NAME.mp4 or the like, at any depth), and the names that are not there."""
    found: dict[str, str] = {}
    for name, _ in list_files(root):
        if is_video(name):
            found.setdefault(name.rsplit("/", 1)[-1].rsplit(".", 1)[0], join(root, name))
    return {name: found[name] for name in names if name in found}, tuple(name for name in names if name not in found)


def _rows(table: KeyFrames, index: int | None = None) -> Iterator[BoxRow]:
    """The rows of a table again, or those of one key frame."""
    for frame in range(len(table)) if index is None else (index,):
        video, time = table.frames[frame]
        for place in range(table.first[frame], table.first[frame + 1]):
            boxes = table.boxes
            x1, y1, x2, y2 = boxes.xyxy[place].tolist()
            score, row = float(boxes.scores[place]), int(table.rows[place])
            yield BoxRow(video, time, (x1, y1, x2, y2), boxes.labels[place], boxes.persons[place], score, row)


def _lines(path: str, widths: tuple[int, ...]) -> Iterator[tuple[int, list[str]]]:
    """Cells of the lines with their numbers."""
    reader = csv.reader(io.StringIO(_text(path)))
    try:
        for cells in reader:
            if cells and len(cells) not in widths:
                wanted = " or ".join(map(str, widths))
                raise DataError(f"{path}, row {reader.line_num}: {len(cells)} columns, not {wanted}: separate them by commas")
            if cells:
                yield reader.line_num, [cell.strip() for cell in cells]
    except csv.Error as error:
        raise DataError(f"{path}, row {reader.line_num}: this is not CSV ({error}): correct it") from error


def _moment(path: str, line: int, cells: list[str]) -> Moment:
    return cells[0], _number(path, line, "second", cells[1])


def _box(path: str, line: int, cells: list[str]) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = (_number(path, line, name, cell) for name, cell in zip(("x1", "y1", "x2", "y2"), cells[2:6]))
    return x1, y1, x2, y2


def _number(path: str, line: int, name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise DataError(f"{path}, row {line}: {name} {text!r} is not a number: correct it")
    return value


def _whole(path: str, line: int, name: str, text: str, most: int) -> int:
    """A class number of the file, which counts from 1."""
    value = _number(path, line, name, text)
    if value != int(value) or not 1 <= value <= most:
        raise DataError(f"{path}, row {line}: {name} {text} is not in the list of {most}, which counts from 1: correct it")
    return int(value)


def _text(path: str) -> str:
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not a text file: give one of AVA's lists") from error
