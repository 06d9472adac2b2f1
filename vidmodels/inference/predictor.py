"""A model that answers for video files: classes of a whole video, classes over time, embeddings.

N clips, T frames, S side, C colours, K classes, D channels of an embedding.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from vidmodels.core.entry import InputSpec, ZooEntry
from vidmodels.core.errors import ConfigError, MediaError, WeightsError
from vidmodels.core.label_sets import classes_of, numbered_classes
from vidmodels.data.frames import open_sample
from vidmodels.data.probe import Limits
from vidmodels.data.storage import is_picture
from vidmodels.inference.hearing import Ear, ear_for
from vidmodels.inference.portions import portions
from vidmodels.inference.windows import Video, moved, read_clips, view_spans, window_spans
from vidmodels.ops.logmel import AudioInput
from vidmodels.tasks.classify import scores_of
from vidmodels.tasks.results import ClassifyResult, Window, merge
from vidmodels.weights.files import tensors_sha256
from vidmodels.weights.load import LoadReport

if TYPE_CHECKING:
    from vidmodels.data.manifest import SampleRef

PRECISIONS = ("float32", "bf16")


@dataclass(frozen=True)
class Embedding:
    """What a model makes of the span `start` to `end` (seconds) of a video: vector float32 [D].

    heard: whether the span has sound, None for a model that takes none.
    """

    start: float
    end: float
    vector: np.ndarray
    heard: bool | None = None


class Predictor:
    """Answers of a model for videos. Memory does not grow with their length.

    model: a classifier ([N, C, T, S, S] -> [N, K]), or any model with `features`; it is moved to the device and set to
    evaluation. spec: its input, default `model.input`. classes: K names, default numbers (of several label sets those of
    all, sets in the order of their names). name, weights: said in results.
    device: default the GPU where there is one. precision: float32 or bf16. batch_size: clips computed at once, fewer where
    that is faster (`portions`). limits: what a video may cost (None: those for trusted files). Raises ConfigError where they
    do not fit together.

    A model that hears is given the sound of each clip's own time; clips without are answered from the pictures alone, and the
    result says so. Set `require_sound` to make them an error.
    """

    require_sound: bool = False
    projected: bool = False
    """Whether embeddings are those of the projection that a contrastive model is trained on, not of the layers below it."""
    report: LoadReport | None = None
    """What became of the weights file, where the predictor was made from one."""

    def __init__(
        self,
        model: nn.Module,
        spec: InputSpec | None = None,
        classes: Sequence[str] | None = None,
        name: str | None = None,
        weights: str | None = None,
        device: str | None = None,
        precision: str = "float32",
        batch_size: int = 8,
        limits: Limits | None = None,
    ) -> None:
        if precision not in PRECISIONS:
            raise ConfigError(f"precision {precision!r} does not exist: choose one of {', '.join(PRECISIONS)}")
        if batch_size < 1:
            raise ConfigError(f"{batch_size} clips cannot be computed at once: give a batch_size of 1 or more")
        self.precision, self.batch_size, self.limits = precision, batch_size, limits
        self.device = checked_device(device)
        self.model = model.to(self.device).eval()
        entry = getattr(model, "entry", None)
        self._entry = entry if isinstance(entry, ZooEntry) else None
        self.name = name or (self._entry.name if self._entry else type(model).__name__)
        self.weights = weights
        found = spec or getattr(model, "input", None)
        if not isinstance(found, InputSpec):
            raise ConfigError(f"the input of {self.name} is not known: give spec=InputSpec(...)")
        self.spec = found
        count = getattr(model, "num_classes", None)
        if classes is not None and isinstance(count, int) and len(classes) != count:
            raise ConfigError(f"{len(classes)} class names were given for the {count} classes of {self.name}")
        fixed = getattr(model, "batch", None)  # an exported model may compute one number of clips only
        self._fixed = fixed if isinstance(fixed, int) else None
        self._sets: dict[str, int] | None = getattr(model, "label_sets", None)
        self.classes = None if classes is None else classes_of(classes, self._sets)

    def predict(self, video: str | PathLike[str], num_clips: int = 1, num_crops: int = 1) -> ClassifyResult:
        """Classes of a video: the mean score over `num_clips` clips, evenly in time, x `num_crops` crops (1 or 3).

        Raises MediaError for a video that cannot be read, ConfigError for a model without classes.
        """
        self._check_classifies()
        with self._open(video) as reader, self._listen(video) as ear:
            return merge(self._answers(reader, ear, view_spans(reader.info, self.spec, num_clips), num_crops))

    def stream(self, video: str | PathLike[str], stride: float | None = None, num_crops: int = 1) -> Iterator[ClassifyResult]:
        """Classes of windows over the whole video in their order, each of the model's clip length.

        stride: seconds from window to window, default end to end. Raises as `predict`, the media's errors when they are
        met.
        """
        self._check_classifies()
        with self._open(video) as reader, self._listen(video) as ear:
            yield from self._answers(reader, ear, window_spans(reader.info, self.spec, stride), num_crops)

    def features(
        self, video: str | PathLike[str] | SampleRef, num_clips: int | None = None, stride: float | None = None
    ) -> list[Embedding]:
        """Embeddings of `num_clips` clips evenly over the video, or (None) of windows over all of it, `stride` seconds
        apart (default end to end). video: an address, or a sample of a manifest, which may be a part of a video.

        Raises MediaError, and ConfigError for a model without `features`."""
        if num_clips is not None and stride is not None:
            raise ConfigError("num_clips and stride exclude each other: give one of them")
        self._embedder()
        uri, fps, first, last = (
            (str(video), None, 0.0, None)
            if isinstance(video, str | PathLike)
            else (video.uri, video.fps, video.start or 0.0, video.end)
        )
        embeddings = []
        with self._open(uri, fps) as reader, self._listen(uri, fps) as ear:
            end = reader.info.duration if last is None else min(last, reader.info.duration)
            if first >= end:
                raise MediaError(f"{uri} ends at {reader.info.duration:.2f} s, before the part from {first:g} s: mend the list")
            info = replace(reader.info, duration=end - first)
            spans = window_spans(info, self.spec, stride) if num_clips is None else view_spans(info, self.spec, num_clips)
            for group, clips in read_clips(reader, moved(spans, first), self.spec, 1, self.batch_size):
                sound = None if ear is None else ear.hear(group)
                vectors, heard = self.embed(clips, sound), _heard(sound, len(group), 1)
                embeddings += [Embedding(s.start, s.end, vector, flag) for s, vector, flag in zip(group, vectors, heard)]
        return embeddings

    @property
    def embedding_dim(self) -> int:
        """Values of an embedding, for models of the zoo. Raises ConfigError for a model that gives none."""
        self._embedder()
        dim: Any = self.model.projection_dim if self.projected else self.model.feature_dim
        return dim

    def digest(self, leave_out: Sequence[str] = ()) -> str:
        """SHA-256 of the weights as they are used, without those that a file did not have and those of these patterns.

        Equal for the same weights from any file and on any device.
        """
        new = () if self.report is None else self.report.new
        return tensors_sha256(self.model.state_dict(), (*leave_out, *new))

    def scores(self, clips: np.ndarray, sound: AudioInput | None = None) -> np.ndarray:
        """Scores float32 [N, K] of clips uint8 [N, T, S, S, C]: a softmax, or a sigmoid where classes are not exclusive.

        sound: of each clip, for a model that hears (`vidmodels.inference.hearing.Ear`); None: pictures alone.
        Raises WeightsError for answers that are not finite.
        """
        return self._run(clips, sound, lambda *inputs: scores_of(self.model, self.model(*inputs)))

    def embed(self, clips: np.ndarray, sound: AudioInput | None = None) -> np.ndarray:
        """Embeddings float32 [N, D] of clips uint8 [N, T, S, S, C], and their sound. Raises WeightsError as `scores` does."""
        embed = self._embedder()
        return self._run(clips, sound, lambda *inputs: embed(*inputs).float())

    def _embedder(self) -> Any:
        """The model's function from clips to embeddings. Raises ConfigError where it has none."""
        if self._entry is not None and self._entry.task == "detect_actions":
            raise ConfigError(f"{self.name} gives embeddings of boxes, not of videos: take those of a classifier")
        if self.projected:
            if not hasattr(self.model, "projections"):
                raise ConfigError(f"{self.name} has no projection, as contrastive models have: take its features")
            return self.model.projections
        if not hasattr(self.model, "features"):
            raise ConfigError(f"{self.name} gives no embeddings: it has no function `features`")
        return self.model.features

    def _answers(self, reader: Video, ear: Ear | None, spans: Any, num_crops: int) -> Iterator[ClassifyResult]:
        for group, clips in read_clips(reader, spans, self.spec, num_crops, self.batch_size):
            sound = None if ear is None else ear.hear(group, num_crops)
            scores = self.scores(clips, sound)
            scores = scores.reshape(len(group), num_crops, -1).mean(1)
            classes = self._names(scores.shape[1])
            for span, row, heard in zip(group, scores, _heard(sound, len(group), num_crops)):
                window = Window(span.start, span.end, row, heard)
                yield ClassifyResult(reader.uri, classes, row, (window,), self.name, self.weights, self.precision)

    @torch.inference_mode()
    def _run(self, clips: np.ndarray, sound: AudioInput | None, answer: Any) -> np.ndarray:
        rows = []
        for inputs in portions(torch.from_numpy(clips), self.spec, self.batch_size, self.device, sound or (), self._fixed):
            with self._arithmetic():
                rows.append(_finite(answer(*inputs), self.name))
        return torch.cat(rows).cpu().numpy()

    def _arithmetic(self) -> contextlib.AbstractContextManager:
        enabled = self.precision == "bf16"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=enabled)

    def _open(self, video: str | PathLike[str], fps: float | None = None) -> Video:
        """The video, or a picture for a model of pictures."""
        if is_picture(str(video)) and self.spec.num_frames > 1:
            wants = f"{self.name} takes clips of {self.spec.num_frames} frames"
            raise MediaError(f"{video} is a picture, and {wants}: give a video, or a model of pictures")
        return open_sample(str(video), fps, self.limits, thread_type="AUTO")

    def _listen(self, video: str | PathLike[str], fps: float | None = None) -> contextlib.AbstractContextManager[Ear | None]:
        return ear_for(video, self.spec, self.limits, self.require_sound, fps)

    def _names(self, count: int) -> tuple[str, ...]:
        if self.classes is None:
            return numbered_classes(self._sets or count)
        if len(self.classes) != count:
            raise ConfigError(f"{len(self.classes)} class names were given for the {count} classes of {self.name}")
        return self.classes

    def _check_classifies(self) -> None:
        if self._entry is not None and self._entry.task != "classify":
            instead = (
                "give the boxes of people to `vidmodels detect-actions`, or to an ActionPredictor"
                if self._entry.task == "detect_actions"
                else "take its features, or a model that was fine-tuned from it"
            )
            raise ConfigError(f"{self.name} is a model for {self._entry.task} and names no classes of a video: {instead}")


def checked_device(name: str | None) -> torch.device:
    """The device of that name, by default the GPU where there is one. Raises ConfigError for one that is not there."""
    name = name or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"there is no device {name!r}: write cpu, cuda or cuda:1") from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(f"there is no device {name!r} on this machine: {torch.cuda.device_count()} GPUs were found")
    return device


def _heard(sound: AudioInput | None, clips: int, num_crops: int) -> list[bool | None]:
    """Whether each clip has sound; None for a model that takes none."""
    return [None] * clips if sound is None else sound.has_audio[::num_crops].tolist()


def _finite(answer: Tensor, name: str) -> Tensor:
    if not torch.isfinite(answer).all():
        raise WeightsError(f"{name} answers with values that are not finite: its weights are damaged")
    return answer
