"""A detector of actions that answers for videos: who is where, does what, and when.

N clips, T frames, H height, W width, C colours, R boxes, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from os import PathLike

import numpy as np
import torch

from vidmodels.core.errors import ConfigError, DataError, WeightsError
from vidmodels.core.structures import Boxes
from vidmodels.data.boxed_clips import FULL_SIZE_BYTES, FrameSource, centred_request, read_whole_frames
from vidmodels.data.decode import VideoReader
from vidmodels.data.frames import FrameReader
from vidmodels.data.keyframes import KeyFrame, KeyFrames
from vidmodels.data.transforms import pixels_of
from vidmodels.inference.moments import FrameActions, boxes_in_clips, check_step, chosen_keys, gather, key_times
from vidmodels.inference.predictor import Predictor
from vidmodels.ops.linking import Linker
from vidmodels.tasks.action_results import GAP, ActionsResult, PersonActions
from vidmodels.tasks.classify import scores_of
from vidmodels.visual.canvas import as_array

Detector = Callable[[np.ndarray], Sequence[object]]
"""Frames uint8 [T, H, W, 3] -> for each frame the boxes of its people: Boxes, or [R, 4] rows of x1, y1, x2, y2 in pixels."""


class ActionPredictor:
    """Actions of the people in videos. Memory grows with the number of boxes, not with the frames.

    opened: a predictor of a model that takes clips [N, C, T, H, W] and boxes [R, 5] and gives logits [R, K]; its input's
    `view_size` is the short side of the frames, which are not cropped. min_overlap: from which overlap on two boxes that
    follow each other are one person. Raises ConfigError for a model that takes no boxes.
    """

    def __init__(self, opened: Predictor, min_overlap: float = 0.3) -> None:
        entry = getattr(opened.model, "entry", None)
        if entry is not None and entry.task != "detect_actions":
            raise ConfigError(
                f"{opened.name} is a model for {entry.task} and takes no boxes: choose a detector of actions, of which "
                "`vidmodels models` lists those of the task detect_actions"
            )
        self.opened, self.min_overlap = opened, min_overlap

    def predict(
        self, video: str | PathLike[str] | FrameReader, boxes: KeyFrames | Detector, step: float = 1.0
    ) -> ActionsResult:
        """Persons of a video, linked over time, and what each does at key frames about `step` seconds apart.

        boxes: a table, whose times are the key frames (those closer than `step` to the one before serve to follow the
        persons only), or a detector, which is asked for the people at every key frame. Raises MediaError, DataError.
        """
        with self._open(video) as reader:
            frames, seconds = self._moments(reader, boxes, step)
            persons = gather(self._answers(reader, frames, seconds))
            info, classes = reader.info, self._classes(persons)
        return ActionsResult(
            reader.uri, info.duration, info.width, info.height, seconds, classes, persons, self.opened.name,
            self.opened.weights, self.opened.precision,
        )  # fmt: skip

    def stream(
        self, video: str | PathLike[str] | FrameReader, boxes: KeyFrames | Detector, step: float = 1.0
    ) -> Iterator[FrameActions]:
        """The people of a video as they come, in the order of time; arguments and errors as in `predict`."""
        with self._open(video) as reader:
            yield from self._answers(reader, *self._moments(reader, boxes, step))

    @torch.inference_mode()
    def scores(self, clips: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        """Scores float32 [R, K] of boxes [R, 5] (clip, x1, y1, x2, y2, in pixels) in clips uint8 [N, T, H, W, C].

        Raises WeightsError for answers that are not finite.
        """
        opened = self.opened
        pixels = pixels_of(torch.from_numpy(clips).to(opened.device), opened.spec)
        rows = torch.from_numpy(np.asarray(boxes, np.float32)).to(opened.device)
        with torch.autocast(opened.device.type, torch.bfloat16, enabled=opened.precision == "bf16"):
            logits = opened.model(pixels, rows)
        scores = scores_of(opened.model, logits)
        if not torch.isfinite(scores).all():
            raise WeightsError(f"{opened.name} answers with values that are not finite: its weights are damaged")
        return scores.cpu().numpy()

    def _moments(
        self, reader: FrameSource, boxes: KeyFrames | Detector, step: float
    ) -> tuple[Iterable[tuple[KeyFrame, bool]], float]:
        """Moments with boxes in the order of time, whether each is a key frame, and the seconds between key frames."""
        check_step(step)
        if not isinstance(boxes, KeyFrames):
            return ((frame, True) for frame in detected(reader, boxes, step)), step
        frames = boxes.of_video(reader.uri, reader.info)
        chosen, usual = chosen_keys([frame.time for frame in frames], step)
        keys = set(chosen)
        return ((frame, frame.time in keys) for frame in frames), usual

    def _answers(self, reader: FrameSource, frames: Iterable[tuple[KeyFrame, bool]], seconds: float) -> Iterator[FrameActions]:
        linker = Linker(self.min_overlap, GAP * seconds)
        waiting: list[FrameActions] = []
        keys: list[int] = []
        for frame, is_key in frames:
            if is_key and len(frame.boxes):
                keys.append(len(waiting))
            waiting.append(FrameActions(frame.time, frame.boxes, tuple(linker.add(frame.time, frame.boxes)), None))
            if not keys or len(keys) == self.opened.batch_size:
                yield from self._scored(reader, waiting, keys)
                waiting, keys = [], []
        yield from self._scored(reader, waiting, keys)

    def _scored(self, reader: FrameSource, waiting: list[FrameActions], keys: list[int]) -> list[FrameActions]:
        """The moments, of which the key frames get their scores."""
        if not keys:
            return waiting
        spec, info = self.opened.spec, reader.info
        requests = [centred_request(waiting[key].time, spec, info) for key in keys]
        clips = read_whole_frames(reader, requests, spec.view_size)
        boxes = [waiting[key].boxes for key in keys]
        scores = self.scores(clips, boxes_in_clips(boxes, info, *clips.shape[2:4]))
        parts = np.split(scores, np.cumsum([len(each) for each in boxes])[:-1])
        answered = list(waiting)
        for key, part in zip(keys, parts):
            moment = waiting[key]
            answered[key] = FrameActions(moment.time, moment.boxes, moment.persons, part)
        return answered

    def _classes(self, persons: Sequence[PersonActions]) -> tuple[str, ...]:
        count = getattr(self.opened.model, "num_classes", None) or max((p.scores.shape[1] for p in persons), default=0)
        names = self.opened.classes or tuple(f"class {number}" for number in range(count))
        if len(names) != count:
            raise ConfigError(f"{len(names)} class names were given for the {count} classes of {self.opened.name}")
        return names

    def _open(self, video: str | PathLike[str] | FrameReader) -> VideoReader | FrameReader:
        if isinstance(video, FrameReader):
            return video
        return VideoReader(str(video), self.opened.limits, thread_type="AUTO")


def detected(reader: FrameSource, detector: Detector, step: float) -> Iterator[KeyFrame]:
    """The people that a detector finds at key frames in the middle of every `step` seconds, few frames in memory at a time.

    Raises DataError where it does not answer for every frame with boxes.
    """
    info = reader.info
    at_once = max(1, min(8, FULL_SIZE_BYTES // (info.height * info.width * 3)))
    times = key_times(info, step)
    for begin in range(0, len(times), at_once):
        part = times[begin : begin + at_once]
        answers = detector(reader.read(part).frames)
        if len(answers) != len(part):
            raise DataError(f"the detector gave boxes for {len(answers)} of {len(part)} frames: give a list for each frame")
        for time, answer in zip(part, answers):
            boxes = (answer if isinstance(answer, Boxes) else Boxes(as_array(answer))).clipped(info.width, info.height)
            inside = np.flatnonzero((boxes.xyxy[:, 2:] > boxes.xyxy[:, :2]).all(1))
            yield KeyFrame(reader.uri, time, boxes.take(inside))
