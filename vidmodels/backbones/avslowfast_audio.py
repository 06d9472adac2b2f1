"""The audio pathway of AVSlowFast: a residual network on a spectrogram, whose plane is time by mel band.

N clips, C channels, T time steps, M mel bands. Maps are [N, C, 1, T, M]: with 3-D convolutions throughout, the pathways
share their parts and one memory format.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from vidmodels.backbones.resnet3d import STAGES, Shortcut, Size3
from vidmodels.layers.conv import Conv3d, conv_norm_act
from vidmodels.ops.fused import Activation

AudioForm = Literal["wide", "narrow", "joint"]


@dataclass(frozen=True)
class AudioStageConfig:
    """One stage: channels of it and inside its blocks, number and form of the blocks, stride of the first in T and M.

    form: how a block looks around in time and in mel. "wide": 3x1 and 1x3 side by side on its input, concatenated (the
    authors' v1); "narrow": the same after a 1x1 convolution, summed (their v2, and PyTorchVideo); "joint": 3x3.
    """

    dim: int
    inner: int
    depth: int
    form: AudioForm
    stride: int = 2


@dataclass(frozen=True)
class AudioConfig:
    """early_time: the stride in time is that of convolution a, not of b (PyTorchVideo); no "wide" block has an a.

    identity_start: blocks begin as the identity, as in ResNet3dConfig.
    """

    stem_dim: int
    stages: tuple[AudioStageConfig, ...]
    early_time: bool = False
    identity_start: bool = True

    @property
    def reductions(self) -> tuple[int, ...]:
        """By how much the stem and each stage have fewer steps of time than the spectrogram has rows."""
        found = [1]
        for stage in self.stages:
            found.append(found[-1] * stage.stride)
        return tuple(found)


class ConvNorm(nn.Module):
    """Convolution of odd kernel (1, kT, kM), padded to keep the size at stride 1, and norm."""

    def __init__(self, dim_in: int, dim: int, kernel: Size3 = (1, 1, 1), stride: Size3 = (1, 1, 1)) -> None:
        super().__init__()
        around = (0, kernel[1] // 2, kernel[2] // 2)
        self.conv = Conv3d(dim_in, dim, kernel, stride, around, bias=False)
        self.norm = nn.BatchNorm3d(dim)

    def forward(self, x: Tensor, act: Activation = "none", add: Tensor | None = None) -> Tensor:
        return conv_norm_act(self.conv, self.norm, x, act, add)


class TimeMel(nn.Module):
    """3x1 over time and 1x3 over mel bands in parallel, each with norm and ReLU, then concatenated or summed."""

    def __init__(self, dim_in: int, dim: int, stride: Size3, concatenate: bool) -> None:
        super().__init__()
        self.concatenate = concatenate
        self.time = ConvNorm(dim_in, dim, (1, 3, 1), stride)
        self.mel = ConvNorm(dim_in, dim, (1, 1, 3), stride)

    def forward(self, x: Tensor) -> Tensor:
        time, mel = self.time(x, "relu"), self.mel(x, "relu")
        return torch.cat([time, mel], dim=1) if self.concatenate else time + mel


class AudioBlock(nn.Module):
    """ReLU(shortcut(x) + c(b(a(x)))), a and c 1x1, b around each place in time and mel; see AudioStageConfig for forms."""

    def __init__(self, dim_in: int, stage: AudioStageConfig, stride: int, early_time: bool = False) -> None:
        super().__init__()
        inner, wide = stage.inner, stage.form == "wide"
        early = early_time and not wide
        at_a, at_b = ((1, stride, 1), (1, 1, stride)) if early else ((1, 1, 1), (1, stride, stride))
        self.a = None if wide else ConvNorm(dim_in, inner, stride=at_a)
        self.b: nn.Module
        if stage.form == "joint":
            self.b = ConvNorm(inner, inner, (1, 3, 3), at_b)
        else:
            self.b = TimeMel(dim_in if wide else inner, inner, at_b, concatenate=wide)
        self.c = ConvNorm(2 * inner if wide else inner, stage.dim)
        changes = dim_in != stage.dim or stride > 1
        self.shortcut = Shortcut(dim_in, stage.dim, (1, stride, stride)) if changes else None

    def forward(self, x: Tensor) -> Tensor:
        short = x if self.shortcut is None else self.shortcut(x)
        y = x if self.a is None else self.a(x, "relu")
        y = self.b(y, "relu") if isinstance(self.b, ConvNorm) else self.b(y)
        return self.c(y, "relu", short)


class AudioStem(nn.Module):
    """9x1 over time and 1x9 over mel bands, summed, norm, ReLU; nothing is pooled."""

    def __init__(self, dim: int, kernel: int = 9) -> None:
        super().__init__()
        self.conv_t = Conv3d(1, dim, (1, kernel, 1), padding=(0, kernel // 2, 0), bias=False)
        self.conv_m = Conv3d(1, dim, (1, 1, kernel), padding=(0, 0, kernel // 2), bias=False)
        self.norm = nn.BatchNorm3d(dim)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.norm(self.conv_t(x) + self.conv_m(x)), inplace=True)


class AudioNet(nn.Module):
    """Stem and four stages; the backbone runs them one by one, between those of the pictures."""

    def __init__(self, config: AudioConfig) -> None:
        super().__init__()
        self.config = config
        self.stem = AudioStem(config.stem_dim)
        dim = config.stem_dim
        for name, stage in zip(STAGES, config.stages):
            blocks = [
                AudioBlock(
                    dim if i == 0 else stage.dim,
                    stage,
                    stage.stride if i == 0 else 1,
                    config.early_time,
                )
                for i in range(stage.depth)
            ]
            setattr(self, name, nn.Sequential(*blocks))
            dim = stage.dim
        init_audio(self, config.identity_start)

    @property
    def stages(self) -> list[nn.Sequential]:
        return [getattr(self, name) for name in STAGES]

    @property
    def dims(self) -> tuple[int, ...]:
        """Channels after the stem and after each stage."""
        return (self.config.stem_dim, *(stage.dim for stage in self.config.stages))

    def forward(self, audio: Tensor) -> Tensor:
        """The map after res5, [N, C, 1, T', M'], of spectrograms [N, 1, 1, T, M]."""
        x = self.stem(audio)
        for stage in self.stages:
            x = stage(x)
        return x


class AudioToSlow(nn.Module):
    """Lateral connection: the mean over mel bands, then convolutions over time with norm and ReLU, of which the last has
    the stride that leaves one step for each of Slow's frames (the paper's A -> FS).

    dims: channels before the first convolution and after each.
    """

    def __init__(self, dims: Sequence[int], kernel: int, stride: int) -> None:
        super().__init__()
        last = len(dims) - 2
        self.convs = nn.Sequential(
            *(
                ConvNorm(dim_in, dim, (1, kernel, 1), (1, stride if i == last else 1, 1))
                for i, (dim_in, dim) in enumerate(itertools.pairwise(dims))
            )
        )
        init_audio(self)

    def forward(self, audio: Tensor) -> Tensor:
        """[N, C', T', 1, 1], one step for each of Slow's frames, of a map [N, C, 1, T, M]."""
        x = audio.mean(-1, keepdim=True)
        for conv in self.convs:
            x = conv(x, "relu")
        return x.transpose(2, 3)


def init_audio(module: nn.Module, identity_start: bool = True) -> None:
    """Kaiming-normal convolutions by fan-out; blocks begin as the identity (or not), as in the pathways of the pictures."""
    for part in module.modules():
        if isinstance(part, nn.Conv3d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(part, AudioBlock) and identity_start:
            nn.init.zeros_(part.c.norm.weight)
