"""From global sample numbers to decoded and cropped uint8 clips: the one function that all back ends run.

M videos of a micro-batch, R clips of each, T frames, S side, C colours. Free of torch, so that decoders stay small.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vidmodels.core.errors import VidmodelsError
from vidmodels.core.recipe import ClipSection
from vidmodels.data.decode import Frames, VideoReader
from vidmodels.data.geometry import crop_and_resize, spatial_crop, training_crop
from vidmodels.data.ledger import Ledger
from vidmodels.data.manifest import Manifest, SampleRef
from vidmodels.data.order import Order, hash_key
from vidmodels.data.probe import TRUSTED
from vidmodels.data.sampling import request_span, rng_for, train_requests, view_requests
from vidmodels.data.sandbox import probe_untrusted, read_many_untrusted

Row = dict[str, Any]


@dataclass(frozen=True)
class TrainReader:
    """Reads training samples by global number.

    manifests: the sources; order: maps numbers to videos; clip: how clips are taken; seed: of times and crops.
    """

    manifests: tuple[Manifest, ...]
    order: Order
    clip: ClipSection
    seed: int

    def read(self, number: int, apart: bool = False) -> Row:
        """One sample: `clips` uint8 [R, T, S, S, C], `number`, `id`, `label`, `error` ('' if good), `repeated` frames.

        apart: decode in a child process, for a video that may kill its decoder.
        """
        where = self.order(number)
        ref = self.manifests[where.source].row(where.index)
        # a stream of draws for each use of each video: equal wherever and whenever the sample is decoded
        key = (where.source, where.draw, where.index)
        try:
            frames = self._decode(ref, key, apart)
        except VidmodelsError as error:
            return self.failed(number, str(error))
        clips = np.empty(self._shape, np.uint8)
        for view, decoded in enumerate(frames):
            height, width = decoded.frames.shape[1:3]
            crop = training_crop(height, width, self.clip, rng_for(self.seed, hash_key(*key), view, 1))
            crop_and_resize(decoded.frames, crop, self.clip.size, out=clips[view])
        repeated = max(decoded.repeated for decoded in frames)
        return _row(number, ref, clips, repeated, "", self.manifests[where.source])

    def failed(self, number: int, error: str) -> Row:
        """The row of a sample that cannot be read: its pixels are zero."""
        where = self.order(number)
        ref = self.manifests[where.source].row(where.index)
        return _row(number, ref, np.zeros(self._shape, np.uint8), 0, error, self.manifests[where.source])

    def read_batch(self, numbers: Sequence[int], ledger: Ledger | None = None) -> dict[str, Any]:
        """A micro-batch as columns: `clips` uint8 [M, R, T, S, S, C] and one entry per sample of the rest."""
        ids = [self.id_of(n) for n in numbers]
        suspects = ledger.begin(ids) if ledger is not None else set()
        rows = [self.read(n, apart=i in suspects) for n, i in zip(numbers, ids)]
        if ledger is not None:
            ledger.done(ids)
        return to_columns(rows)

    def id_of(self, number: int) -> str:
        """The id of the video that a sample number stands for."""
        where = self.order(number)
        return self.manifests[where.source].row(where.index).id

    @property
    def _shape(self) -> tuple[int, ...]:
        return (self.clip.repeats, self.clip.num_frames, self.clip.size, self.clip.size, 3)

    def _decode(self, ref: SampleRef, key: tuple[int, int, int], apart: bool) -> list[Frames]:
        source, draw, index = key
        if apart:
            # the limits of trusted files: an innocent neighbour of a crash must give the same rows as ever
            info = probe_untrusted(ref.uri, TRUSTED)
            requests = train_requests(*_span(ref, info), self.clip, self.seed, hash_key(source, draw), index)
            return read_many_untrusted(ref.uri, [[t + _start(ref) for t in r.times] for r in requests], TRUSTED)
        with VideoReader(ref.uri) as video:
            requests = train_requests(*_span(ref, video.info), self.clip, self.seed, hash_key(source, draw), index)
            return video.read_many([[t + _start(ref) for t in r.times] for r in requests])


@dataclass(frozen=True)
class ViewReader:
    """Reads the test views of videos: `num_clips` over time x `num_crops` along the long side.

    size: side S of the crops, where it is not the one that the model was trained on.
    """

    manifest: Manifest
    clip: ClipSection
    num_clips: int = 1
    num_crops: int = 1
    size: int | None = None

    def read(self, index: int) -> Row:
        """One video: `clips` uint8 [V, T, S, S, C] and `spans` [V, 2], start and end in seconds, of its V clips x crops.

        `facts` [4] is what vidmodels.metrics.slices.FACTS names: seconds, frames per second, short side, motion.
        The other columns are as in TrainReader.read.
        """
        ref = self.manifest.row(index)
        try:
            with VideoReader(ref.uri) as video:
                duration, fps = _span(ref, video.info)
                requests = view_requests(duration, fps, self.clip, self.num_clips)
                decoded = video.read_many([[t + _start(ref) for t in r.times] for r in requests])
        except VidmodelsError as problem:
            return self.failed(index, str(problem))
        clips = np.empty(self._shape, np.uint8)
        for i, part in enumerate(decoded):
            height, width = part.frames.shape[1:3]
            for j in range(self.num_crops):
                crop = spatial_crop(height, width, j, self.num_crops)
                crop_and_resize(part.frames, crop, self._side, out=clips[i * self.num_crops + j])
        spans = [request_span(request, duration, fps) for request in requests]
        row = _row(index, ref, clips, max(part.repeated for part in decoded), "", self.manifest)
        height, width = decoded[0].frames.shape[1:3]
        facts = np.array([duration, fps, min(height, width), _motion(clips[(len(clips) - 1) // 2])])
        return row | {"spans": _start(ref) + np.repeat(spans, self.num_crops, axis=0), "facts": facts}

    def failed(self, index: int, error: str) -> Row:
        """The row of a video that cannot be read: its pixels are zero."""
        row = _row(index, self.manifest.row(index), np.zeros(self._shape, np.uint8), 0, error, self.manifest)
        return row | {"spans": np.zeros((self._shape[0], 2)), "facts": np.zeros(4)}

    def read_batch(self, indices: Sequence[int]) -> dict[str, Any]:
        """Several videos as columns."""
        return to_columns([self.read(int(i)) for i in indices])

    @property
    def _side(self) -> int:
        return self.size or self.clip.size

    @property
    def _shape(self) -> tuple[int, ...]:
        return (self.num_clips * self.num_crops, self.clip.num_frames, self._side, self._side, 3)


def to_columns(rows: list[Row]) -> dict[str, Any]:
    """Rows as columns: arrays for pixels and numbers, lists of str for ids and errors."""
    some: Row = {key: np.stack([row[key] for row in rows]) for key in ("spans", "targets", "facts") if key in rows[0]}
    return {
        **some,
        "clips": np.stack([row["clips"] for row in rows]),
        "number": np.array([row["number"] for row in rows], np.int64),
        "label": np.array([row["label"] for row in rows], np.int64),
        "repeated": np.array([row["repeated"] for row in rows], np.int64),
        "id": [row["id"] for row in rows],
        "error": [row["error"] for row in rows],
    }


def _row(number: int, ref: SampleRef, clips: np.ndarray, repeated: int, error: str, manifest: Manifest) -> Row:
    label = -1 if ref.label is None else ref.label
    row = {"clips": clips, "number": number, "id": ref.id, "label": label, "repeated": repeated, "error": error}
    if manifest.multi_label:
        targets = np.zeros(len(manifest.classes or ()), np.uint8)
        targets[list(ref.labels or ())] = 1
        row["targets"] = targets
    return row


def _motion(clip: np.ndarray) -> float:
    """Mean change of a pixel from frame to frame, in 0..1; clip uint8 [T, S, S, C]."""
    return float(np.abs(np.diff(clip.astype(np.int16), axis=0)).mean() / 255) if len(clip) > 1 else 0.0


def _start(ref: SampleRef) -> float:
    return 0.0 if ref.start is None else ref.start


def _span(ref: SampleRef, info) -> tuple[float, float]:
    """Duration in seconds of the part that the reference names, and the video's frames per second."""
    end = info.duration if ref.end is None else min(ref.end, info.duration)
    return max(end - _start(ref), 0.0), info.fps
