"""Masked pre-training: reconstruct what the encoder did not see."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from vidmodels.core.batch import Batch
from vidmodels.core.entry import InputSpec
from vidmodels.core.recipe import AugmentSection, MaskedTaskSection
from vidmodels.data.transforms import prepare
from vidmodels.tasks.base import StepContext


@dataclass(frozen=True)
class PretrainMasked:
    """Mean squared error over masked patches (MAE-ST, section 3)."""

    settings: MaskedTaskSection
    input: InputSpec
    augment: AugmentSection

    def step(self, model: nn.Module, batch: Batch, context: StepContext) -> Iterator[dict[str, Tensor]]:
        """Yields `loss`, and `patch_mean_loss`, that of answering each patch's mean; undecoded rows do not count."""
        ready = prepare(batch, self.input, self.augment, context.generator)
        output = model(
            ready.clips,
            mask_ratio=self.settings.mask_ratio,
            sampling=self.settings.mask_sampling,
            target=self.settings.target,
            generator=context.generator,
            valid=ready.valid,
        )
        with torch.no_grad():
            flat = output.target.view(*output.target.shape[:2], -1, 3).mean(2, keepdim=True)
            spread = (output.target.view(*output.target.shape[:2], -1, 3) - flat).square().mean((2, 3))
            weight = output.masking.mask * ready.valid.unsqueeze(1)
            baseline = (spread * weight).sum() / weight.sum().clamp(min=1)
        yield {"loss": output.loss, "patch_mean_loss": baseline}

    def describe(self) -> dict[str, Any]:
        return {"task": "pretrain_masked", **self.settings.model_dump(mode="json")}
