"""The layers of deployed models: convolutions with weights of fewer dimensions, and the block of X3D with fewer passes.

N clips, C channels in, D channels out, T frames, H height, W width, P places of all clips.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from vidmodels.backbones.x3d import Block
from vidmodels.layers.conv import front, padding_of, rear

Size2 = tuple[int, int]


class PlaceLinear(nn.Module):
    """A convolution of kernel 1 as a product with weight [D, C]; stride in space leaves out places."""

    def __init__(self, conv: nn.Conv3d) -> None:
        super().__init__()
        self.weight, self.bias = frozen(conv.weight.flatten(1)), frozen_bias(conv)
        self.stride = conv.stride

    def forward(self, x: Tensor) -> Tensor:
        st, sy, sx = self.stride
        return front(functional.linear(last(x)[:, ::st, ::sy, ::sx], self.weight, self.bias))


class FrameConv(nn.Module):
    """A convolution of kernel (1, kH, kW) as a 2-D one of each frame, weight [D, C / groups, kH, kW].

    tap: of a kernel over several frames, the one whose frame is there; the others see padding only.
    """

    def __init__(self, conv: nn.Conv3d, tap: int = 0) -> None:
        super().__init__()
        self.weight, self.bias = frozen(conv.weight[:, :, tap]), frozen_bias(conv)
        self.options = _in_space(conv)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.conv2d(_frames(last(x)), self.weight, self.bias, *self.options)
        return front(y.permute(0, 2, 3, 1).unflatten(0, (x.shape[0], x.shape[2])))


class PlaneConv(nn.Module):
    """A convolution of kernel (kT, 1, 1) as a 2-D one on the plane T x (H * W), weight [D, C / groups, kT, 1]."""

    def __init__(self, conv: nn.Conv3d) -> None:
        super().__init__()
        self.weight, self.bias = frozen(conv.weight.flatten(3)), frozen_bias(conv)
        self.options = ((conv.stride[0], 1), (padding_of(conv)[0], 0), (conv.dilation[0], 1), conv.groups)

    def forward(self, x: Tensor) -> Tensor:
        plane = last(x).flatten(2, 3).permute(0, 3, 1, 2)
        y = functional.conv2d(plane, self.weight, self.bias, *self.options)
        return front(y.permute(0, 2, 3, 1).unflatten(2, x.shape[3:]))


class TapConv(nn.Module):
    """A convolution over frames and space as one 2-D convolution for each of its frames, weight [kT, D, C / groups, kH, kW].

    Each tap sees the frames shifted by its place in the kernel; what would be padding is left out.
    """

    def __init__(self, conv: nn.Conv3d) -> None:
        super().__init__()
        self.weight, self.bias = frozen(conv.weight.movedim(2, 0)), frozen_bias(conv)
        self.options = _in_space(conv)
        self.stride, self.padding, self.dilation = conv.stride[0], padding_of(conv)[0], conv.dilation[0]

    def forward(self, x: Tensor) -> Tensor:
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
            y = functional.conv2d(_frames(seen), weight, None, *self.options).permute(0, 2, 3, 1).unflatten(0, (n, end - first))
            if out is None:
                out = y.new_zeros((n, length, *y.shape[2:]))
            out[:, first:end] += y
        assert out is not None
        return front(out if self.bias is None else out.add_(self.bias))


class LeanBlock(nn.Module):
    """X3D's block with its last convolution added up on the shortcut in place: no map is written for it.

    It overwrites its input where the shortcut is the identity.
    """

    def __init__(self, block: Block) -> None:
        super().__init__()
        self.conv_a, self.conv_b = block.conv_a, block.conv_b
        self.se, self.shortcut = block.se, block.shortcut
        self.weight, self.bias = frozen(block.conv_c.weight.flatten(1)), frozen_bias(block.conv_c)

    def forward(self, x: Tensor) -> Tensor:
        short = last(x if self.shortcut is None else self.shortcut(x))
        y = functional.relu(self.conv_a(x), inplace=True)
        y = last(functional.silu(self.se(self.conv_b(y)), inplace=True))
        short.flatten(0, 3).addmm_(y.flatten(0, 3), self.weight.t())
        return front(functional.relu(short if self.bias is None else short.add_(self.bias), inplace=True))


def last(x: Tensor) -> Tensor:
    """A clip [N, C, T, H, W] as [N, T, H, W, C] without gaps in memory."""
    return rear(x).contiguous()


def frozen(weight: Tensor) -> nn.Parameter:
    """A parameter of its own memory that does not learn."""
    return nn.Parameter(weight.detach().clone(memory_format=torch.contiguous_format), False)


def frozen_bias(conv: nn.Module) -> nn.Parameter | None:
    """The bias of a convolution, None for none."""
    return frozen(conv.bias) if isinstance(conv.bias, Tensor) else None


def _frames(x: Tensor) -> Tensor:
    """[N, T, H, W, C] as [N * T, C, H, W]."""
    return x.flatten(0, 1).permute(0, 3, 1, 2)


def _in_space(conv: nn.Conv3d) -> tuple[Size2, Size2, Size2, int]:
    """Stride, padding and dilation in space, and the groups."""
    stride, padding, dilation = conv.stride, padding_of(conv), conv.dilation
    return (stride[1], stride[2]), (padding[1], padding[2]), (dilation[1], dilation[2]), conv.groups
