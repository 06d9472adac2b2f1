"""Residual networks on clips: a stem and four stages of blocks, of which the ConvNets of this package are made.

N clips, C channels, T frames, H height, W width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import StochasticDepth

from vidmodels.layers.conv import Conv3d, PointConv3d, TemporalConv3d, conv_norm_act, residual
from vidmodels.layers.non_local import Affinity, NonLocal
from vidmodels.layers.transformer import drop_path_rates

Size3 = tuple[int, int, int]
ConvB = Literal["spatial", "depthwise", "2plus1d"]
BlockKind = Literal["bottleneck", "basic"]
STAGES = ("res2", "res3", "res4", "res5")


@dataclass(frozen=True)
class NonLocalConfig:
    """Non-local blocks of a stage: after which of its residual blocks (from 0) they stand, and their form."""

    after: tuple[int, ...] = ()
    pool: Size3 = (1, 2, 2)
    affinity: Affinity = "softmax"
    group: int = 1


@dataclass(frozen=True)
class StageConfig:
    """One stage. kernels: temporal kernel of convolution a for each block, so their number is the depth.

    dim, inner: channels of the stage and inside its blocks; stride: (time, height, width) of the first block.
    """

    dim: int
    inner: int
    kernels: tuple[int, ...]
    stride: Size3 = (1, 2, 2)
    dilation: int = 1
    groups: int = 1
    non_local: NonLocalConfig = NonLocalConfig()


@dataclass(frozen=True)
class ResNet3dConfig:
    """stem_kernel: frames of the first convolution; pool1: (time, height, width) of the max-pooling after res2.

    conv_b: form of the blocks' second convolution: 1x3x3 (SlowFast family), 3x3x3 for each channel alone (CSN), or 3x1x1
    and then 1x3x3 (R(2+1)D). extra: channels that lateral connections add to the input of each stage. identity_start: blocks
    begin as the identity (see `init_resnet`), which networks of one block a stage learn slowly from.
    """

    stages: tuple[StageConfig, ...]
    stem_dim: int = 64
    stem_kernel: int = 1
    stem_pool: bool = True
    pool1: Size3 = (1, 1, 1)
    block: BlockKind = "bottleneck"
    conv_b: ConvB = "spatial"
    extra: tuple[int, ...] = (0, 0, 0, 0)
    drop_path: float = 0.0
    identity_start: bool = True

    @property
    def stride(self) -> int:
        """Pixels of the clip for each cell of the last map."""
        pixels = 4 if self.stem_pool else 2
        for stage in self.stages:
            pixels *= stage.stride[-1]
        return pixels


class Stem(nn.Module):
    """Convolution kT x 7 x 7 at stride 2 in space, norm, ReLU, and a max-pooling that halves again."""

    def __init__(self, dim: int, kernel: int, pool: bool = True) -> None:
        super().__init__()
        self.conv = Conv3d(3, dim, (kernel, 7, 7), (1, 2, 2), (kernel // 2, 3, 3), bias=False)
        self.norm = nn.BatchNorm3d(dim)
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        x = conv_norm_act(self.conv, self.norm, x, "relu")
        return functional.max_pool3d(x, (1, 3, 3), (1, 2, 2), (0, 1, 1)) if self.pool else x


class Shortcut(nn.Module):
    """1x1x1 convolution at the block's stride and norm, where channels or grid change (He et al. 2016, projection)."""

    def __init__(self, dim_in: int, dim: int, stride: Size3) -> None:
        super().__init__()
        self.conv = Conv3d(dim_in, dim, 1, stride, bias=False)
        self.norm: nn.Module = nn.BatchNorm3d(dim)

    def forward(self, x: Tensor) -> Tensor:
        return conv_norm_act(self.conv, self.norm, x)


