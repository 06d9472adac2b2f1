"""Masked feature prediction: say what was where the model saw a mask token.

N clips, L tokens of which M are masked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vidmodels.core.batch import Batch
from vidmodels.core.entry import InputSpec
from vidmodels.core.recipe import AugmentSection, FeatureTaskSection
from vidmodels.data.transforms import prepare
from vidmodels.losses.feature_targets import Target
from vidmodels.ops.block_masking import Grid, sample_cells, to_grid
from vidmodels.tasks.base import StepContext


@dataclass(frozen=True)
class PretrainFeatures:
    """The mean over all masked tokens of a target's loss (MaskFeat, section 3), summed over the depths of prediction.

    targets: one for each depth at which the model predicts; mask_grid: the model's, clips to the grid of masked cells.
    """

    settings: FeatureTaskSection
    input: InputSpec
    augment: AugmentSection
    targets: Sequence[Target]
    mask_grid: Callable[[Tensor], Grid]

    def step(self, model: Any, batch: Batch, context: StepContext) -> Iterator[dict[str, Tensor]]:
        """Yields `loss`, and `mean_loss`, that of the best answer which is the same everywhere; undecoded rows do not count.

        `masked`: share of the cells.
        """
        ready = prepare(batch, self.input, self.augment, context.generator)
        clips, settings = ready.clips, self.settings
        grid = self.mask_grid(clips)
        cells = sample_cells(settings.mask_sampling, len(clips), grid, settings.mask_ratio, context.generator).to(clips.device)
        loss, baseline = self.compare(clips, cells, model(clips, cells), ready.valid)
        yield {"loss": loss, "mean_loss": baseline, "masked": cells.float().mean()}

    def compare(self, clips: Tensor, cells: Tensor, predictions: Sequence[Tensor], valid: Tensor) -> tuple[Tensor, Tensor]:
        """Loss and that of the constant answer.

        clips: [N, C, T, H, W] normalised; cells: bool [N, T', h, w], masked; predictions: [N, T', H', W', P] of each depth;
        valid: bool [N], rows that count.
        """
        total, constant = clips.new_zeros(()), clips.new_zeros(())
        for target, prediction in zip(self.targets, predictions, strict=True):
            t, h, w = prediction.shape[1:4]
            masked = to_grid(cells & valid.view(-1, 1, 1, 1), (t, h, w))
            wanted = target.of(clips, (t, h, w))[masked]
            count = masked.sum().clamp(min=1)
            total = total + target.loss(prediction.flatten(1, 3)[masked], wanted).sum() / count
            with torch.no_grad():
                constant = constant + target.baseline(wanted).sum() / count
        return total, constant

    def describe(self) -> dict[str, Any]:
        return {"task": "pretrain_features", **self.settings.model_dump(mode="json")}
