"""X3D: one small network whose width, depth, clip length and resolution are scaled by factors (Feichtenhofer 2020).

N clips, C channels, T frames, H height, W width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from vidmodels.backbones.resnet3d import STAGES
from vidmodels.core.errors import ConfigError
from vidmodels.layers.conv import Conv3d, PointConv3d, TemporalConv3d, conv_norm_act, residual
from vidmodels.layers.squeeze_excite import SqueezeExcite
from vidmodels.layers.transformer import drop_path_rates
from vidmodels.ops.fused import activate

WIDE = 24 << 20
"""Bytes of a map above which a process gets memory from the system and gives it back each time (32 MiB with glibc, less the
frames that parts share): then to be written for the first time costs a map more than the product that fills it."""


@dataclass(frozen=True)
class X3DConfig:
    """A member of the family (X3D, table 1). A factor of 1 leaves the base as it is.

    base_dim, base_depths: channels of the stem and blocks of the stages that the factors scale (the paper's width factor 1
    is 2 here); bottleneck_factor: inner channels of a block for each of its own; se_ratio: hidden channels of
    squeeze-and-excitation for each inner one, 0 for none. scale_res2: res2 is twice as wide as the stem already.
    res2_shortcut_norm: False as in PyTorchVideo, whose shortcuts have a norm only where the channels change.
    strides, dilations: of the stages, in space. identity_start: blocks begin as the identity, their last norms at 0. Frames
    and pixels change no weight: the network takes any.
    """

    width_factor: float = 2.0
    depth_factor: float = 2.2
    bottleneck_factor: float = 2.25
    base_dim: int = 12
    base_depths: tuple[int, ...] = (1, 2, 5, 3)
    stem_kernel: int = 5
    se_ratio: float = 1 / 16
    scale_res2: bool = False
    res2_shortcut_norm: bool = True
    strides: tuple[int, ...] = (2, 2, 2, 2)
    dilations: tuple[int, ...] = (1, 1, 1, 1)
    drop_path: float = 0.0
    identity_start: bool = True

    def __post_init__(self) -> None:
        for name in ("width_factor", "depth_factor", "bottleneck_factor"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name} {getattr(self, name)} must be greater than 0")
        for name in ("base_depths", "strides", "dilations"):
            if len(getattr(self, name)) != 4:
                raise ConfigError(f"{name} {getattr(self, name)} must have one number for each of the four stages")

    @property
    def stem_dim(self) -> int:
        return round_width(self.base_dim, self.width_factor)

    @property
    def dims(self) -> tuple[int, ...]:
        """Channels of the stages: the base is doubled from stage to stage (and rounded), then multiplied."""
        base = [round_width(self.base_dim, 2) if self.scale_res2 else self.base_dim]
        while len(base) < 4:
            base.append(round_width(base[-1], 2))
        return tuple(round_width(dim, self.width_factor) for dim in base)

    @property
    def inner(self) -> tuple[int, ...]:
        """Channels inside the blocks of each stage; not rounded to a multiple of 8."""
        return tuple(int(self.bottleneck_factor * dim) for dim in self.dims)

    @property
    def depths(self) -> tuple[int, ...]:
        """Blocks of each stage, rounded up."""
        # 2.2 * 5 is 11 whatever the last digit of the product says
        return tuple(math.ceil(round(self.depth_factor * depth, 6)) for depth in self.base_depths)

    @property
    def stride(self) -> int:
        """Pixels of a cell of the last map."""
        return 2 * math.prod(self.strides)


def round_width(dim: int, factor: float, divisor: int = 8) -> int:
    """dim * factor as the nearest multiple of 8, at least 8 and never below 0.9 of the product."""
    wanted = dim * factor
    rounded = max(divisor, int(wanted + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * wanted else rounded


class Stem(nn.Module):
    """Convolution 1x3x3 at stride 2, then one over time for each channel alone, norm, ReLU; nothing between the two."""

    def __init__(self, dim: int, kernel: int) -> None:
        super().__init__()
        self.conv_xy = Conv3d(3, dim, (1, 3, 3), (1, 2, 2), (0, 1, 1), bias=False)
        self.conv = TemporalConv3d(dim, dim, kernel, groups=dim, bias=False)
        self.norm = nn.BatchNorm3d(dim)

    def forward(self, x: Tensor) -> Tensor:
        return conv_norm_act(self.conv, self.norm, self.conv_xy(x), "relu")


class Shortcut(nn.Module):
    """1x1x1 convolution at the block's stride and, but for PyTorchVideo's res2, a norm."""

    def __init__(self, dim_in: int, dim: int, stride: int, norm: bool = True) -> None:
        super().__init__()
        self.conv = PointConv3d(dim_in, dim, stride, bias=False)
        self.norm = nn.BatchNorm3d(dim) if norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return conv_norm_act(self.conv, self.norm, x)


class Block(nn.Module):
    """ReLU(shortcut(x) + c(SiLU(SE(b(ReLU(a(x))))))): a and c 1x1x1, b 3x3x3 for each channel alone (X3D, section 3.1).

    se: hidden channels of squeeze-and-excitation, 0 for none. shortcut_norm: whether a shortcut's convolution has a norm.
    """

    def __init__(
        self,
        dim_in: int,
        dim: int,
        inner: int,
        stride: int = 1,
        dilation: int = 1,
        se: int = 0,
        shortcut_norm: bool = True,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        self.conv_a = PointConv3d(dim_in, inner, bias=False)
        self.norm_a = nn.BatchNorm3d(inner)
        around = (1, dilation, dilation)
        self.conv_b = Conv3d(inner, inner, 3, (1, stride, stride), around, around, groups=inner, bias=False)
        self.norm_b = nn.BatchNorm3d(inner)
        self.se = SqueezeExcite(inner, se) if se else nn.Identity()
        self.conv_c = PointConv3d(inner, dim, bias=False)
        self.norm_c = nn.BatchNorm3d(dim)
        self.shortcut = Shortcut(dim_in, dim, stride, shortcut_norm) if dim_in != dim or stride > 1 else None
        self.drop_path = StochasticDepth(drop_path, "row") if drop_path > 0 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        short = x if self.shortcut is None else self.shortcut(x)
        y = self._in_parts(x)
        if not isinstance(self.se, nn.Identity):
            y = activate(self.se(y), "silu")
        return residual(self.conv_c, self.norm_c, self.drop_path, y, short)

    def _widened(self, x: Tensor) -> Tensor:
        """b(ReLU(a(x))), and SiLU of it where no squeeze-and-excitation comes between."""
        y = conv_norm_act(self.conv_a, self.norm_a, x, "relu")
        return conv_norm_act(self.conv_b, self.norm_b, y, "silu" if isinstance(self.se, nn.Identity) else "none")

    def _in_parts(self, x: Tensor) -> Tensor:
        """`_widened`, a few frames at a time where the map between a and b would be WIDE."""
        # parts have no common batch to normalise, and gradients would keep all of them; a graph would hold for few batches only
        if self.training or torch.is_grad_enabled() or x.device.type != "cpu" or torch.compiler.is_compiling():
            return self._widened(x)
        frames = x.shape[2]
        wide = x.numel() // x.shape[1] * len(self.conv_a.weight) * x.element_size()
        if wide <= WIDE or frames == 1:
            return self._widened(x)
        step, parts = max(1, frames * WIDE // wide), []
        for first in range(0, frames, step):
            seen = x[:, :, max(0, first - 1) : first + step + 1]  # b sees a frame more on either side
            part = self._widened(seen.contiguous(memory_format=torch.channels_last_3d))
            parts.append(part[:, :, min(first, 1) :][:, :, :step])
        return torch.cat(parts, dim=2).contiguous(memory_format=torch.channels_last_3d)


class X3D(nn.Module):
    """Clips [N, 3, T, H, W] to the map after res5, [N, C, T, H / 32, W / 32]: no frame is lost, halves are rounded up."""

    memory_format = torch.channels_last_3d
    no_decay: frozenset[str] = frozenset()
    num_layers = 5

    def __init__(self, config: X3DConfig = X3DConfig()) -> None:
        super().__init__()
        self.config = config
        self.stem = Stem(config.stem_dim, config.stem_kernel)
        rates = iter(drop_path_rates(config.drop_path, sum(config.depths)))
        dim_in = config.stem_dim
        for i, name in enumerate(STAGES):
            dim, inner = config.dims[i], config.inner[i]
            blocks = nn.Sequential()
            for k in range(config.depths[i]):
                se = round_width(inner, config.se_ratio) if config.se_ratio and k % 2 == 0 else 0  # every second block
                norm = config.res2_shortcut_norm or dim_in != dim
                stride = config.strides[i] if k == 0 else 1
                blocks.append(Block(dim_in, dim, inner, stride, config.dilations[i], se, norm, next(rates)))
                dim_in = dim
            setattr(self, name, blocks)
        init_x3d(self, config.identity_start)

    @property
    def stages(self) -> list[nn.Sequential]:
        return [getattr(self, name) for name in STAGES]

    @property
    def dims(self) -> tuple[int, ...]:
        """Channels of each map that `forward` returns."""
        return self.config.dims[-1:]

    @property
    def inner(self) -> int:
        """Channels inside the blocks of the last stage, to which the heads widen its map."""
        return self.config.inner[-1]

    def forward(self, clips: Tensor | Sequence[Tensor]) -> list[Tensor]:
        """The map after the last stage, as a list of one; clips [N, 3, T, H, W], bare or as a list of one."""
        x = clips if isinstance(clips, Tensor) else clips[0]
        if x.device.type == "cpu":
            # the layout of the clip decides that of all maps; depthwise 3x3x3 is up to 10 times as fast in this one
            x = x.contiguous(memory_format=self.memory_format)
        x = self.stem(x)
        for stage in self.stages:
            x = stage(x)
        return [x]

    def maps(self, clips: Tensor | Sequence[Tensor]) -> list[Tensor]:
        return self(clips)

    def blocks(self) -> list[nn.Module]:
        return [block for stage in self.stages for block in stage]

    def layer_id(self, name: str) -> int:
        """Layer of a parameter for layer-wise learning rates: 0 the stem, 1 to 4 the stages."""
        first = name.split(".", 1)[0]
        return STAGES.index(first) + 1 if first in STAGES else 0


def init_x3d(module: nn.Module, identity_start: bool = True) -> None:
    """Kaiming-normal convolutions by fan-out; norms 1 and 0, but (identity_start) 0 for the last of each residual function;
    linear layers of squeeze-and-excitation as the 1x1x1 convolutions that they are, with zero biases."""
    for part in module.modules():
        if isinstance(part, (nn.Conv3d, nn.Linear)):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, Block) and identity_start:
            nn.init.zeros_(part.norm_c.weight)
