"""Batch norms whose statistics are those of a set number of clips, however many a worker's batch has.

N clips, C channels, T frames, H height, W width, G splits of a batch.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional

from vidmodels.layers.sync_norm import SyncBatchNorm3d


class SubBatchNorm3d(SyncBatchNorm3d):
    """BatchNorm3d over parts of a worker's batch, over the whole of it, or over that of several workers.

    So batches may grow and shrink while a model learns, and its statistics stay those of as many clips (multigrid training,
    Wu et al. 2020). Running statistics are those of the whole batch, mean and variance of its parts joined, so that state
    and evaluation are a plain batch norm's.
    """

    splits: int = 1

    def forward(self, x: Tensor) -> Tensor:
        splits = min(self.splits, len(x))
        if not self.training or splits == 1:
            return super().forward(x) if self.group is not None else nn.BatchNorm3d.forward(self, x)
        means, variances = x.new_zeros(2, splits, x.shape[1], dtype=torch.float32)
        parts = x.tensor_split(splits)  # consecutive clips, so that the layout in memory stays
        # with a momentum of 1 the running statistics are the part's own; torch divides its variance by count - 1
        normal = [
            functional.batch_norm(part, mean, variance, self.weight, self.bias, training=True, momentum=1.0, eps=self.eps)
            for part, mean, variance in zip(parts, means, variances)
        ]
        counts = x.new_tensor([part[:, 0].numel() for part in parts], dtype=torch.float32)
        self._move(means, variances, counts[:, None])
        return torch.cat(normal)

    @torch.no_grad()
    def _move(self, means: Tensor, variances: Tensor, counts: Tensor) -> None:
        """Move the running statistics towards the batch's; means and variances [G, C] of `counts` [G, 1] values each."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        total = counts.sum()
        mean = (means * counts).sum(0) / total
        squares = (variances * (counts - 1) + (means - mean).square() * counts).sum(0)  # within the parts, and of their means
        self.running_mean.lerp_(mean.to(self.running_mean), self.momentum)
        self.running_var.lerp_((squares / (total - 1)).to(self.running_var), self.momentum)
        self.num_batches_tracked.add_(1)


def split_batch_norms(model: nn.Module) -> None:
    """Turn every BatchNorm3d of a model into a SubBatchNorm3d, in place; parameters and their names stay as they are."""
    for module in model.modules():
        if type(module) is nn.BatchNorm3d:
            module.__class__ = SubBatchNorm3d


def fit_batch_norms(model: nn.Module, clips: int, base: int) -> None:
    """Let the SubBatchNorm3d of a model take their statistics over about `base` clips of batches of `clips` on each worker.

    A larger batch is split; smaller ones are joined with those of the next workers. All workers call it together.
    """
    splits = max(1, clips // base)
    group = _workers(base // clips) if base >= 2 * clips else None
    for module in model.modules():
        if isinstance(module, SubBatchNorm3d):
            module.splits, module.group = splits, group


def _workers(count: int) -> Any:
    """The group of up to `count` workers that this one is in; None where there are no others."""
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return None
    return _subgroup(math.gcd(count, dist.get_world_size()), dist.group.WORLD)


@functools.lru_cache(maxsize=8)
def _subgroup(size: int, world: Any) -> Any:
    """One of the groups of `size` workers; made once in each world, since groups are never given back."""
    return world if size == dist.get_world_size() else dist.new_subgroups(size)[0]
