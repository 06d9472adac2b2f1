"""Videos for the tests of transforms."""

from __future__ import annotations

import torch
from torch import Tensor


def random_video(
    dtype: torch.dtype = torch.float32, frames: int = 4, height: int = 24, width: int = 32, seed: int = 0
) -> Tensor:
    """Noise [3, T, H, W], float in 0..1 or uint8."""
    video = torch.rand(3, frames, height, width, generator=torch.Generator().manual_seed(seed))
    return video if dtype.is_floating_point else (video * 255).round().to(dtype)


def still_video(dtype: torch.dtype = torch.float32, frames: int = 4, height: int = 24, width: int = 32) -> Tensor:
    """The same smooth picture in all frames: what differs between frames afterwards was drawn for each."""
    rows, columns = torch.linspace(0, 1, height).view(-1, 1), torch.linspace(0, 1, width)
    picture = torch.stack([rows * columns, (rows + columns) / 2, 0.2 + 0.6 * (1 - rows) * columns])
    video = picture.unsqueeze(1).expand(-1, frames, -1, -1).clone()
    return video if dtype.is_floating_point else (video * 255).round().to(dtype)


def with_box(x1: int, y1: int, x2: int, y2: int, height: int, width: int, frames: int = 2) -> Tensor:
    """A black float video [3, T, H, W] with a white box from column x1 to x2 and row y1 to y2, all included."""
    video = torch.zeros(3, frames, height, width)
    video[..., y1 : y2 + 1, x1 : x2 + 1] = 1
    return video


def box_of(video: Tensor) -> list[int]:
    """First and last column and row of what is brighter than grey in every frame, as (x1, y1, x2, y2)."""
    bright = (video > 0.5).all(0)
    assert all(torch.equal(frame, bright[0]) for frame in bright)
    rows, columns = bright[0].any(1).nonzero().flatten(), bright[0].any(0).nonzero().flatten()
    return [int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])]
