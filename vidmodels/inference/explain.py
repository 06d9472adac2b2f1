"""Which places of a clip, and of a whole video, spoke for a class: one function for ConvNets and transformers.

N clips, C channels, T frames, H height, W width, S side of a model's crop, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from os import PathLike
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from vidmodels.core.errors import ConfigError, WeightsError, did_you_mean
from vidmodels.core.label_sets import numbered_classes
from vidmodels.data.decode import VideoReader
from vidmodels.data.geometry import Crop, spatial_crop
from vidmodels.data.transforms import pixels_of
from vidmodels.heads.roi_action import ActionDetector
from vidmodels.inference.grad_cam import grad_cam, pathways_of
from vidmodels.inference.hearing import ear_for
from vidmodels.inference.predictor import Predictor
from vidmodels.inference.relevance import attention_relevance, conserved_relevance, transformer_in
from vidmodels.inference.windows import Span, read_clips, window_spans
from vidmodels.ops.logmel import AudioInput
from vidmodels.tasks.classify import scores_of

Method = Literal["grad-cam", "relevance", "attention"]
METHODS: tuple[Method, ...] = ("grad-cam", "relevance", "attention")


@dataclass(frozen=True)
class Explanation:
    """Evidence for one class in each clip.

    maps: float32 [N, T, H, W], 0 and more, for each pixel of each frame. target: int64 [N], the classes; logits: [N, K].
    parts: of several pathways, the evidence of each before it was added, [N, T, H, W], also negative; shares: what each
    pathway adds to the logit, [N], also those that see nothing.
    """

    method: Method
    maps: Tensor
    target: Tensor
    logits: Tensor
    parts: dict[str, Tensor] = field(default_factory=dict)
    shares: dict[str, Tensor] = field(default_factory=dict)


def explain(model: nn.Module, clips: Tensor, target: int | Tensor | None = None, method: Method | None = None) -> Tensor:
    """Evidence for a class at each pixel of each frame, float32 [N, T, H, W], 0 and more; see `explanation`."""
    return explanation(model, clips, target, method).maps


@torch.inference_mode(False)
def explanation(
    model: nn.Module, clips: Tensor, target: int | Tensor | None = None, method: Method | None = None, **inputs: Any
) -> Explanation:
    """Explain what a classifier in evaluation makes of clips [N, C, T, H, W].

    target: a class, one for each clip (int64 [N]), or the highest logit. method: grad-cam for ConvNets, relevance or
    attention for transformers (relevance is the more faithful, see `vidmodels.inference.relevance`); default: what the
    model has. inputs: further ones of the model, such as audio. In float32, and without gradients for the weights.
    Raises ConfigError for models, classes and methods that do not go together.
    """
    chosen = method or method_for(model)
    wanted = _targets(model, len(clips), target)
    wanted = None if wanted is None else wanted.to(clips.device)
    if chosen == "grad-cam":
        if transformer_in(model) is not None or not hasattr(model, "backbone"):
            raise ConfigError(f"grad-cam explains ConvNets, and {type(model).__name__} is none: choose method 'relevance'")
        logits, cells, shares = grad_cam(model, clips, wanted, **inputs)
        parts = {name: each.over_pixels(clips.shape[2:]) for name, each in cells.items()}
        evidence = torch.stack(list(parts.values())).sum(0)
        if len(shares) == 1:
            parts, shares = {}, {}
    elif chosen in METHODS:
        relevance = conserved_relevance if chosen == "relevance" else attention_relevance
        logits, tokens = relevance(model, clips, wanted)
        evidence, parts, shares = tokens.over_pixels(clips.shape[2:]), {}, {}
    else:
        raise ConfigError(f"there is no method {chosen!r}{did_you_mean(chosen, METHODS)}: choose one of {', '.join(METHODS)}")
    found = logits.argmax(1) if wanted is None else wanted
    return Explanation(chosen, evidence.clamp(min=0), found, logits, parts, shares)


def method_for(model: nn.Module) -> Method:
    """The method that explains a model. Raises ConfigError for one that names no class of a clip or has no known part."""
    if isinstance(model, ActionDetector) or not getattr(model, "num_classes", 0):
        raise ConfigError(f"{type(model).__name__} names no class of a clip, so there is nothing to explain: take a classifier")
    if transformer_in(model) is not None:
        return "relevance"
    if callable(getattr(getattr(model, "backbone", None), "maps", None)) and hasattr(model, "head"):
        return "grad-cam"
    raise ConfigError(f"{type(model).__name__} cannot be explained: it has neither a backbone with maps nor a transformer")


def maps_of(model: nn.Module) -> int:
    """How many maps explain one clip: that of the class, and those of several pathways that see."""
    if method_for(model) != "grad-cam":
        return 1
    seeing = sum(pathway.sees for pathway in pathways_of(model.backbone))  # type: ignore[arg-type]
    return 1 if seeing == 1 else 1 + seeing


def _targets(model: nn.Module, clips: int, target: int | Tensor | None) -> Tensor | None:
    """Classes int64 [N], or None for the highest logits."""
    if target is None:
        return None
    numbers = torch.as_tensor(target).expand(clips)
    count = getattr(model, "num_classes", None)
    if isinstance(count, int) and not ((numbers >= 0) & (numbers < count)).all():
        wrong = next(int(number) for number in numbers if not 0 <= number < count)
        raise ConfigError(f"there is no class {wrong}: {type(model).__name__} has the classes 0 to {count - 1}")
    return numbers


# ---- whole videos


@dataclass(frozen=True)
class ExplainedWindow:
    """Evidence in the span `start` to `end` (seconds) of a video.

    times: seconds of the T frames; frames: uint8 [T, S, S, 3], what the model saw of the video, its part `crop`; name,
    score: the class that is explained; maps: float32 [T, S, S]; parts, shares: as in Explanation. heard: whether there was
    sound, None for a model that takes none; sound: the normalised spectrogram [R, M] that was heard.
    """

    start: float
    end: float
    times: tuple[float, ...]
    frames: np.ndarray
    crop: Crop
    name: str
    score: float
    maps: np.ndarray
    method: Method
    parts: dict[str, np.ndarray] = field(default_factory=dict)
    shares: dict[str, float] = field(default_factory=dict)
    heard: bool | None = None
    sound: np.ndarray | None = None

    def heat(self, part: str | None = None) -> np.ndarray:
        """Evidence (or that of one pathway) as 0..1 of the highest in the window, float32 [T, S, S]."""
        values = self.maps if part is None else self.parts[part]
        return (values / max(float(self.maps.max()), 1e-12)).clip(0, 1)

    def to_dict(self) -> dict[str, Any]:
        """Plain values: the span, the class, and for each frame its share of the evidence and where most of it is, in
        pixels of the video (None without evidence)."""
        per_frame = self.maps.sum((1, 2), dtype=np.float64)
        total = float(per_frame.sum())
        return {
            "start": round(self.start, 6),
            "end": round(self.end, 6),
            "class": self.name,
            "score": round(self.score, 6),
            "pathways": {name: round(value, 6) for name, value in self.shares.items()},
            **({} if self.heard is None else {"heard": self.heard}),
            "frames": [
                {
                    "time": round(time, 6),
                    "share": round(float(amount) / total, 6) if total > 0 else 0.0,
                    "peak": self._peak(image) if amount > 0 else None,
                }
                for time, amount, image in zip(self.times, per_frame, self.maps)
            ],
        }

    def _peak(self, image: np.ndarray) -> list[int]:
        row, column = np.unravel_index(int(image.argmax()), image.shape)
        scale = self.crop.height / image.shape[0]
        return [self.crop.left + int((column + 0.5) * scale), self.crop.top + int((row + 0.5) * scale)]


def explain_video(
    predictor: Predictor,
    video: str | PathLike[str],
    target: str | None = None,
    stride: float | None = None,
    method: Method | None = None,
) -> Iterator[ExplainedWindow]:
    """Explain windows over a whole video in their order, with the memory of one of them.

    target: the name of a class, default the highest of each window. stride: seconds from window to window, default end to
    end. The maps are computed in float32 whatever the predictor's precision. Raises ConfigError, and MediaError for a video
    that cannot be read.
    """
    chosen = method or method_for(predictor.model)
    number = None if target is None else class_number(predictor, target)
    listening = ear_for(video, predictor.spec, predictor.limits, predictor.require_sound)
    with VideoReader(str(video), predictor.limits, thread_type="AUTO") as reader, listening as ear:
        crop = spatial_crop(reader.info.height, reader.info.width, 0, 1)
        spans = window_spans(reader.info, predictor.spec, stride)
        for group, clips in read_clips(reader, spans, predictor.spec, 1, 1):
            sound = None if ear is None else ear.hear(group)
            yield _explain_window(predictor, group[0], clips, sound, crop, number, chosen)


def class_number(predictor: Predictor, name: str) -> int:
    """The number of a class by its name. Raises ConfigError where there is none."""
    names = class_names(predictor)
    if name not in names:
        raise ConfigError(f"{predictor.name} has no class {name!r}{did_you_mean(name, names)}")
    return names.index(name)


def class_names(predictor: Predictor) -> tuple[str, ...]:
    """Names of the classes, numbers where the weights bring none."""
    model: Any = predictor.model
    return predictor.classes or numbered_classes(getattr(model, "label_sets", None) or model.num_classes)


def _explain_window(
    predictor: Predictor,
    span: Span,
    clips: np.ndarray,
    sound: AudioInput | None,
    crop: Crop,
    number: int | None,
    method: Method,
) -> ExplainedWindow:
    heard = None if sound is None else bool(sound.has_audio[0])
    inputs: dict[str, Tensor] = {}
    if sound is not None:
        inputs = {"audio": sound.rows.to(predictor.device), "has_audio": sound.has_audio.to(predictor.device)}
    pixels = pixels_of(torch.from_numpy(clips).to(predictor.device), predictor.spec)
    found = explanation(predictor.model, pixels, number, method, **inputs)
    if not torch.isfinite(found.maps).all():
        raise WeightsError(f"{predictor.name} answers with values that are not finite: its weights are damaged")
    label = int(found.target[0])
    scores = scores_of(predictor.model, found.logits)
    return ExplainedWindow(
        span.start,
        span.end,
        span.times,
        clips[0],
        crop,
        class_names(predictor)[label],
        float(scores[0, label]),
        found.maps[0].cpu().numpy(),
        method,
        {name: part[0].cpu().numpy() for name, part in found.parts.items()},
        {name: float(share[0]) for name, share in found.shares.items()},
        heard,
        sound.rows[0, 0].numpy() if sound is not None and heard else None,
    )
