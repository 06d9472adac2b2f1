"""Transforms of pixel values and labels.

To float in 0..1 and back: torchvision's `v2.ToDtype(torch.float32, scale=True)` and `v2.ToDtype(torch.uint8, scale=True)`.
C colours, T frames, H height, W width.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vidmodels.core.errors import ConfigError


class Normalize(nn.Module):
    """(video - mean) / std of each colour of a float video [C, T, H, W]; one number stands for all colours."""

    def __init__(self, mean: float | Sequence[float], std: float | Sequence[float]) -> None:
        super().__init__()
        self.mean, self.std = _row(mean), _row(std)
        if (self.std <= 0).any():
            raise ConfigError(f"the deviations {self.std.tolist()} of the colours must be above 0")

    def forward(self, video: Tensor) -> Tensor:
        if not video.is_floating_point():
            raise ConfigError(
                f"Normalize takes float videos, not {video.dtype}: put v2.ToDtype(torch.float32, scale=True) first"
            )
        mean, std = (row.to(video).view(-1, 1, 1, 1) for row in (self.mean, self.std))
        if len(mean) not in (1, video.shape[0]):
            raise ConfigError(f"Normalize has {len(mean)} colours, the video {video.shape[0]}: is it [C, T, H, W]?")
        return (video - mean) / std


class Div255(nn.Module):
    """Values from 0..255, of whatever type, as float in 0..1."""

    def forward(self, video: Tensor) -> Tensor:
        return (video if video.is_floating_point() else video.float()) / 255


def _row(values: float | Sequence[float]) -> Tensor:
    return torch.tensor([values] if isinstance(values, (int, float)) else list(values), dtype=torch.float32)
