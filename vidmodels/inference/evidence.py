"""Evidence for a class in the cells of a map, and how it comes to lie over the pixels of a clip.

N clips, T frames, H height, W width; t, h, w cells of a map along them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Cells:
    """What each cell of a map adds to the logit of a class.

    evidence: float32 [N, t, h, w], also negative; centres: which frame, row and column the middle of each cell is, [t],
    [h] and [w] in rising order.
    """

    evidence: Tensor
    centres: tuple[Tensor, Tensor, Tensor]

    def over_pixels(self, shape: Sequence[int]) -> Tensor:
        """The evidence between the cells' centres, linear, float32 [N, T, H, W] for a shape (T, H, W)."""
        weights = [interpolation(centres, length) for centres, length in zip(self.centres, shape)]
        return torch.einsum("nthw,Tt,Hh,Ww->nTHW", self.evidence, *weights)


def interpolation(centres: Tensor, length: int) -> Tensor:
    """Weights [length, cells] of linear interpolation at places 0 .. length - 1; beyond the outermost cells theirs go on."""
    if len(centres) == 1:
        return torch.ones(length, 1, device=centres.device)
    places = torch.arange(length, dtype=torch.float32, device=centres.device)
    right = torch.searchsorted(centres, places).clamp(1, len(centres) - 1)
    left = right - 1
    share = ((places - centres[left]) / (centres[right] - centres[left])).clamp(0, 1)
    weights = torch.zeros(length, len(centres), device=centres.device)
    weights.scatter_(1, left.unsqueeze(1), (1 - share).unsqueeze(1))
    return weights.scatter_(1, right.unsqueeze(1), share.unsqueeze(1))


def even_centres(cells: int, length: int) -> Tensor:
    """Middles of `cells` equal parts of a side."""
    return (torch.arange(cells) + 0.5) * (length / cells) - 0.5


def strided_centres(cells: int, stride: float, kernel: float = 1, padding: float = 0) -> Tensor:
    """Middles of what the cells of a convolution see: `kernel` pixels every `stride`, from `padding` before the first."""
    return torch.arange(cells) * float(stride) + (kernel - 1) / 2 - padding
