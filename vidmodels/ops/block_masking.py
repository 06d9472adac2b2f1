"""Masks of masked feature prediction: unions of blocks, whole time steps or single cells (MaskFeat, section 3.1).

N clips, T x H x W grid of cells. Counts vary: blocks stop where no further one fits, and never cover more than is wanted.
"""

from __future__ import annotations

import math
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from vidmodels.core.errors import ConfigError

Grid = tuple[int, int, int]
CellSampling = Literal["cube", "tube", "frame", "uniform"]
MIN_ASPECT = 0.3
CUBE_TRIES, BLOCK_TRIES = 100, 10


def sample_cells(
    sampling: CellSampling, num_clips: int, grid: Grid, ratio: float, generator: torch.Generator | None = None
) -> Tensor:
    """Bool [N, T, H, W], True where masked; drawn on the CPU, so that a mask depends on nothing but the generator.

    cube: a union of blocks of any duration; tube: one union of blocks of the plane, over all time; frame: whole time steps;
    uniform: single cells. A grid of one time step gets blocks of the plane for both. Raises ConfigError.
    """
    if not 0 < ratio < 1:
        raise ConfigError(f"task.mask_ratio {ratio} is not possible: choose 0 < ratio < 1")
    if sampling not in get_args(CellSampling):
        raise ConfigError(f"unknown mask sampling {sampling!r}: choose one of {', '.join(get_args(CellSampling))}")
    t, h, w = grid
    if sampling == "cube" and t > 1:
        masks = [cube_mask(grid, round(t * h * w * ratio), generator) for _ in range(num_clips)]
        return torch.stack(masks)
    if sampling in ("cube", "tube"):
        planes = torch.stack([block_mask((h, w), round(h * w * ratio), generator) for _ in range(num_clips)])
        return planes.unsqueeze(1).expand(-1, t, -1, -1).contiguous()
    cells = (t, 1, 1) if sampling == "frame" else grid
    total = math.prod(cells)
    rank = torch.rand(num_clips, total, generator=generator).argsort(dim=1, stable=True).argsort(dim=1, stable=True)
    masked = (rank < round(total * ratio)).view(num_clips, *cells)
    return masked.expand(num_clips, *grid).contiguous()


def cube_mask(grid: Grid, wanted: int, generator: torch.Generator | None = None) -> Tensor:
    """Bool [T, H, W]: the union of random cubes with at most `wanted` cells.

    The area of each is between a fifth of the plane and the whole, its aspect log-uniform, its duration any.
    """
    plane = grid[1] * grid[2]
    return _union(grid, wanted, (plane // 5, plane), CUBE_TRIES, generator)


def block_mask(plane: tuple[int, int], wanted: int, generator: torch.Generator | None = None) -> Tensor:
    """Bool [H, W]: the union of random blocks with at most `wanted` cells, each between a fifth of those and what is missing
    (BEiT, appendix)."""
    return _union((1, *plane), wanted, (wanted // 5, None), BLOCK_TRIES, generator)[0]


def _union(grid: Grid, wanted: int, area: tuple[int, int | None], tries: int, generator: torch.Generator | None) -> Tensor:
    """Blocks until `wanted` cells are covered, or `tries` draws of one did not fit. area: None is what is missing."""
    mask = np.zeros(grid, dtype=bool)
    covered = 0
    while covered < wanted:
        smallest, largest = area[0], area[1] or wanted - covered
        # the numbers of all tries at once: a call for each is most of the time
        new = 0
        for u in torch.rand(tries, 6, generator=generator).tolist():
            block = _block(mask, u, smallest + u[0] * (largest - smallest))
            new = 0 if block is None else block.size - int(block.sum())
            if block is not None and 0 < new <= wanted - covered:
                block[...] = True
                break
        else:
            break
        covered += new
    return torch.from_numpy(mask)


def _block(mask: np.ndarray, u: list[float], area: float) -> np.ndarray | None:
    """The view of a block of this area by six numbers in 0..1; None where it would fill a side of the plane."""
    t, h, w = mask.shape
    aspect = math.exp((2 * u[1] - 1) * -math.log(MIN_ASPECT))
    rows, columns = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
    if not (0 < rows < h and 0 < columns < w):
        return None
    duration = 1 + int(u[2] * t)
    start, top, left = int(u[3] * (t - duration + 1)), int(u[4] * (h - rows + 1)), int(u[5] * (w - columns + 1))
    return mask[start : start + duration, top : top + rows, left : left + columns]


def to_grid(cells: Tensor, grid: Grid) -> Tensor:
    """Masks [N, t, h, w] on a finer grid, [N, T * H * W]: each cell's value for all that it covers.

    Raises ConfigError where the cells are not whole numbers of the grid's.
    """
    for axis, (fine, coarse) in enumerate(zip(grid, cells.shape[1:]), 1):
        if fine % coarse:
            raise ConfigError(f"a mask of {tuple(cells.shape[1:])} cells does not fit a grid of {grid}")
        cells = cells.repeat_interleave(fine // coarse, axis)
    return cells.flatten(1)
