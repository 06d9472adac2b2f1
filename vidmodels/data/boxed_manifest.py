"""The samples of a detector of actions: key frames with boxes, listed like videos. Free of torch.

R boxes of a key frame, K classes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any, NamedTuple

import pyarrow as pa

from vidmodels.core.errors import DataError
from vidmodels.data.keyframes import KeyFrame, KeyFrames
from vidmodels.data.manifest import SCHEMA, Manifest
from vidmodels.data.probe import VideoInfo


class VideoFile(NamedTuple):
    """Where a video lies, its size in bytes, and frames per second where it is a folder of pictures."""

    uri: str
    bytes: int | None = None
    fps: float | None = None


class BoxedManifest(Manifest):
    """A manifest whose rows are key frames: row i is key frame i of `boxes`, its id VIDEO@SECONDS.

    files: where the videos lie by the names that `boxes` has; key frames of other videos are left out, and those videos are
    `missing`. Raises DataError where none is left.
    """

    def __init__(self, boxes: KeyFrames, files: Mapping[str, VideoFile]) -> None:
        kept = [index for index, (video, _) in enumerate(boxes.frames) if video in files]
        missing = tuple(video for video in boxes.videos if video not in files)
        if not kept:
            raise DataError(
                f"none of the {len(missing)} videos that {boxes.source} names is there, the first is {missing[0]}: give their "
                "folder in data.root"
            )
        self.files = dict(files)
        self.boxes = boxes if len(kept) == len(boxes) else boxes.take(kept)
        rows: list[dict[str, Any]] = []
        for video, time in self.boxes.frames:
            file = files[video]
            about = {"uri": file.uri, "bytes": file.bytes, "fps": file.fps}
            rows.append({"id": f"{video}@{time:.3f}", "start": time, "end": time, **about})
        super().__init__(pa.Table.from_pylist(rows, schema=SCHEMA), boxes.classes, missing)

    @property
    def num_classes(self) -> int:
        return len(self.classes or ())

    @cached_property
    def most_boxes(self) -> int:
        """The largest number of boxes of a key frame."""
        counts = self.boxes.first[1:] - self.boxes.first[:-1]
        return int(counts.max(initial=0))

    def key_frame(self, index: int, info: VideoInfo) -> KeyFrame:
        """Row `index` with its boxes in pixels of its video. Raises DataError for boxes and times outside of it."""
        return self.boxes.in_pixels(index, self.row(index).uri, info)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the key frames, their boxes, actions and class names; where files lie is not in it."""
        boxes = self.boxes.boxes
        rows = [boxes.xyxy.round(6).tolist(), boxes.labels, self.boxes.first.tolist(), self.boxes.normalised]
        content = json.dumps([super().digest, rows], separators=(",", ":"))
        return hashlib.sha256(content.encode()).hexdigest()

    def split(self, fraction: float) -> tuple[BoxedManifest, BoxedManifest]:
        """(train, val) with about `fraction` of the videos in val, chosen by a hash of their names. Raises DataError."""
        videos = sorted(self.boxes.videos, key=lambda video: hashlib.sha256(video.encode()).digest())
        held = set(videos[: min(round(len(videos) * fraction), len(videos) - 1)])
        if not held:
            raise DataError(
                f"{fraction:g} of {len(videos)} videos leaves none for validation: give more videos or a larger fraction"
            )
        sides: tuple[list[int], list[int]] = ([], [])
        for index, (video, _) in enumerate(self.boxes.frames):
            sides[video in held].append(index)
        return self._taken(sides[0]), self._taken(sides[1])

    def saved_table(self) -> pa.Table:
        """The manifest with the boxes and their classes as further columns."""
        frames = [self.boxes.row(index).boxes for index in range(len(self))]
        boxes = pa.array([each.xyxy.tolist() for each in frames], pa.list_(pa.list_(pa.float64())))
        labels = pa.array([[list(row) for row in each.labels] for each in frames], pa.list_(pa.list_(pa.int64())))
        return self.table.append_column("boxes", boxes).append_column("box_labels", labels)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "boxes": self.boxes, "files": self.files}

    def _taken(self, indices: list[int]) -> BoxedManifest:
        return BoxedManifest(self.boxes.take(indices), self.files)
