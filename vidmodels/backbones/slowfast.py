"""Two pathways at two frame rates: Slow sees few frames with many channels, Fast all frames with few (SlowFast, section 3).

N clips, C channels, T frames of the Fast pathway, H height, W width.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vidmodels.backbones.resnet3d import ResNet3d, ResNet3dConfig
from vidmodels.layers.conv import TemporalConv3d, conv_norm_act
from vidmodels.ops.frames import even_frames


class FastToSlow(nn.Module):
    """Lateral connection: a convolution over time at stride alpha, norm, ReLU (SlowFast, section 3.4, T-conv)."""

    def __init__(self, dim: int, ratio: int, kernel: int, alpha: int) -> None:
        super().__init__()
        self.conv = TemporalConv3d(dim, dim * ratio, kernel, alpha, bias=False)
        self.norm = nn.BatchNorm3d(dim * ratio)
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, fast: Tensor) -> Tensor:
        return conv_norm_act(self.conv, self.norm, fast, "relu")


class SlowFast(nn.Module):
    """Slow and Fast residual networks; what Fast saw joins Slow's channels before each of its stages.

    alpha: frames of Fast for each of Slow; lateral_kernel: frames of the lateral convolutions; lateral_ratio: their
    channels for each of Fast's.
    """

    memory_format = torch.channels_last_3d
    no_decay: frozenset[str] = frozenset()
    num_layers = 5

    def __init__(
        self,
        slow: ResNet3dConfig,
        fast: ResNet3dConfig,
        alpha: int = 4,
        lateral_kernel: int = 7,
        lateral_ratio: int = 2,
    ) -> None:
        super().__init__()
        self.alpha = alpha
        dims = (fast.stem_dim, *(stage.dim for stage in fast.stages[:-1]))
        self.slow = ResNet3d(dataclasses.replace(slow, extra=tuple(dim * lateral_ratio for dim in dims)))
        self.fast = ResNet3d(fast)
        self.laterals = nn.ModuleList(FastToSlow(dim, lateral_ratio, lateral_kernel, alpha) for dim in dims)

    @property
    def dims(self) -> tuple[int, ...]:
        """Channels of each map that `forward` returns."""
        return self.slow.dims + self.fast.dims

    def forward(self, clips: Tensor | Sequence[Tensor]) -> list[Tensor]:
        """Maps of Slow and Fast after res5: [N, C, T / alpha, H', W'] and [N, C / 8, T, H', W'].

        clips: Fast's frames [N, 3, T, H, W], from which Slow's are taken, or both as [slow, fast].
        """
        slow, fast = both_pathways(clips, self.alpha)
        slow, fast = self.slow.stem(slow), self.fast.stem(fast)
        for lateral, slow_stage, fast_stage in zip(self.laterals, self.slow.stages, self.fast.stages):
            slow = slow_stage(torch.cat([slow, lateral(fast)], dim=1))
            fast = fast_stage(fast)
        return [slow, fast]

    def maps(self, clips: Tensor | Sequence[Tensor]) -> list[Tensor]:
        return self(clips)

    def blocks(self) -> list[nn.Module]:
        return [*self.slow.blocks(), *self.fast.blocks()]

    def layer_id(self, name: str) -> int:
        """Layer of a parameter for layer-wise learning rates: 0 the stems and the lateral after them, 1 to 4 the stages."""
        pathway, rest = name.split(".", 1)
        return int(rest.split(".", 1)[0]) if pathway == "laterals" else self.slow.layer_id(rest)


def slow_frames(num_frames: int, alpha: int) -> Tensor:
    """Which of Fast's frames Slow sees: evenly from the first to the last, rounded down, as in PySlowFast.

    32 frames, alpha 4: 0, 4, 8, 13, 17, 22, 26, 31 (every fourth frame would be other ones, and cost accuracy).
    """
    return even_frames(num_frames, max(num_frames // alpha, 1))


def both_pathways(clips: Tensor | Sequence[Tensor], alpha: int) -> tuple[Tensor, Tensor]:
    """Slow's and Fast's frames, taken from Fast's where only those are given."""
    if not isinstance(clips, Tensor):
        if len(clips) == 2:
            return clips[0], clips[1]
        clips = clips[0]
    return clips.index_select(2, slow_frames(clips.shape[2], alpha).to(clips.device)), clips
