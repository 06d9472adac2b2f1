"""The data of a detector of actions as they lie on disk: boxes with actions, of people and of detectors, and videos."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from vidmodels.core.errors import DataError
from vidmodels.data.boxed_manifest import BoxedManifest, VideoFile
from vidmodels.data.formats.ava import (
    NUM_CLASSES,
    Moment,
    ava_classes,
    read_ava,
    read_detections,
    read_excluded,
    read_label_map,
)
from vidmodels.data.formats.boxes import read_boxes
from vidmodels.data.frames import open_sample
from vidmodels.data.keyframes import KeyFrames
from vidmodels.data.storage import is_picture, is_video, join, kind, list_files, parent, read_bytes

PROBED = 200
"""Videos that are looked into before a run, evenly over the list, so that wrong boxes are said before hours of work."""


@dataclass(frozen=True)
class Names:
    """Names of the classes, and the numbers of those that are evaluated (None: all)."""

    classes: tuple[str, ...] | None = None
    evaluated: tuple[int, ...] | None = None


def read_names(path: str | None) -> Names:
    """Classes from AVA's label map or from a text file with one a line; None: unknown as yet. Raises DataError."""
    if path is None:
        return Names()
    if path.endswith(".pbtxt"):
        return Names(*ava_classes(read_label_map(path)))
    names = tuple(line.strip() for line in read_bytes(path).decode("utf-8-sig", "replace").splitlines() if line.strip())
    if not names or len(set(names)) < len(names):
        raise DataError(f"{path} must hold one class name a line, each once: correct it")
    return Names(names)


@dataclass(frozen=True)
class BoxesFormat:
    """How files of boxes are read.

    format: ava, boxes (files with a header), or auto, which looks; normalised: boxes of files with a header are shares of
    the frame (AVA's always are).
    """

    format: str = "auto"
    normalised: bool = False

    def read(self, path: str, names: Names, excluded: str | None = None) -> KeyFrames:
        """True boxes with their actions. Raises DataError."""
        if self.is_ava(path):
            classes = names.classes or tuple(f"action {number}" for number in range(1, NUM_CLASSES + 1))
            return replace(read_ava(path, len(classes), _moments(excluded)), classes=classes)
        found = _without(read_boxes(path, names.classes, self.normalised), _moments(excluded))
        if found.classes is None:
            raise DataError(f"{path} names no action: give it a column `label`")
        return found

    def read_detections(self, path: str, names: Names, min_score: float, excluded: str | None = None) -> KeyFrames:
        """Boxes of a person detector of at least `min_score`; only for a score of 0 may a file have none. Raises DataError."""
        if self.is_ava(path):
            count = len(names.classes or ()) or NUM_CLASSES
            found = read_detections(path, min_score, count, _moments(excluded))
        else:
            boxes = read_boxes(path, names.classes, self.normalised, scored=min_score > 0)
            found = above(_without(boxes, _moments(excluded)), min_score)
        if not len(found):
            raise DataError(f"{path} holds no box of score {min_score:g} or more: lower data.min_score, or give another file")
        return replace(found, classes=names.classes)

    def is_ava(self, path: str) -> bool:
        """Whether the file is one of AVA's lists: CSV without a header, whose second column is a time."""
        if self.format != "auto" or not path.endswith((".csv", ".txt")):
            return self.format == "ava"
        first = next(csv.reader(io.StringIO(read_bytes(path)[:4096].decode("utf-8-sig", "replace"))), [])
        return len(first) in (2, 7, 8) and first[1].strip().replace(".", "", 1).isdigit()


def above(boxes: KeyFrames, min_score: float) -> KeyFrames:
    """The boxes of at least this score; key frames that lose all of theirs are left out."""
    keeps = boxes.boxes.scores >= min_score
    counts = np.add.reduceat(keeps, boxes.first[:-1]) if len(boxes) else np.zeros(0, int)
    picked = np.flatnonzero(keeps)
    frames = tuple(frame for frame, count in zip(boxes.frames, counts) if count)
    first = np.cumsum([0, *counts[counts > 0]])
    return replace(boxes, frames=frames, first=first, boxes=boxes.boxes.take(picked), rows=boxes.rows[picked])


def find_files(names: Sequence[str], root: str, fps: float | None = None) -> dict[str, VideoFile]:
    """Where under `root` the videos of these names lie: by path, file name, or that without the ending.

    fps: videos are folders of pictures at so many frames per second. Raises DataError where the folder is missing.
    """
    if kind(root) != "folder":
        raise DataError(f"there is no folder of videos at {root}: give it in data.root")
    found: dict[str, VideoFile] = {}
    for path, size in list_files(root):
        if fps is not None and is_picture(path) and "/" in path:
            folder = path.rsplit("/", 1)[0]
            for form in (folder, folder.rsplit("/", 1)[-1]):
                found.setdefault(form, VideoFile(join(root, folder), None, fps))
        elif fps is None and is_video(path):
            file = path.rsplit("/", 1)[-1]
            for form in (path, path.rsplit(".", 1)[0], file, file.rsplit(".", 1)[0]):
                found.setdefault(form, VideoFile(join(root, path), size))
    outside = {name: VideoFile(name) for name in names if name not in found and kind(name) == "file"}
    return {name: found[name] for name in names if name in found} | outside


def listed(boxes: KeyFrames, root: str | None, fps: float | None = None) -> BoxedManifest:
    """The key frames whose videos are under `root`, default the folder of the boxes. Raises DataError where none is."""
    return BoxedManifest(boxes, find_files(boxes.videos, root or parent(boxes.source), fps))


def check_boxes(manifest: BoxedManifest, most: int = PROBED) -> None:
    """Look into up to `most` videos: DataError for a key frame after the end or a box outside of the frame.

    A video that cannot be opened is left to the reader, which counts it.
    """
    from vidmodels.core.errors import MediaError

    first: dict[str, list[int]] = {}
    for index in range(len(manifest)):
        first.setdefault(manifest.boxes.frames[index][0], []).append(index)
    groups = list(first.values())
    for number in sorted({round(place) for place in np.linspace(0, len(groups) - 1, min(most, len(groups)))}):
        ref = manifest.row(groups[number][0])
        try:
            with open_sample(ref.uri, ref.fps) as video:
                info = video.info
        except MediaError:
            continue
        for index in groups[number]:
            manifest.key_frame(index, info)


def check_detections(truth: KeyFrames, detected: KeyFrames) -> None:
    """Raise DataError for detected boxes that have nothing to do with the true ones: other units, other videos and times."""
    if truth.normalised != detected.normalised:
        raise DataError(f"{truth.source} and {detected.source} have boxes of different units: bring both to one")
    if set(truth.frames).isdisjoint(detected.frames):
        (video, time), (other, second) = detected.frames[0], truth.frames[0]
        raise DataError(
            f"{detected.source} has boxes at none of the {len(truth)} key frames of {truth.source}; its first are of {video!r} "
            f"at {time:g} s, there {other!r} at {second:g} s: name videos and times alike"
        )


def _without(boxes: KeyFrames, excluded: Collection[Moment]) -> KeyFrames:
    return boxes.take([index for index, frame in enumerate(boxes.frames) if frame not in excluded]) if excluded else boxes


def _moments(path: str | None) -> frozenset[Moment]:
    return frozenset() if path is None else read_excluded(path)
