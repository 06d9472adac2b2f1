"""Charades: its CSV of actions with their times, or the lists of frames that PySlowFast and PyTorchVideo read."""

from __future__ import annotations

from vidmodels.core.errors import DataError
from vidmodels.data.formats.frames import is_frame_list, read_frame_list
from vidmodels.data.formats.lists import (
    Row,
    Source,
    Videos,
    beside,
    make_manifest,
    number,
    read_class_names,
    read_records,
)
from vidmodels.data.manifest import Manifest

NUM_CLASSES = 157
FPS = 24.0
"""Frames per second of the published frames."""
COLUMNS = ("id", "actions")
CLASS_LIST = "Charades_v1_classes.txt"


def read_charades(source: Source) -> Manifest:
    """The videos of Charades_v1_train.csv and the like with all their actions and when those happen.

    A list of frames (`frame_list`) is read at 24 frames per second unless `source.fps` says otherwise. Raises DataError.
    """
    classes = _class_names(source)
    if is_frame_list(source.path):
        fps = FPS if source.fps is None else source.fps
        return read_frame_list(Source(source.path, source.root, fps, classes=classes, multi_label=True))
    videos = Videos(source.base, source.fps)
    rows: list[Row] = []
    missing: list[str] = []
    for where, record in read_records(source.path, COLUMNS, "list of Charades"):
        labels, spans = _actions(where, record["actions"], len(classes))
        place = videos.find(f"{record['id']}.mp4", record["id"])
        if place is None:
            missing.append(record["id"])
        else:
            row = {"id": record["id"], "uri": place.uri, "bytes": place.bytes, "labels": labels, "label_spans": spans}
            rows.append(row)
    return make_manifest(source, rows, missing, classes)


def _class_names(source: Source) -> tuple[str, ...]:
    if source.classes is not None:
        return source.classes
    found = beside(source.path, [CLASS_LIST])
    return tuple(f"c{index:03d}" for index in range(NUM_CLASSES)) if found is None else read_class_names(found)


def _actions(where: str, text: str, num_classes: int) -> tuple[list[int], list[tuple[float, float]]]:
    """Classes and spans of "c092 11.90 21.20;c147 0.00 12.60"; one that ends before it begins is an instant."""
    labels, spans = [], []
    for part in filter(None, (part.strip() for part in text.split(";"))):
        cells = part.split()
        index = cells[0].removeprefix("c")
        if len(cells) != 3 or not (index.isascii() and index.isdigit()):
            raise DataError(f"{where}: the action {part!r} is no class, start and end, as in c092 11.90 21.20: correct it")
        if int(index) >= num_classes:
            raise DataError(f"{where}: the action {cells[0]!r} is not in the list of {num_classes} classes: correct it")
        start, end = number(where, "start", cells[1]), number(where, "end", cells[2])
        labels.append(int(index))
        spans.append((start, max(start, end)))
    return labels, spans
