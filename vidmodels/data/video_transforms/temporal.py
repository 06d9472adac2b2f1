"""Transforms of time: fewer frames, and the same frames at several rates.

C colours, T frames, H height, W width.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from vidmodels.core.errors import ConfigError
from vidmodels.ops.frames import even_frames


def uniform_temporal_subsample(video: Tensor, num_frames: int, dim: int = -3) -> Tensor:
    """`num_frames` frames evenly from the first to the last; frames repeat where the video has fewer.

    dim: the dimension of time, of [C, T, H, W] by default.
    """
    total = video.shape[dim]
    if num_frames < 1 or total < 1:
        raise ConfigError(f"cannot take {num_frames} of {total} frames: give 1 or more of a video that is not empty")
    return video.index_select(dim, even_frames(total, num_frames).to(video.device))


def uniform_temporal_subsample_repeated(video: Tensor, ratios: Sequence[int], dim: int = -3) -> list[Tensor]:
    """One video for each ratio, with T / ratio frames: (4, 1) packs the pathways of SlowFast."""
    if not ratios or min(ratios) < 1:
        raise ConfigError(f"the ratios {tuple(ratios)} of frames must be 1 or more")
    return [uniform_temporal_subsample(video, video.shape[dim] // ratio, dim) for ratio in ratios]


class UniformTemporalSubsample(nn.Module):
    """`num_frames` frames evenly over a video [C, T, H, W]."""

    def __init__(self, num_frames: int, dim: int = -3) -> None:
        super().__init__()
        self.num_frames, self.dim = num_frames, dim

    def forward(self, video: Tensor) -> Tensor:
        return uniform_temporal_subsample(video, self.num_frames, self.dim)


class UniformTemporalSubsampleRepeated(nn.Module):
    """A video [C, T, H, W] as a list, one with T / ratio frames for each ratio."""

    def __init__(self, ratios: Sequence[int], dim: int = -3) -> None:
        super().__init__()
        self.ratios, self.dim = tuple(ratios), dim

    def forward(self, video: Tensor) -> list[Tensor]:
        return uniform_temporal_subsample_repeated(video, self.ratios, self.dim)
