"""Classification of clips.

N clips, K classes.
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
from vidmodels.core.recipe import AugmentSection
from vidmodels.data.transforms import prepare
from vidmodels.tasks.base import StepContext


@dataclass(frozen=True)
class Classify:
    """Cross-entropy against one class per clip, or against shares of classes after mixing and smoothing."""

    classes: tuple[str, ...]
    input: InputSpec
    augment: AugmentSection

    def step(self, model: nn.Module, batch: Batch, context: StepContext) -> Iterator[dict[str, Tensor]]:
        """Yields `loss` and, where labels were not mixed, the share of right answers `top1`."""
        ready = prepare(batch, self.input, self.augment, context.generator, len(self.classes))
        logits = model(ready.clips).float()
        assert ready.labels is not None
        loss = classification_loss(logits, ready.labels, ready.valid)
        logged = {"loss": loss}
        if ready.labels.ndim == 1:
            right = (logits.detach().argmax(1) == ready.labels) & ready.valid
            logged["top1"] = right.sum() / ready.valid.sum().clamp(min=1)
        yield logged

    def describe(self) -> dict[str, Any]:
        return {"task": "classify", "classes": list(self.classes)}


def classification_loss(logits: Tensor, labels: Tensor, valid: Tensor) -> Tensor:
    """Mean cross-entropy of the valid rows that have a label.

    logits [N, K]; labels int64 [N] (-1: none) or shares [N, K]; valid bool [N].
    """
    if labels.ndim == 1:
        counts = valid & (labels >= 0)
        per_row = functional.cross_entropy(logits, labels.clamp(min=0), reduction="none")
    else:
        # a mixed row needs both of its parents, which stand at the same place in the reversed batch
        counts = valid & valid.flip(0)
        per_row = functional.cross_entropy(logits, labels, reduction="none")
    weights = counts.to(per_row.dtype)
    return torch.where(counts, per_row, 0.0).sum() / weights.sum().clamp(min=1)
