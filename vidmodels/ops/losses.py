"""Losses that no system owns.

N clips, K classes.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from vidmodels.core.errors import ConfigError


def soft_cross_entropy(
    logits: Tensor,
    targets: Tensor,
    normalise: bool = True,
    ignore_index: int = -100,
    reduction: Literal["mean", "sum", "none"] = "mean",
) -> Tensor:
    """Cross-entropy of logits [N, K] against shares of classes [N, K], or against labels int64 [N].

    normalise: each row of targets is divided by its sum. ignore_index: rows with this label are left out; where it is a
    class, its shares are. A row without any share counts nowhere, so the mean is over the others (0 where there are none).
    """
    if targets.ndim == 1:
        shares = functional.one_hot(targets.clamp(0, logits.shape[1] - 1), logits.shape[1]).to(logits.dtype)
        shares = shares * (targets != ignore_index).unsqueeze(1)
    elif targets.shape == logits.shape:
        shares = targets.to(logits.dtype)
        if 0 <= ignore_index < logits.shape[1]:
            shares = shares * (torch.arange(logits.shape[1], device=logits.device) != ignore_index)
    else:
        raise ConfigError(
            f"targets of shape {tuple(targets.shape)} do not fit logits of shape {tuple(logits.shape)}: give labels "
            f"[{logits.shape[0]}] or shares of the same shape"
        )
    total = shares.sum(1, keepdim=True)
    counts = total.squeeze(1) > 0
    if normalise:
        shares = shares / torch.where(total > 0, total, 1)
    per_row = functional.cross_entropy(logits, shares, reduction="none")
    if reduction == "none":
        return per_row
    return per_row.sum() if reduction == "sum" else per_row.sum() / counts.sum().clamp(min=1)
