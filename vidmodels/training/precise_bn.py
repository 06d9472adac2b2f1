"""Batch-norm statistics computed anew over many batches, since a running average lags behind the weights.

N clips, C channels.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from vidmodels.training.distributed import World, all_reduce_mean

_Norm = nn.modules.batchnorm._BatchNorm


@torch.no_grad()
def refresh_batch_norms(model: nn.Module, batches: Iterable[Tensor | tuple[Tensor, ...]], world: World | None = None) -> int:
    """Replace the running statistics of all batch norms by those of `batches` (Wu and Johnson 2021, section 3).

    The mean is the mean over batches; the variance that of all their values: mean of variances plus variance of means.
    batches: clips [N, 3, T, H, W], or a tuple of them and the model's further inputs; on several workers the statistics of
    all are joined. Returns the number of batches; without any, or without batch norms, nothing changes.
    """
    norms = [module for module in model.modules() if isinstance(module, _Norm) and module.track_running_stats]
    if not norms:
        return 0
    mode, momenta = model.training, [norm.momentum for norm in norms]
    sums = [[torch.zeros_like(norm.running_mean), torch.zeros_like(norm.running_mean), torch.zeros_like(norm.running_var)]
            for norm in norms if norm.running_mean is not None and norm.running_var is not None]  # fmt: skip
    model.train()
    for norm in norms:
        norm.momentum = 1.0  # running statistics are then those of the newest batch alone
    count = 0
    try:
        for inputs in batches:
            model(*inputs if isinstance(inputs, tuple) else (inputs,))
            count += 1
            for norm, (means, squares, variances) in zip(norms, sums):
                assert norm.running_mean is not None
                assert norm.running_var is not None
                means += norm.running_mean
                squares += norm.running_mean.square()
                variances += norm.running_var
    finally:
        for norm, momentum in zip(norms, momenta):
            norm.momentum = momentum
        model.train(mode)
    # sums and counts apart: a worker whose videos could not be decoded adds nothing, and still takes part
    place = world or World()
    total = all_reduce_mean(torch.tensor(float(count), device=sums[0][0].device), place)
    if total > 0:
        for norm, parts in zip(norms, sums):
            mean, square, variance = (all_reduce_mean(part, place) / total for part in parts)
            assert norm.running_mean is not None
            assert norm.running_var is not None
            norm.running_mean.copy_(mean)
            norm.running_var.copy_(variance + square - mean.square())
    return count
