"""Convolutions over clips in the forms that libraries compute fastest: as a product, on a plane, frame by frame.

Each layer is an nn.Conv3d with its weights [D, C / groups, kT, kH, kW] and answers, up to rounding. Clips in channels_last_3d
are looked at as [N, T, H, W, C] without a copy; in another layout the 3-D convolution is taken as it is.

N clips, C channels in, D channels out, T frames, H height, W width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from vidmodels.ops.depthwise import depthwise_conv3d


class Conv3d(nn.Conv3d):
    """A convolution of any kernel, in the form that suits it.

    Kernel 1: a matrix product. (1, k, k): a 2-D convolution of each frame. (k, 1, 1): a 2-D one on the plane T x (H * W).
    3x3x3 of each channel alone: with gradients of our own. Any other: as nn.Conv3d.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._form = form_of(self)

    def forward(self, x: Tensor) -> Tensor:
        if self._form is None or not has_channels_last(x):
            return super().forward(x)
        return self._form(self, x)


class PointConv3d(Conv3d):
    """A convolution of kernel 1 and stride (1, s, s)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, bias: bool = True) -> None:
        super().__init__(in_channels, out_channels, 1, (1, stride, stride), bias=bias)


class TemporalConv3d(Conv3d):
    """A convolution over `kernel` frames at each place."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1, bias: bool = True
    ) -> None:
        around = (kernel // 2, 0, 0)
        super().__init__(in_channels, out_channels, (kernel, 1, 1), (stride, 1, 1), around, groups=groups, bias=bias)


def has_channels_last(x: Tensor) -> bool:
    """Whether a clip lies in memory as [N, T, H, W, C]."""
    return x.is_contiguous(memory_format=torch.channels_last_3d)


def rear(x: Tensor) -> Tensor:
    """[N, C, T, H, W] as [N, T, H, W, C]. Views of a clip are made from here: so they have strides by which torch knows
    channels-last, which views of [N, C, T, H, W] with N = 1 have not."""
    return x.permute(0, 2, 3, 4, 1)


def front(x: Tensor) -> Tensor:
    """[N, T, H, W, C] as [N, C, T, H, W]."""
    return x.permute(0, 4, 1, 2, 3)


def on_places(conv: nn.Conv3d, x: Tensor) -> Tensor:
    """A convolution of kernel 1 as a matrix product with the channels of each place."""
    places = rear(x)[:, :, :: conv.stride[1], :: conv.stride[2]]
    return front(functional.linear(places, conv.weight.flatten(1), conv.bias))


def on_frames(conv: nn.Conv3d, x: Tensor) -> Tensor:
    """A convolution of kernel (1, kH, kW) as a 2-D one of each frame."""
    around = padding_of(conv)[1:]
    frames = rear(x).flatten(0, 1).permute(0, 3, 1, 2)
    weight = conv.weight.squeeze(2)
    y = functional.conv2d(frames, weight, conv.bias, conv.stride[1:], around, conv.dilation[1:], conv.groups)
    return front(y.permute(0, 2, 3, 1).unflatten(0, (x.shape[0], x.shape[2])))


def on_plane(conv: nn.Conv3d, x: Tensor) -> Tensor:
    """A convolution of kernel (kT, 1, 1) as a 2-D one on the plane T x (H * W)."""
    stride, around, dilation = (conv.stride[0], 1), (padding_of(conv)[0], 0), (conv.dilation[0], 1)
    plane = rear(x).flatten(2, 3).permute(0, 3, 1, 2)
    y = functional.conv2d(plane, conv.weight.flatten(3), conv.bias, stride, around, dilation, conv.groups)
    return front(y.permute(0, 2, 3, 1).unflatten(2, x.shape[3:]))


def on_shifts(conv: nn.Conv3d, x: Tensor) -> Tensor:
    """A convolution of kernel (kT, 1, 1) as the sum of a matrix product for each of its frames."""
    count, around = conv.kernel_size[0], padding_of(conv)[0]
    frames = functional.pad(rear(x), (0, 0, 0, 0, 0, 0, around, around))
    length = frames.shape[1] - count + 1
    y = functional.linear(frames[:, :length], conv.weight[:, :, 0, 0, 0], conv.bias)
    for i in range(1, count):
        y = y + functional.linear(frames[:, i : i + length], conv.weight[:, :, i, 0, 0])
    return front(y)


def on_channels(conv: nn.Conv3d, x: Tensor) -> Tensor:
    """A convolution 3x3x3 of each channel alone."""
    return depthwise_conv3d(x, conv.weight, conv.bias, conv.stride)


def form_of(conv: nn.Conv3d) -> Any:
    """The function above that computes the convolution of a clip in channels_last_3d, or None."""
    kernel, stride, padding, ones = conv.kernel_size, conv.stride, padding_of(conv), (1, 1, 1)
    if kernel == ones and stride[0] == 1 and conv.groups == 1 and max(padding) == 0:
        return on_places
    if kernel[0] == 1 and stride[0] == 1 and padding[0] == 0:
        return on_frames
    if kernel[1:] == (1, 1) and stride[1:] == (1, 1) and padding[1:] == (0, 0):
        # with many channels both are as fast forward, and products twice as fast backward
        many = conv.in_channels >= 512 and conv.groups == conv.stride[0] == conv.dilation[0] == 1
        return on_shifts if many else on_plane
    depthwise = conv.groups == conv.in_channels == conv.out_channels
    if depthwise and kernel == (3, 3, 3) and padding == conv.dilation == ones:
        return on_channels
    return None


def padding_of(conv: nn.Conv3d) -> tuple[int, ...]:
    """Padding in time, height and width."""
    assert not isinstance(conv.padding, str)
    return conv.padding
