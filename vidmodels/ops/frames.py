"""Which of a row of frames are taken: indices for models and transforms.

T frames.
"""

from __future__ import annotations

import torch
from torch import Tensor


def even_frames(num_frames: int, count: int) -> Tensor:
    """`count` of T frames, evenly from the first to the last and rounded down, [count] int64.

    Takes frames several times where count > T. This is the rule of PySlowFast and PyTorchVideo; every T / count-th frame
    would be others, and cost a SlowFast network accuracy.
    """
    return torch.linspace(0, num_frames - 1, count).long()
