"""From global sample numbers to decoded and cropped uint8 clips: the one function that all back ends run.

M videos of a micro-batch, R clips of each, T frames, S side, C colours. Free of torch, so that decoders stay small.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vidmodels.core.clip import ClipRequest
from vidmodels.core.errors import DataError, VidmodelsError
from vidmodels.core.recipe import ClipSection
from vidmodels.data.decode import Frames, VideoReader
from vidmodels.data.frames import FrameReader, open_sample
from vidmodels.data.geometry import crop_and_resize, spatial_crop, training_crop
from vidmodels.data.hearing import Hearing, ReadAudio, other_span, silent_row, sound_columns, sound_row
from vidmodels.data.ledger import Ledger
from vidmodels.data.manifest import Manifest, SampleRef
from vidmodels.data.order import Order, hash_key
from vidmodels.data.probe import TRUSTED, VideoInfo
from vidmodels.data.sampling import request_span, rng_for, sound_span, train_requests, view_requests
from vidmodels.data.sandbox import probe_untrusted, read_audio_untrusted, read_many_untrusted

Row = dict[str, Any]


@dataclass(frozen=True)
class TrainReader:
    """Reads training samples by global number.

    manifests: the sources; order: maps numbers to videos; clip: how clips are taken; seed: of times and crops; hearing:
    what is taken of the sound, None: nothing.
    """

    manifests: tuple[Manifest, ...]
    order: Order
    clip: ClipSection
    seed: int
    hearing: Hearing | None = None

    def __post_init__(self) -> None:
        for manifest in self.manifests:
            check_kind(manifest, self.clip.num_frames)

    def read(self, number: int, apart: bool = False) -> Row:
        """One sample: `clips` uint8 [R, T, S, S, C], `number`, `id`, `label` (or a tuple with one of each label set), `error`
        ('' if good), `repeated` frames.

        With `hearing` also the columns of `vidmodels.data.hearing.sound_row`: each clip's own sound.
        apart: decode in a child process, for a video that may kill its decoder.
        """
        where = self.order(number)
        ref = self.manifests[where.source].row(where.index)
        # a stream of draws for each use of each video: equal wherever and whenever the sample is decoded
        key = (where.source, where.draw, where.index)
        try:
            frames, sound = self._decode(ref, key, apart)
        except VidmodelsError as error:
            return self.failed(number, str(error))
        clips = np.empty(self._shape, np.uint8)
        for view, decoded in enumerate(frames):
            height, width = decoded.frames.shape[1:3]
            crop = training_crop(height, width, self.clip, rng_for(self.seed, hash_key(*key), view, 1))
            crop_and_resize(decoded.frames, crop, self.clip.size, out=clips[view])
        repeated = max(decoded.repeated for decoded in frames)
        row = _row(number, ref, clips, repeated, "", self.manifests[where.source]) | sound
        return self._with_clip_targets(row, [(float(part.times[0]), float(part.times[-1])) for part in frames], ref)

    def failed(self, number: int, error: str) -> Row:
        """The row of a sample that cannot be read: its pixels are zero."""
        where = self.order(number)
        ref = self.manifests[where.source].row(where.index)
        row = _row(number, ref, np.zeros(self._shape, np.uint8), 0, error, self.manifests[where.source])
        return self._with_clip_targets(row, [], ref) | _no_sound(self.hearing, self.clip.repeats)

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

    def _with_clip_targets(self, row: Row, spans: Sequence[tuple[float, float]], ref: SampleRef) -> Row:
        """The row with `targets` [R, K] where it is known when labels hold: those that hold during each clip, of these spans.

        So Charades is trained; its tests take the labels of the whole video, as ViewReader does (SlowFast, section 4).
        """
        if "targets" not in row or not any(manifest.has_label_spans for manifest in self.manifests):
            return row
        targets = np.repeat(row["targets"][None], self.clip.repeats, axis=0)
        if ref.label_spans is not None and ref.labels is not None:
            targets[:] = 0
            for clip, (first, last) in enumerate(spans):
                holding = [label for label, (start, end) in zip(ref.labels, ref.label_spans) if start <= last and end > first]
                targets[clip, holding] = 1
        return {**row, "targets": targets}

    def _decode(self, ref: SampleRef, key: tuple[int, int, int], apart: bool) -> tuple[list[Frames], Row]:
        """Frames of each clip, and the columns of their sound."""
        source, draw, index = key
        if apart:
            # the limits of trusted files: an innocent neighbour of a crash must give the same rows as ever
            info = probe_untrusted(ref.uri, TRUSTED, ref.fps)
            requests = train_requests(*span_of(ref, info), self.clip, self.seed, hash_key(source, draw), index)
            times = [[t + _start(ref) for t in r.times] for r in requests]
            frames = read_many_untrusted(ref.uri, times, TRUSTED, ref.fps)
            read = functools.partial(read_audio_untrusted, ref.uri, limits=TRUSTED)
            return frames, self._sound(ref, info, requests, key, read)
        with open_sample(ref.uri, ref.fps) as video:
            requests = train_requests(*span_of(ref, video.info), self.clip, self.seed, hash_key(source, draw), index)
            frames = video.read_many([[t + _start(ref) for t in r.times] for r in requests])
            return frames, self._sound(ref, video.info, requests, key, video.read_audio)

    def _sound(
        self, ref: SampleRef, info: VideoInfo, requests: Sequence[ClipRequest], key: tuple[int, int, int], read: ReadAudio
    ) -> Row:
        if self.hearing is None:
            return {}
        duration, fps = span_of(ref, info)
        spans = [sound_span(request, duration, fps, self.clip) for request in requests]
        others = None
        if self.hearing.misaligned:
            draws = (rng_for(self.seed, hash_key(*key), view, 2) for view in range(len(spans)))
            others = _moved([other_span(span, duration, rng) for span, rng in zip(spans, draws)], _start(ref))
        return sound_row(self.hearing, read, info, _moved(spans, _start(ref)), others)


@dataclass(frozen=True)
class ViewReader:
    """Reads the test views of videos: `num_clips` over time x `num_crops` along the long side.

    size: side S of the crops, where it is not the one that the model was trained on; hearing: as in TrainReader.
    """

    manifest: Manifest
    clip: ClipSection
    num_clips: int = 1
    num_crops: int = 1
    size: int | None = None
    hearing: Hearing | None = None

    def __post_init__(self) -> None:
        check_kind(self.manifest, self.clip.num_frames)

    def read(self, index: int) -> Row:
        """One video: `clips` uint8 [V, T, S, S, C] and `spans` [V, 2], start and end in seconds, of its V clips x crops.

        `facts` [4] is what vidmodels.metrics.slices.FACTS names: seconds, frames per second, short side, motion.
        The other columns are as in TrainReader.read.
        """
        ref = self.manifest.row(index)
        try:
            with open_sample(ref.uri, ref.fps) as video:
                duration, fps = span_of(ref, video.info)
                requests = view_requests(duration, fps, self.clip, self.num_clips)
                decoded = video.read_many([[t + _start(ref) for t in r.times] for r in requests])
                sound = self._sound(ref, video, requests)
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
        return row | sound | {"spans": _start(ref) + np.repeat(spans, self.num_crops, axis=0), "facts": facts}

    def failed(self, index: int, error: str) -> Row:
        """The row of a video that cannot be read: its pixels are zero."""
        row = _row(index, self.manifest.row(index), np.zeros(self._shape, np.uint8), 0, error, self.manifest)
        silence = _no_sound(self.hearing, self._shape[0])
        return row | silence | {"spans": np.zeros((self._shape[0], 2)), "facts": np.zeros(4)}

    def read_batch(self, indices: Sequence[int]) -> dict[str, Any]:
        """Several videos as columns."""
        return to_columns([self.read(int(i)) for i in indices])

    def _sound(self, ref: SampleRef, video: VideoReader | FrameReader, requests: Sequence[ClipRequest]) -> Row:
        """Columns of the sound of the views: crops of a clip have the same."""
        if self.hearing is None:
            return {}
        duration, fps = span_of(ref, video.info)
        spans = _moved([sound_span(request, duration, fps, self.clip) for request in requests], _start(ref))
        row = sound_row(self.hearing, video.read_audio, video.info, spans)
        return {key: np.repeat(value, self.num_crops, axis=0) for key, value in row.items()}

    @property
    def _side(self) -> int:
        return self.size or self.clip.size

    @property
    def _shape(self) -> tuple[int, ...]:
        return (self.num_clips * self.num_crops, self.clip.num_frames, self._side, self._side, 3)


def check_kind(manifest: Manifest, num_frames: int) -> None:
    """Raise DataError for pictures where a model takes clips of several frames."""
    if num_frames > 1 and manifest.pictures:
        raise DataError(
            f"{manifest.pictures} of the {len(manifest)} samples are pictures, and the model takes {num_frames} frames: "
            "give videos, or a model of pictures; where each folder of pictures is a video, say so with data.fps"
        )


def to_columns(rows: list[Row]) -> dict[str, Any]:
    """Rows as columns: arrays for pixels and numbers, lists of str for ids and errors."""
    names = ("spans", "targets", "facts", "boxes", "box_targets")
    some: Row = {key: np.stack([row[key] for row in rows]) for key in names if key in rows[0]}
    if "sound" in rows[0]:
        some |= sound_columns(rows)
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
    label: Any = -1 if ref.label is None else ref.label
    if ref.set_labels is not None:
        label = ref.set_labels
    row = {"clips": clips, "number": number, "id": ref.id, "label": label, "repeated": repeated, "error": error}
    if manifest.multi_label:
        targets = np.zeros(len(manifest.classes or ()), np.uint8)
        targets[list(ref.labels or ())] = 1
        row["targets"] = targets
    return row


def _no_sound(hearing: Hearing | None, clips: int) -> Row:
    """The columns of the sound of a video that cannot be read."""
    return {} if hearing is None else silent_row(hearing, np.zeros((clips, 0), np.float32))


def _moved(spans: Sequence[tuple[float, float]], by: float) -> list[tuple[float, float]]:
    return [(start + by, end + by) for start, end in spans]


def _motion(clip: np.ndarray) -> float:
    """Mean change of a pixel from frame to frame, in 0..1; clip uint8 [T, S, S, C]."""
    return float(np.abs(np.diff(clip.astype(np.int16), axis=0)).mean() / 255) if len(clip) > 1 else 0.0


def _start(ref: SampleRef) -> float:
    return 0.0 if ref.start is None else ref.start


def span_of(ref: SampleRef, info) -> tuple[float, float]:
    """Duration in seconds of the part that the reference names, and the video's frames per second."""
    end = info.duration if ref.end is None else min(ref.end, info.duration)
    return max(end - _start(ref), 0.0), info.fps
