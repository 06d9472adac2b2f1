"""Learned positions of space-time tokens, separable or joint, for any grid.

T, H, W tokens along time, height and width, in t-major order; L = T*H*W; D channels.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Grid = tuple[int, int, int]
PosInit = Literal["normal", "sincos"]


class SeparablePositions(nn.Module):
    """A spatial plus a temporal table, and a vector of its own for the class token (MAE-ST, section 4.1).

    grid: (T, H, W) of the tables; other grids are interpolated. `cls` is None without a class token.
    """

    def __init__(self, grid: Grid, dim: int, class_token: bool = True) -> None:
        super().__init__()
        self.grid = grid
        self.spatial = nn.Parameter(torch.zeros(1, grid[1] * grid[2], dim))
        self.temporal = nn.Parameter(torch.zeros(1, grid[0], dim))
        self.cls = nn.Parameter(torch.zeros(1, 1, dim)) if class_token else None
        for table in self.parameters():
            nn.init.trunc_normal_(table, std=0.02)

    def tokens(self, grid: Grid) -> Tensor:
        """Positions [1, L, D] of all tokens of `grid` but the class token."""
        temporal = resize_temporal(self.temporal, grid[0])
        spatial = resize_spatial(self.spatial, self.grid[1:], grid[1:])
        return (temporal.unsqueeze(2) + spatial.unsqueeze(1)).flatten(1, 2)


class JointPositions(nn.Module):
    """One table [1, 1 + L, D] with the class token's position first (ViT; the decoder of MAE-ST in PySlowFast)."""

    def __init__(self, grid: Grid, dim: int, class_token: bool = True) -> None:
        super().__init__()
        self.grid = grid
        self.class_token = class_token
        length = grid[0] * grid[1] * grid[2] + int(class_token)
        self.table = nn.Parameter(torch.zeros(1, length, dim))
        nn.init.trunc_normal_(self.table, std=0.02)

    @property
    def cls(self) -> Tensor | None:
        return self.table[:, :1] if self.class_token else None

    def tokens(self, grid: Grid) -> Tensor:
        """Positions [1, L, D] of all tokens of `grid` but the class token."""
        return resize_joint(self.table[:, int(self.class_token) :], self.grid, grid)


def resize_spatial(table: Tensor, old: tuple[int, int], new: tuple[int, int]) -> Tensor:
    """Table [1, H*W, D] of grid `old` for grid `new`, bicubic."""
    if tuple(old) == tuple(new):
        return table
    image = table.float().reshape(1, *old, -1).permute(0, 3, 1, 2)
    image = functional.interpolate(image, size=tuple(new), mode="bicubic", align_corners=False)
    return image.permute(0, 2, 3, 1).flatten(1, 2).to(table.dtype)


def resize_temporal(table: Tensor, length: int) -> Tensor:
    """Table [1, T, D] for `length` steps, linear."""
    if table.shape[1] == length:
        return table
    line = functional.interpolate(table.float().transpose(1, 2), size=length, mode="linear", align_corners=False)
    return line.transpose(1, 2).to(table.dtype)


def resize_joint(table: Tensor, old: Grid, new: Grid) -> Tensor:
    """Table [1, T*H*W, D] of grid `old` for grid `new`: bicubic in space, then linear in time."""
    if tuple(old) == tuple(new):
        return table
    steps = table.reshape(old[0], old[1] * old[2], -1)
    planes = torch.cat([resize_spatial(step.unsqueeze(0), old[1:], new[1:]) for step in steps])  # [T, H'W', D]
    lines = resize_temporal(planes.permute(1, 0, 2), new[0])  # [H'W', T', D]
    return lines.permute(1, 0, 2).reshape(1, new[0] * new[1] * new[2], -1)


@torch.no_grad()
def init_sincos(pos: SeparablePositions | JointPositions) -> None:
    """Start learned tables as sines and cosines of the place: a third of the channels each for time, height and width.

    The form of Vaswani et al. 2017 (section 3.5), with wavelengths up to 2 pi * 100 tokens, since grids are short.
    Neighbours begin alike, so a small model need not first learn where its tokens are.
    """
    steps, rows, columns = pos.grid
    dim = next(pos.parameters()).shape[-1]
    third = dim // 6 * 2
    temporal, spatial = torch.zeros(steps, dim), torch.zeros(rows, columns, dim)
    temporal[:, :third] = sincos(steps, third)
    spatial[:, :, third : 2 * third] = sincos(rows, third).unsqueeze(1)
    spatial[:, :, 2 * third : 3 * third] = sincos(columns, third)
    if isinstance(pos, SeparablePositions):
        pos.temporal.copy_(temporal.unsqueeze(0))
        pos.spatial.copy_(spatial.flatten(0, 1).unsqueeze(0))
    else:
        places = temporal.view(steps, 1, 1, dim) + spatial
        pos.table[:, int(pos.class_token) :] = places.flatten(0, 2)


def sincos(length: int, dim: int) -> Tensor:
    """Sines, then cosines of `length` places [length, dim], with wavelengths up to 2 pi * 100; dim is even."""
    frequencies = 100.0 ** (-torch.arange(dim // 2) / (dim // 2))
    angles = torch.arange(length).unsqueeze(1) * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def make_positions(
    grid: Grid, dim: int, class_token: bool = True, separable: bool = True, start: PosInit = "normal"
) -> SeparablePositions | JointPositions:
    """The positions that a configuration asks for."""
    pos = (SeparablePositions if separable else JointPositions)(grid, dim, class_token)
    if start == "sincos":
        init_sincos(pos)
    return pos
