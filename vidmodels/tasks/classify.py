"""Classification of clips.

N clips, S label sets, K classes (of all label sets).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from vidmodels.core.batch import Batch
from vidmodels.core.entry import InputSpec
from vidmodels.core.label_sets import LabelSets, num_classes_of
from vidmodels.core.recipe import AugmentSection
from vidmodels.data.transforms import prepare
from vidmodels.heads.projection import split_sets
from vidmodels.tasks.base import StepContext


@dataclass(frozen=True)
class Classify:
    """Cross-entropy against one class per clip, or against shares of classes after mixing and smoothing.

    Of several label sets (`classes` are LabelSets) the losses are added, and a clip that lacks a label counts in the others.
    A model whose activation is the sigmoid learns each class on its own, from flags (binary cross-entropy).
    """

    classes: tuple[str, ...]
    input: InputSpec
    augment: AugmentSection

    def step(self, model: nn.Module, batch: Batch, context: StepContext) -> Iterator[dict[str, Tensor]]:
        """Yields `loss` and, where labels were not mixed, shares of right answers: `top1`, or those of `losses_of_sets`."""
        ready = prepare(batch, self.input, self.augment, context.generator, num_classes_of(self.classes))
        yield self.losses(model, ready, model(ready.clips))

    def losses(self, model: nn.Module, ready: Batch, logits: Tensor) -> dict[str, Tensor]:
        """`loss` and `top1` of the logits [N, K] of a prepared batch."""
        assert ready.labels is not None
        logits = logits.float()
        several = activation_of(model) == "sigmoid"
        counts = counted(ready.valid, mixed=bool(self.augment.mixup or self.augment.cutmix))
        if isinstance(self.classes, LabelSets):
            return losses_of_sets(logits, ready.labels, counts, self.classes)
        loss = (multi_label_loss if several else classification_loss)(logits, ready.labels, counts)
        logged = {"loss": loss}
        if ready.labels.ndim == 1:
            logged["top1"] = _share(logits.detach().argmax(1) == ready.labels, ready.valid)
        return logged

    def describe(self) -> dict[str, Any]:
        return {"task": "classify", "classes": list(self.classes)}


def losses_of_sets(logits: Tensor, labels: Tensor, valid: Tensor, classes: LabelSets) -> dict[str, Tensor]:
    """`loss`, the sum of the label sets' (SlowFast and AVSlowFast on EPIC-KITCHENS), and shares of right answers.

    logits [N, K]; labels int64 [N, S] (-1: none) or shares [N, K]; valid bool [N]. Where labels are not shares, NAME_top1 of
    each set and `action_top1`: the clips that have all labels, and all answers right.
    """
    losses, logged = [], {}
    whole, right = valid, valid
    for number, (name, place) in enumerate(classes.columns.items()):
        truth = labels[:, place] if labels.is_floating_point() else labels[:, number]
        losses.append(classification_loss(logits[:, place], truth, valid))
        if truth.ndim == 1:
            known, hit = valid & (truth >= 0), logits[:, place].detach().argmax(1) == truth
            logged[f"{name}_top1"] = _share(hit, known)
            whole, right = whole & known, right & hit
    if logged:
        logged["action_top1"] = _share(right, whole)
    return {"loss": torch.stack(losses).sum(), **logged}


def classification_loss(logits: Tensor, labels: Tensor, valid: Tensor) -> Tensor:
    """Mean cross-entropy of the valid rows that have a label.

    logits [N, K]; labels int64 [N] (-1: none) or shares [N, K]; valid bool [N].
    """
    valid = valid & (labels >= 0 if labels.ndim == 1 else labels.sum(1) > 0)
    labels = labels.clamp(min=0)
    return _mean_of(functional.cross_entropy(logits, labels, reduction="none"), valid)


def multi_label_loss(logits: Tensor, labels: Tensor, valid: Tensor) -> Tensor:
    """Mean binary cross-entropy of the valid rows over all classes; logits, labels (flags or shares) [N, K]; valid bool [N]."""
    return _mean_of(functional.binary_cross_entropy_with_logits(logits, labels, reduction="none").mean(1), valid)


def counted(valid: Tensor, mixed: bool) -> Tensor:
    """Rows bool [N] that count: a mixed one needs both of its parents, which stand at the same place in the reversed batch."""
    return valid & valid.flip(0) if mixed else valid


def activation_of(model: Any) -> str:
    """softmax or sigmoid: what turns the model's logits into scores; wrappers of several workers are looked through."""
    return getattr(getattr(model, "module", model), "activation", "softmax")


def scores_of(model: Any, logits: Tensor) -> Tensor:
    """Scores float32 [..., K] of a model's logits by its activation; a softmax is taken over each label set."""
    if activation_of(model) == "sigmoid":
        return logits.float().sigmoid()
    sets = getattr(getattr(model, "module", model), "label_sets", None)
    return torch.cat([part.softmax(-1) for part in split_sets(logits.float(), sets)], dim=-1)


def combine_views(scores: Tensor, how: str) -> Tensor:
    """One row [K] from the scores [M, K] of a video's views: their mean, or the largest of each class."""
    return scores.amax(0) if how == "max" else scores.mean(0)


def _share(right: Tensor, counts: Tensor) -> Tensor:
    return (right & counts).sum() / counts.sum().clamp(min=1)


def _mean_of(per_row: Tensor, counts: Tensor) -> Tensor:
    return torch.where(counts, per_row, 0.0).sum() / counts.sum().clamp(min=1)
