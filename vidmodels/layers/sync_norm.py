"""Batch norms whose statistics are those of all training workers, on any device.

N clips, C channels.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce


class SyncBatchNorm3d(nn.BatchNorm3d):
    """BatchNorm3d over the clips of every worker (Goyal et al. 2017; torch's own takes GPUs only).

    Workers may have batches of different sizes. Alone, and in evaluation, it is BatchNorm3d itself. group: the process group
    of the workers that are joined; by default all.
    """

    group: Any = None

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not dist.is_initialized() or dist.get_world_size(self.group) == 1:
            return super().forward(x)
        dims = (0, 2, 3, 4)
        values = x.float()
        count = values.new_full((1,), values.numel() / values.shape[1])
        # sums, not means: a worker's batch may be smaller than another's
        total = all_reduce(
            torch.cat([values.sum(dims), values.square().sum(dims), count]), group=self.group or dist.group.WORLD
        )
        mean, square = (total[:-1] / total[-1]).chunk(2)
        var = (square - mean.square()).clamp(min=0)
        with torch.no_grad():
            assert self.running_mean is not None
            assert self.running_var is not None
            assert self.num_batches_tracked is not None
            assert self.momentum is not None
            n = total[-1]
            self.running_mean.lerp_(mean.detach(), self.momentum)
            self.running_var.lerp_(var.detach() * n / (n - 1).clamp(min=1), self.momentum)
            self.num_batches_tracked.add_(1)
        scale = self.weight * (var + self.eps).rsqrt()
        shape = (1, -1, 1, 1, 1)
        out = values * scale.view(shape) + (self.bias - mean * scale).view(shape)
        return out.to(x.dtype)


def synchronise_batch_norms(model: nn.Module) -> None:
    """Turn every BatchNorm3d of a model into a SyncBatchNorm3d, in place; parameters and their names stay as they are."""
    for module in model.modules():
        if type(module) is nn.BatchNorm3d:
            module.__class__ = SyncBatchNorm3d
