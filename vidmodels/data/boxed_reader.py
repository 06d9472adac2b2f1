"""Key frames read for a detector of actions: training crops that move the boxes along, and whole frames for tests.

M key frames of a micro-batch, R clips of each, T frames, S side, h, w sides of a whole frame, C colours, P places for
boxes, K classes. Free of torch, so that decoders stay small.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vidmodels.core.errors import VidmodelsError
from vidmodels.core.recipe import ClipSection
from vidmodels.core.structures import Boxes
from vidmodels.data.boxed_clips import centred_request, read_whole_frames
from vidmodels.data.boxed_manifest import BoxedManifest
from vidmodels.data.decode import Frames
from vidmodels.data.frames import open_sample
from vidmodels.data.geometry import Crop, crop_and_resize, short_side, training_crop
from vidmodels.data.keyframes import KeyFrame
from vidmodels.data.order import hash_key
from vidmodels.data.probe import TRUSTED
from vidmodels.data.reader import Row, TrainReader
from vidmodels.data.sampling import rng_for
from vidmodels.data.sandbox import probe_untrusted, read_many_untrusted

LEAST_SIDE = 1.0
"""A box of which the crop leaves less than so many pixels, in width or height, is dropped."""


@dataclass(frozen=True)
class KeyFrameReader(TrainReader):
    """Reads the clips around key frames by global number; the arguments are TrainReader's.

    The columns have two more: `boxes` float32 [M, P, 5], rows of (clip of the sample, x1, y1, x2, y2) in pixels of the crop,
    and `box_targets` float32 [M, P, K]. P is the same for all samples; rows that fill up have clip -1. A box outside of the
    crop is dropped, and a sample may lose all of its boxes.
    """

    manifests: tuple[BoxedManifest, ...]  # type: ignore[assignment]

    def read(self, number: int, apart: bool = False) -> Row:
        """One sample; `apart` decodes in a child process, for a video that may kill its decoder."""
        where = self.order(number)
        manifest = self.manifests[where.source]
        try:
            frame, decoded = self._read_around(manifest, where.index, apart)
        except VidmodelsError as error:
            return self.failed(number, str(error))
        height, width = decoded.frames.shape[1:3]
        clips = np.empty(self._shape, np.uint8)
        inside = []
        for view in range(self.clip.repeats):
            rng = rng_for(self.seed, hash_key(where.source, where.draw, where.index), view, 1)
            crop = training_crop(height, width, self.clip, rng)
            crop_and_resize(decoded.frames, crop, self.clip.size, out=clips[view])
            inside.append(cropped(frame.boxes, crop, self.clip.size))
        return self._sample(number, clips, decoded.repeated, "", inside)

    def failed(self, number: int, error: str) -> Row:
        return self._sample(number, np.zeros(self._shape, np.uint8), 0, error, [])

    def _read_around(self, manifest: BoxedManifest, index: int, apart: bool) -> tuple[KeyFrame, Frames]:
        ref = manifest.row(index)
        if apart:
            info = probe_untrusted(ref.uri, TRUSTED, ref.fps)
            frame = manifest.key_frame(index, info)
            times = centred_request(frame.time, self.clip, info).times
            return frame, read_many_untrusted(ref.uri, [times], TRUSTED, ref.fps)[0]
        with open_sample(ref.uri, ref.fps) as video:
            frame = manifest.key_frame(index, video.info)
            return frame, video.read(centred_request(frame.time, self.clip, video.info).times)

    def _sample(self, number: int, clips: np.ndarray, repeated: int, error: str, inside: Sequence[Boxes]) -> Row:
        num_classes = max(manifest.num_classes for manifest in self.manifests)
        places = self.clip.repeats * max(manifest.most_boxes for manifest in self.manifests)
        boxes, targets = np.full((places, 5), -1, np.float32), np.zeros((places, num_classes), np.float32)
        filled = 0
        for view, found in enumerate(inside):
            rows = slice(filled, filled + len(found))
            boxes[rows, 0], boxes[rows, 1:], targets[rows] = view, found.xyxy, found.targets(num_classes)
            filled += len(found)
        row: Row = {"clips": clips, "number": number, "id": self.id_of(number), "label": -1, "repeated": repeated}
        return {**row, "error": error, "boxes": boxes, "box_targets": targets}


def cropped(boxes: Boxes, crop: Crop, size: int) -> Boxes:
    """The parts of boxes inside a crop that is resized to `size` x `size`, in its pixels."""
    moved = Boxes(boxes.xyxy - (crop.left, crop.top) * 2, boxes.scores, boxes.persons, boxes.labels)
    scaled = moved.scaled(size / crop.width, size / crop.height).clipped(size, size)
    sides = scaled.xyxy[:, 2:] - scaled.xyxy[:, :2]
    return scaled.take(np.flatnonzero((sides >= LEAST_SIDE).all(1)))


@dataclass(frozen=True)
class WholeFrameReader:
    """Reads key frames for tests: whole frames whose short side is `size`, all boxes."""

    manifest: BoxedManifest
    clip: ClipSection
    size: int

    def read(self, index: int) -> Row:
        """One key frame: `clips` uint8 [1, T, h, w, C], `boxes` float32 [R, 5] in its pixels, `number`, `id`, `error`."""
        ref = self.manifest.row(index)
        row: Row = {"number": index, "id": ref.id, "error": ""}
        try:
            with open_sample(ref.uri, ref.fps) as video:
                frame = self.manifest.key_frame(index, video.info)
                clips = read_whole_frames(video, [centred_request(frame.time, self.clip, video.info)], self.size)
                height, width = short_side(video.info.height, video.info.width, self.size)
                scaled = frame.boxes.scaled(width / video.info.width, height / video.info.height).clipped(width, height)
        except VidmodelsError as error:
            return self.failed(index, str(error))
        return {**row, "clips": clips, "boxes": np.column_stack([np.zeros(len(scaled)), scaled.xyxy]).astype(np.float32)}

    def failed(self, index: int, error: str) -> Row:
        """The row of a key frame that cannot be read."""
        shape = (1, self.clip.num_frames, self.size, self.size, 3)
        row: Row = {"number": index, "id": self.manifest.row(index).id, "error": error}
        return {**row, "clips": np.zeros(shape, np.uint8), "boxes": np.zeros((0, 5), np.float32)}
