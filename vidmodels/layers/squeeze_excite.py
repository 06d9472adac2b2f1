"""Squeeze-and-excitation: each channel of a clip is weighed by what the whole clip shows (Hu et al. 2018).

N clips, C channels, T frames, H height, W width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class SqueezeExcite(nn.Module):
    """x * sigmoid(fc2(ReLU(fc1(mean of x over time and space)))), section 3; on one place 1x1x1 convolutions are linear.

    Where nothing will be differentiated the input [N, C, T, H, W] is overwritten with the answer.
    """

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        scale = torch.sigmoid(self.fc2(functional.relu(self.fc1(x.mean((2, 3, 4))))))[:, :, None, None, None]
        return x * scale if x.requires_grad else x.mul_(scale)
