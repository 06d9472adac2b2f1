"""Detection of actions: what each person in given boxes does.

B videos, R clips of each, N = B * R clips, M boxes in all of them, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from vidmodels.core.batch import Batch
from vidmodels.core.entry import InputSpec
from vidmodels.core.errors import ConfigError, DataError
from vidmodels.core.recipe import AugmentSection
from vidmodels.data.transforms import prepare
from vidmodels.tasks.base import StepContext
from vidmodels.tasks.classify import multi_label_loss

_LEAVES_BOXES_BEHIND = ("rand_augment", "shift", "mixup", "cutmix", "label_smoothing")


@dataclass(frozen=True)
class DetectActions:
    """Mean binary cross-entropy of all classes and boxes: a person does several things at once (SlowFast, section 5).

    augment: flips move the boxes along, colours and erasing leave them where they are. Raises ConfigError for the other
    changes of AugmentSection, which would not. evaluated: numbers of the classes that count in evaluations, which travel with
    the weights; None: all.
    """

    classes: tuple[str, ...]
    input: InputSpec
    augment: AugmentSection
    evaluated: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        for name in _LEAVES_BOXES_BEHIND:
            if value := getattr(self.augment, name):
                raise ConfigError(f"data.augment.{name} {value!r} does not fit boxes and their actions: leave it out")

    def step(self, model: nn.Module, batch: Batch, context: StepContext) -> Iterator[dict[str, Tensor]]:
        """Yields `loss`, and `top1`, the share of people with actions whose best scored one is among them."""
        if batch.boxes is None or batch.box_targets is None:
            raise DataError("the batch has no boxes: read the samples from a table of key frames")
        ready = prepare(batch, self.input, self.augment.replace(flip=0.0), context.generator)
        clips, boxes = flip(ready.clips, batch.boxes, self.augment.flip, context.generator)
        logits = model(clips, boxes).float()
        counts = ready.valid[boxes[:, 0].long()]
        loss = multi_label_loss(logits, batch.box_targets, counts)
        yield {"loss": loss, "top1": _top1(logits.detach(), batch.box_targets, counts)}

    def describe(self) -> dict[str, Any]:
        about: dict[str, Any] = {"task": "detect_actions", "classes": list(self.classes)}
        return about if self.evaluated is None else {**about, "evaluated": list(self.evaluated)}


def flip(clips: Tensor, boxes: Tensor, probability: float, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
    """Some of the clips [N, C, T, H, W] mirrored from left to right, with their boxes [M, 5]."""
    if not probability:
        return clips, boxes
    flipped = (torch.rand(len(clips), generator=generator) < probability).to(clips.device)
    clips = torch.where(flipped.view(-1, 1, 1, 1, 1), clips.flip(-1), clips)
    clip, x1, y1, x2, y2 = boxes.unbind(1)
    width = clips.shape[-1]
    mirrored = torch.stack([clip, width - x2, y1, width - x1, y2], 1)
    return clips, torch.where(flipped[clip.long()].unsqueeze(1), mirrored, boxes)


def _top1(logits: Tensor, targets: Tensor, valid: Tensor) -> Tensor:
    acts = valid & (targets > 0).any(1)
    hit = targets.gather(1, logits.argmax(1, keepdim=True)).squeeze(1) > 0
    return (hit & acts).sum() / acts.sum().clamp(min=1)
