"""Histograms of oriented gradients, as masked feature prediction regresses them (MaskFeat, section 3.2).

N frames, C colours, H height, W width; h = H / cell, w = W / cell cells, B bins; L tokens of P values.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from vidmodels.core.errors import ConfigError

BINS = 9
CELL = 8
EPS = 1e-12


@torch.no_grad()
def hog(frames: Tensor, bins: int = BINS, cell: int = CELL) -> Tensor:
    """Unit histograms, float32 [N, C, B, h, w], of frames [N, C, H, W].

    Each pixel gives the magnitude of its Sobel gradient to the one bin of its unsigned orientation (20 degrees each where
    bins is 9); each cell's histogram is divided by its Euclidean norm, and a flat cell stays zero. No window, no blocks of
    cells, no gradient. Raises ConfigError for frames that are not whole cells.
    """
    height, width = frames.shape[-2:]
    if height % cell or width % cell or min(height, width) < cell:
        raise ConfigError(f"frames of {height} x {width} pixels are not whole cells of {cell}: choose a multiple of {cell}")
    across, down = _sobel(frames.float())
    # the angle's first argument is the gradient along x; opposite directions share a bin
    which = (torch.atan2(across, down) * (bins / math.pi)).floor_().remainder_(bins)
    size = torch.hypot(across, down)
    n, c = frames.shape[:2]
    grid = (n, c, height // cell, width // cell)
    sums = size.new_zeros(math.prod(grid), bins)
    sums.scatter_add_(1, _pixels_of_cells(which, cell).long(), _pixels_of_cells(size, cell))
    return functional.normalize(sums, dim=1, eps=EPS).view(*grid, bins).permute(0, 1, 4, 2, 3)


def hog_of_tokens(histograms: Tensor, side: int) -> Tensor:
    """Targets [N, L, C * B * side**2] of tokens that cover side x side cells of histograms [N, C, B, h, w].

    Index of a value: ((colour * B + bin) * side + row) * side + column.
    """
    n, c, b, h, w = histograms.shape
    if h % side or w % side:
        raise ConfigError(f"{h} x {w} cells are not whole tokens of {side} x {side}")
    parts = histograms.reshape(n, c * b, h // side, side, w // side, side)
    return parts.permute(0, 2, 4, 1, 3, 5).reshape(n, (h // side) * (w // side), c * b * side * side)


def _sobel(frames: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients along x and y of each colour, with [1, 2, 1] across and [1, 0, -1] along, edges reflected."""
    padded = functional.pad(frames, (1, 1, 1, 1), mode="reflect")
    rows = padded[..., :-2, :] + 2 * padded[..., 1:-1, :] + padded[..., 2:, :]
    columns = padded[..., :-2] + 2 * padded[..., 1:-1] + padded[..., 2:]
    return rows[..., :-2] - rows[..., 2:], columns[..., :-2, :] - columns[..., 2:, :]


def _pixels_of_cells(values: Tensor, cell: int) -> Tensor:
    """Values [N, C, H, W] as one row of cell * cell pixels for each cell."""
    n, c, height, width = values.shape
    parts = values.view(n, c, height // cell, cell, width // cell, cell)
    return parts.transpose(3, 4).reshape(-1, cell * cell)
