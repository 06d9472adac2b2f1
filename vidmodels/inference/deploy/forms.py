"""The layers of deployed models: convolutions with weights of fewer dimensions, and the block of X3D with fewer passes.

N clips, C channels in, D channels out, T frames, H height, W width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from vidmodels.backbones.x3d import Block
from vidmodels.layers.conv import LARGE, Activated, front, padding_of, rear
from vidmodels.ops.fused import Activation, activate, conv_act, fuses

Geometry = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], int]
"""Stride, padding, dilation and groups."""


class Frozen(Activated):
    """A convolution that learns no more."""

    def __init__(self, conv: nn.Conv3d, weight: Tensor, geometry: Geometry) -> None:
        super().__init__()
        self.weight = frozen(weight)
        self.bias = None if conv.bias is None else frozen(conv.bias)
        self.geometry = geometry


class PlaceConv(Frozen):
    """A convolution of kernel 1, weight [D, C, 1, 1, 1]; a product where it is not one pass."""

    def __init__(self, conv: nn.Conv3d) -> None:
        super().__init__(conv, conv.weight, (conv.stride, padding_of(conv), conv.dilation, conv.groups))

    def forward(self, x: Tensor, act: Activation = "none", add: Tensor | None = None) -> Tensor:
        if x.numel() // x.shape[1] * len(self.weight) >= LARGE and fuses(x, self.weight):
            return conv_act(x, self.weight, self.bias, *self.geometry, act, add)
        st, sy, sx = self.geometry[0]
        y = functional.linear(last(x)[:, ::st, ::sy, ::sx], self.weight.flatten(1), self.bias)
        return activate(front(y), act, add)

    def onto(self, x: Tensor, short: Tensor) -> Tensor:
        """ReLU(convolution of x at stride 1 + short) in the memory of short: no map is written for it."""
        places = last(short)
        places.flatten(0, 3).addmm_(last(x).flatten(0, 3), self.weight.flatten(1).t())
        return activate(front(places if self.bias is None else places.add_(self.bias)), "relu")


class ClipConv(Frozen):
    """A convolution over frames and space, as it was."""

    def __init__(self, conv: nn.Conv3d) -> None:
        super().__init__(conv, conv.weight, (conv.stride, padding_of(conv), conv.dilation, conv.groups))

    def forward(self, x: Tensor, act: Activation = "none", add: Tensor | None = None) -> Tensor:
        return conv_act(x, self.weight, self.bias, *self.geometry, act, add)


class FrameConv(Frozen):
    """A convolution of kernel (1, kH, kW) as a 2-D one of each frame, weight [D, C / groups, kH, kW].

    tap: of a kernel over several frames, the one whose frame is there; the others see padding only.
    """

    def __init__(self, conv: nn.Conv3d, tap: int = 0) -> None:
        super().__init__(conv, conv.weight[:, :, tap], _in_space(conv))

    def forward(self, x: Tensor, act: Activation = "none", add: Tensor | None = None) -> Tensor:
        y = conv_act(_frames(last(x)), self.weight, self.bias, *self.geometry, act if add is None else "none")
        y = front(y.permute(0, 2, 3, 1).unflatten(0, (x.shape[0], x.shape[2])))
        return y if add is None else activate(y, act, add)


class PlaneConv(Frozen):
    """A convolution of kernel (kT, 1, 1) as a 2-D one on the plane T x (H * W), weight [D, C / groups, kT, 1]."""

    def __init__(self, conv: nn.Conv3d) -> None:
        geometry = (conv.stride[0], 1), (padding_of(conv)[0], 0), (conv.dilation[0], 1), conv.groups
        super().__init__(conv, conv.weight.flatten(3), geometry)

    def forward(self, x: Tensor, act: Activation = "none", add: Tensor | None = None) -> Tensor:
        plane = last(x).flatten(2, 3).permute(0, 3, 1, 2)
        y = conv_act(plane, self.weight, self.bias, *self.geometry, act if add is None else "none")
        y = front(y.permute(0, 2, 3, 1).unflatten(2, x.shape[3:]))
        return y if add is None else activate(y, act, add)


class TapConv(Frozen):
    """A convolution over frames and space as one 2-D convolution for each of its frames, weight [kT, D, C / groups, kH, kW].

    Each tap sees the frames shifted by its place in the kernel; what would be padding is left out.
    """

    def __init__(self, conv: nn.Conv3d) -> None:
        super().__init__(conv, conv.weight.movedim(2, 0), _in_space(conv))
        self.stride, self.padding, self.dilation = conv.stride[0], padding_of(conv)[0], conv.dilation[0]

    def forward(self, x: Tensor, act: Activation = "none", add: Tensor | None = None) -> Tensor:
        x = last(x)
        n, t = x.shape[:2]
        length = (t + 2 * self.padding - self.dilation * (len(self.weight) - 1) - 1) // self.stride + 1
        out: Tensor | None = None
        for tap, weight in enumerate(self.weight):
            shift = tap * self.dilation - self.padding
            first = max(0, -(shift // self.stride))  # the first frame of the answer for which the tap sees one of the clip
            end = min(length, (t - 1 - shift) // self.stride + 1)
            if end <= first:
                continue
            seen = x[:, first * self.stride + shift :: self.stride][:, : end - first].contiguous()
            y = (
                functional.conv2d(_frames(seen), weight, None, *self.geometry)
                .permute(0, 2, 3, 1)
                .unflatten(0, (n, end - first))
            )
            if out is None:
                out = y.new_zeros((n, length, *y.shape[2:]))
            out[:, first:end] += y
        assert out is not None
        return activate(front(out if self.bias is None else out.add_(self.bias)), act, add)


class LeanBlock(nn.Module):
    """X3D's block with its last convolution added up on the shortcut; where that is the identity, its input is overwritten."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        self.conv_a, self.conv_b, self.se, self.shortcut = block.conv_a, block.conv_b, block.se, block.shortcut
        self.conv_c: PlaceConv = block.conv_c  # type: ignore[assignment]  # the parts of a block get their forms before it does

    def forward(self, x: Tensor) -> Tensor:
        short = x if self.shortcut is None else self.shortcut(x)
        y = self.conv_b(self.conv_a(x, "relu"))
        return self.conv_c.onto(activate(self.se(y), "silu"), short)


def last(x: Tensor) -> Tensor:
    """A clip [N, C, T, H, W] as [N, T, H, W, C] without gaps in memory."""
    return rear(x).contiguous()


def frozen(weight: Tensor) -> nn.Parameter:
    """A parameter of its own memory that does not learn."""
    return nn.Parameter(weight.detach().clone(memory_format=torch.contiguous_format), False)


def _frames(x: Tensor) -> Tensor:
    """[N, T, H, W, C] as [N * T, C, H, W]."""
    return x.flatten(0, 1).permute(0, 3, 1, 2)


def _in_space(conv: nn.Conv3d) -> Geometry:
    """Stride, padding and dilation in space, and the groups."""
    return conv.stride[1:], padding_of(conv)[1:], conv.dilation[1:], conv.groups
