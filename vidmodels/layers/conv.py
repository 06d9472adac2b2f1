"""Convolutions over clips in the forms that libraries compute fastest: as a product, on a plane, frame by frame.

Each layer is an nn.Conv3d with its weights [D, C / groups, kT, kH, kW] and answers, up to rounding. Clips in channels_last_3d
are looked at as [N, T, H, W, C] without a copy; in another layout the 3-D convolution is taken as it is. What follows a
convolution in a network (norm, sum, activation) is said with it, so that it can be one pass where the norm is folded away.

N clips, C channels in, D channels out, T frames, H height, W width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from vidmodels.ops.depthwise import depthwise_conv3d
from vidmodels.ops.fused import Activation, activate, conv_act, fuses

LARGE = 1 << 19
"""Values of a map from which one pass pays: below it all passes find the map in the processor's cache, and a product is called
in a fifth of the time of a convolution (6 against 50 us, AVX2)."""


class Activated(nn.Module):
    """A convolution that is called with what follows it: conv(x, act, add) is act(convolution of x + add)."""


class Conv3d(nn.Conv3d, Activated):
    """A convolution of any kernel, in the form that suits it.

    Kernel 1: a matrix product. (1, k, k): a 2-D convolution of each frame. (k, 1, 1): a 2-D one on the plane T x (H * W).
    3x3x3 of each channel alone: with gradients of our own. Any other: as nn.Conv3d.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._form = form_of(self)

    def forward(self, x: Tensor, act: Activation = "none", add: Tensor | None = None) -> Tensor:
        if not has_channels_last(x):
            return activate(super().forward(x), act, add)
        return self._form(self, x, act, add)


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


def conv_norm_act(conv: nn.Module, norm: nn.Module, x: Tensor, act: Activation = "none", add: Tensor | None = None) -> Tensor:
    """act(norm(conv(x)) + add); one pass over the map where the norm is folded away and nothing will be differentiated."""
    if isinstance(norm, nn.Identity) and isinstance(conv, Activated):
        return conv(x, act, add)
    return activate(norm(conv(x)), act, add)


def residual(conv: nn.Module, norm: nn.Module, drop: nn.Module, x: Tensor, short: Tensor) -> Tensor:
    """ReLU(drop(norm(conv(x))) + short), the end of a residual block; drop: stochastic depth, or nothing."""
    if drop.training and not isinstance(drop, nn.Identity):
        return activate(drop(norm(conv(x))), "relu", short)
    return conv_norm_act(conv, norm, x, "relu", short)


def on_places(conv: nn.Conv3d, x: Tensor, act: Activation = "none", add: Tensor | None = None) -> Tensor:
    """A convolution of kernel 1 as a matrix product with the channels of each place, but for the one pass of a large map."""
    # in this order: a size that is compared while a graph is made becomes a condition on its batch
    if fuses(x, conv.weight) and x.numel() // x.shape[1] * conv.out_channels >= LARGE:
        return as_it_is(conv, x, act, add)
    places = rear(x)[:, :, :: conv.stride[1], :: conv.stride[2]]
    return activate(front(functional.linear(places, conv.weight.flatten(1), conv.bias)), act, add)


def on_frames(conv: nn.Conv3d, x: Tensor, act: Activation = "none", add: Tensor | None = None) -> Tensor:
    """A convolution of kernel (1, kH, kW) as a 2-D one of each frame."""
    geometry = conv.stride[1:], padding_of(conv)[1:], conv.dilation[1:], conv.groups
    frames = rear(x).flatten(0, 1).permute(0, 3, 1, 2)
    y = conv_act(frames, conv.weight.squeeze(2), conv.bias, *geometry, act if add is None else "none")
    y = front(y.permute(0, 2, 3, 1).unflatten(0, (x.shape[0], x.shape[2])))
    return y if add is None else activate(y, act, add)


def on_plane(conv: nn.Conv3d, x: Tensor, act: Activation = "none", add: Tensor | None = None) -> Tensor:
    """A convolution of kernel (kT, 1, 1) as a 2-D one on the plane T x (H * W)."""
    geometry = (conv.stride[0], 1), (padding_of(conv)[0], 0), (conv.dilation[0], 1), conv.groups
    plane = rear(x).flatten(2, 3).permute(0, 3, 1, 2)
    y = conv_act(plane, conv.weight.flatten(3), conv.bias, *geometry, act if add is None else "none")
    y = front(y.permute(0, 2, 3, 1).unflatten(2, x.shape[3:]))
    return y if add is None else activate(y, act, add)


def on_shifts(conv: nn.Conv3d, x: Tensor, act: Activation = "none", add: Tensor | None = None) -> Tensor:
    """A convolution of kernel (kT, 1, 1) as the sum of a matrix product for each of its frames."""
    if fuses(x, conv.weight):
        return on_plane(conv, x, act, add)  # as fast forward
    count, around = conv.kernel_size[0], padding_of(conv)[0]
    frames = functional.pad(rear(x), (0, 0, 0, 0, 0, 0, around, around))
    length = frames.shape[1] - count + 1
    y = functional.linear(frames[:, :length], conv.weight[:, :, 0, 0, 0], conv.bias)
    for i in range(1, count):
        y = y + functional.linear(frames[:, i : i + length], conv.weight[:, :, i, 0, 0])
    return activate(front(y), act, add)


def on_channels(conv: nn.Conv3d, x: Tensor, act: Activation = "none", add: Tensor | None = None) -> Tensor:
    """A convolution 3x3x3 of each channel alone."""
    if fuses(x, conv.weight):
        return as_it_is(conv, x, act, add)
    return activate(depthwise_conv3d(x, conv.weight, conv.bias, conv.stride), act, add)


def as_it_is(conv: nn.Conv3d, x: Tensor, act: Activation = "none", add: Tensor | None = None) -> Tensor:
    """Any convolution as the 3-D one that it is."""
    return conv_act(x, conv.weight, conv.bias, conv.stride, padding_of(conv), conv.dilation, conv.groups, act, add)


def form_of(conv: nn.Conv3d) -> Any:
    """The function above that computes the convolution of a clip in channels_last_3d."""
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
    return as_it_is


def padding_of(conv: nn.Conv3d) -> tuple[int, ...]:
    """Padding in time, height and width."""
    assert not isinstance(conv.padding, str)
    return conv.padding
