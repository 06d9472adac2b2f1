"""Which tokens a masked autoencoder sees: five ways to draw them, all as one sort of one noise.

N clips, T x H x W grid of tokens in t-major order, L = T*H*W of which K are kept.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from vidmodels.core.errors import ConfigError
from vidmodels.ops.block_masking import Grid, cube_mask


class Masking(NamedTuple):
    """keep: int64 [N, K], kept tokens in the order of their noise; restore: int64 [N, L], place of each token in the
    shuffled order; mask: float [N, L], 1 where a token was dropped."""

    keep: Tensor
    restore: Tensor
    mask: Tensor


def from_noise(noise: Tensor, num_keep: int) -> Masking:
    """Keep the `num_keep` tokens of smallest noise [N, L]; of equal ones those that come first."""
    shuffle = noise.argsort(dim=1, stable=True)
    restore = shuffle.argsort(dim=1)
    mask = (restore >= num_keep).to(noise.dtype)
    return Masking(shuffle[:, :num_keep], restore, mask)


def count_kept(total: int, ratio: float) -> int:
    """int(total * (1 - ratio)) in floating point, as the published code truncates it (1568 at 0.9: 156), at least 1."""
    return max(1, int(total * (1 - ratio)))


def sample_masking(
    sampling: str,
    num_clips: int,
    grid: Grid,
    ratio: float,
    generator: torch.Generator | None = None,
    device: torch.device | str | None = None,
) -> Masking:
    """Draw a masking on `device` (MAE-ST, section 3 and figure 4).

    random: independent tokens; tube: whole columns in time; frame: whole time steps; block: space-time cubes are
    dropped (MaskFeat, section 3.1); per_frame: equally many tokens of each time step. The noise comes from a CPU
    generator and is sorted stably on the device, so a masking does not depend on it. Raises ConfigError for others.
    """
    if not 0 <= ratio < 1:
        raise ConfigError(f"task.mask_ratio {ratio} is not possible: choose 0 <= ratio < 1")
    t, h, w = grid
    space, total = h * w, t * h * w

    def noise(*shape: int) -> Tensor:
        return torch.rand(num_clips, *shape, generator=generator).to(device)

    if sampling == "random":
        return from_noise(noise(total), count_kept(total, ratio))
    if sampling == "tube":
        # whole columns: 1568 tokens at 0.9 keep 19 of 196 columns, not 156 tokens
        return from_noise(noise(1, space).expand(-1, t, -1).flatten(1), t * count_kept(space, ratio))
    if sampling == "frame":
        return from_noise(noise(t, 1).expand(-1, -1, space).flatten(1), space * count_kept(t, ratio))
    if sampling == "per_frame":
        rank = noise(t, space).argsort(dim=2, stable=True).argsort(dim=2)
        return from_noise((rank + noise(t, space) / 2).flatten(1), t * count_kept(space, ratio))
    if sampling == "block":
        dropped = torch.stack([cube_mask(grid, total - count_kept(total, ratio), generator) for _ in range(num_clips)])
        # cubes seldom hit the wanted count exactly; the sort fills it up or trims it with single tokens
        return from_noise(dropped.flatten(1).float().to(device) + noise(total) / 2, count_kept(total, ratio))
    raise ConfigError(f"unknown mask sampling {sampling!r}: choose random, tube, frame, block or per_frame")


def gather_tokens(tokens: Tensor, index: Tensor) -> Tensor:
    """Tokens [N or 1, L, D] at index [N, K]: [N, K, D]."""
    tokens = tokens.expand(len(index), -1, -1)
    return tokens.gather(1, index.unsqueeze(-1).expand(-1, -1, tokens.shape[-1]))