class TemporalThenSpatial(nn.Module):
    """3x1x1 convolution, norm, ReLU, 1x3x3 convolution (R(2+1)D as PyTorchVideo has it: no wider middle)."""

    def __init__(self, dim: int, stride: Size3) -> None:
        super().__init__()
        self.conv_t = TemporalConv3d(dim, dim, 3, stride[0], bias=False)
        self.norm = nn.BatchNorm3d(dim)
        self.conv_xy = Conv3d(dim, dim, (1, 3, 3), (1, *stride[1:]), (0, 1, 1), bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_xy(conv_norm_act(self.conv_t, self.norm, x, "relu"))


class Bottleneck(nn.Module):
    """ReLU(shortcut(x) + c(b(a(x)))): a kT x 1 x 1, b with the stride, c 1x1x1, each with a norm (SlowFast, table 1)."""

    def __init__(
        self,
        dim_in: int,
        stage: StageConfig,
        kernel: int,
        stride: Size3,
        conv_b: ConvB = "spatial",
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        dim, inner = stage.dim, stage.inner
        self.conv_a = temporal_conv(dim_in, inner, kernel)
        self.norm_a = nn.BatchNorm3d(inner)
        self.conv_b = _make_conv_b(conv_b, inner, stride, stage.dilation, stage.groups)
        self.norm_b = nn.BatchNorm3d(inner)
        self.conv_c = PointConv3d(inner, dim, bias=False)
        self.norm_c = nn.BatchNorm3d(dim)
        self.shortcut = Shortcut(dim_in, dim, stride) if dim_in != dim or max(stride) > 1 else None
        self.drop_path = StochasticDepth(drop_path, "row") if drop_path > 0 else nn.Identity()

    @property
    def last_norm(self) -> nn.BatchNorm3d:
        return self.norm_c

    def forward(self, x: Tensor) -> Tensor:
        short = x if self.shortcut is None else self.shortcut(x)
        y = conv_norm_act(self.conv_a, self.norm_a, x, "relu")
        y = conv_norm_act(self.conv_b, self.norm_b, y, "relu")
        return residual(self.conv_c, self.norm_c, self.drop_path, y, short)


class Basic(nn.Module):
    """ReLU(shortcut(x) + b(a(x))): a kT x 3 x 3 with the stride, b 1x3x3 (PySlowFast's basic transform)."""

    def __init__(
        self,
        dim_in: int,
        stage: StageConfig,
        kernel: int,
        stride: Size3,
        conv_b: ConvB = "spatial",
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        dim = stage.dim
        self.conv_a = Conv3d(dim_in, dim, (kernel, 3, 3), stride, (kernel // 2, 1, 1), bias=False)
        self.norm_a = nn.BatchNorm3d(dim)
        self.conv_b = _make_conv_b(conv_b, dim, (1, 1, 1), 1, 1)
        self.norm_b = nn.BatchNorm3d(dim)
        self.shortcut = Shortcut(dim_in, dim, stride) if dim_in != dim or max(stride) > 1 else None
        self.drop_path = StochasticDepth(drop_path, "row") if drop_path > 0 else nn.Identity()

    @property
    def last_norm(self) -> nn.BatchNorm3d:
        return self.norm_b

    def forward(self, x: Tensor) -> Tensor:
        short = x if self.shortcut is None else self.shortcut(x)
        y = conv_norm_act(self.conv_a, self.norm_a, x, "relu")
        return residual(self.conv_b, self.norm_b, self.drop_path, y, short)


class Stage(nn.Module):
    """Residual blocks in a row, with non-local blocks between them."""

    def __init__(self, dim_in: int, stage: StageConfig, config: ResNet3dConfig, rates: Sequence[float]) -> None:
        super().__init__()
        kind = Bottleneck if config.block == "bottleneck" else Basic
        self.blocks = nn.ModuleList(
            kind(
                dim_in if i == 0 else stage.dim,
                stage,
                kernel,
                stage.stride if i == 0 else (1, 1, 1),
                config.conv_b,
                rates[i],
            )
            for i, kernel in enumerate(stage.kernels)
        )
        look = stage.non_local
        self.non_local = nn.ModuleDict(
            {str(i): NonLocal(stage.dim, stage.dim // 2, look.pool, look.affinity, look.group) for i in look.after}
        )

    def forward(self, x: Tensor) -> Tensor:
        for i, block in enumerate(self.blocks):
            x = block(x)
            if str(i) in self.non_local:
                x = self.non_local[str(i)](x)
        return x


class ResNet3d(nn.Module):
    """Clips [N, 3, T, H, W] to the map after res5, [N, C, T', H / 32, W / 32] (H / 16 with a dilated res5)."""

    memory_format = torch.channels_last_3d
    no_decay: frozenset[str] = frozenset()
    num_layers = 5

    def __init__(self, config: ResNet3dConfig) -> None:
        super().__init__()
        self.config = config
        self.stem = Stem(config.stem_dim, config.stem_kernel, config.stem_pool)
        rates = iter(drop_path_rates(config.drop_path, sum(len(stage.kernels) for stage in config.stages)))
        dim = config.stem_dim
        for name, stage, extra in zip(STAGES, config.stages, config.extra):
            setattr(self, name, Stage(dim + extra, stage, config, [next(rates) for _ in stage.kernels]))
            dim = stage.dim
        init_resnet(self, config.identity_start)

    @property
    def stages(self) -> list[Stage]:
        return [getattr(self, name) for name in STAGES]

    @property
    def dims(self) -> tuple[int, ...]:
        """Channels of each map that `forward` returns."""
        return (self.config.stages[-1].dim,)

    def forward(self, clips: Tensor | Sequence[Tensor]) -> list[Tensor]:
        """The map after the last stage, as a list of one; clips [N, 3, T, H, W], bare or as a list of one."""
        x = self.stem(clips if isinstance(clips, Tensor) else clips[0])
        for name, stage in zip(STAGES, self.stages):
            x = stage(x)
            if name == "res2" and max(self.config.pool1) > 1:
                x = functional.max_pool3d(x, self.config.pool1, self.config.pool1)
        return [x]

    def maps(self, clips: Tensor | Sequence[Tensor]) -> list[Tensor]:
        return self(clips)

    def blocks(self) -> list[nn.Module]:
        return [block for stage in self.stages for block in stage.blocks]

    def layer_id(self, name: str) -> int:
        """Layer of a parameter for layer-wise learning rates: 0 the stem, 1 to 4 the stages."""
        first = name.split(".", 1)[0]
        return STAGES.index(first) + 1 if first in STAGES else 0


def init_resnet(module: nn.Module, identity_start: bool = True) -> None:
    """Kaiming-normal convolutions by fan-out; norms 1 and 0, but (identity_start) 0 for the last of each residual function,
    so that blocks begin as the identity (Goyal et al. 2017, section 5.1)."""
    for part in module.modules():
        if isinstance(part, nn.Conv3d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, (Bottleneck, Basic)) and identity_start:
            nn.init.zeros_(part.last_norm.weight)


def temporal_conv(dim_in: int, dim: int, kernel: int, stride: int = 1) -> nn.Conv3d:
    """A convolution over `kernel` frames at each place, without bias."""
    if kernel == 1 and stride == 1:
        return PointConv3d(dim_in, dim, bias=False)
    return TemporalConv3d(dim_in, dim, kernel, stride, bias=False)


def _make_conv_b(kind: ConvB, dim: int, stride: Size3, dilation: int, groups: int) -> nn.Module:
    if kind == "2plus1d":
        return TemporalThenSpatial(dim, stride)
    if kind == "depthwise":
        return Conv3d(dim, dim, 3, stride, 1, groups=dim, bias=False)
    return Conv3d(dim, dim, (1, 3, 3), stride, (0, dilation, dilation), (1, dilation, dilation), groups, bias=False)
