"""The 3x3x3 convolution of each channel alone, with gradients that a CPU computes fast.

N clips, C channels, T frames, H height, W width; H', W' those of the answer.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional


def depthwise_conv3d(x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: tuple[int, ...] = (1, 1, 1)) -> Tensor:
    """The convolution of x [N, C, T, H, W] with weight [C, 1, 3, 3, 3], padding 1.

    What functional.conv3d answers. In float32 on a CPU its backward pass costs 15 to 60 times the forward pass (torch 2.14,
    AVX2); there the gradients are computed as below, in a third to a sixth of that time. They have no second derivative.
    """
    groups = x.shape[1]
    learns = torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad)
    plain = x.dtype is torch.float32 and not torch.is_autocast_enabled("cpu") and not torch.compiler.is_compiling()
    if not (learns and plain and x.device.type == "cpu"):
        return functional.conv3d(x, weight, bias, stride, 1, 1, groups)
    y = _Depthwise.apply(x, weight, stride)
    return y if bias is None else y + bias[:, None, None, None]


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: tuple[int, ...]) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride = stride
        return functional.conv3d(x, weight, None, stride, 1, 1, x.shape[1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        of_x = _grad_of_input(grad, weight, x, ctx.stride) if ctx.needs_input_grad[0] else None
        of_weight = _grad_of_weight(grad, x, ctx.stride) if ctx.needs_input_grad[1] else None
        return of_x, of_weight, None


def _grad_of_input(grad: Tensor, weight: Tensor, x: Tensor, stride: tuple[int, ...]) -> Tensor:
    """The gradient, put back on the grid of x with zeros between, convolved with the mirrored kernel: a forward pass."""
    if max(stride) > 1:
        spread = torch.zeros_like(x)
        spread[:, :, :: stride[0], :: stride[1], :: stride[2]] = grad
        grad = spread
    return functional.conv3d(grad, weight.flip(2, 3, 4), None, 1, 1, 1, x.shape[1])


def _grad_of_weight(grad: Tensor, x: Tensor, stride: tuple[int, ...]) -> Tensor:
    """For each of the 27 taps, the sum over all places of the gradient times what the tap saw there."""
    st, sy, sx = stride
    t, h, w = st * grad.shape[2], sy * grad.shape[3], sx * grad.shape[4]
    seen = functional.pad(x.permute(0, 2, 3, 4, 1), (0, 0, 1, 1, 1, 1, 1, 1))
    places = grad.permute(0, 2, 3, 4, 1).contiguous()
    product, sums = torch.empty_like(places), []
    for dt in range(3):
        for dy in range(3):
            for dx in range(3):
                tap = seen[:, dt : dt + t : st, dy : dy + h : sy, dx : dx + w : sx]
                sums.append(torch.mul(tap, places, out=product).sum((0, 1, 2, 3)))
    return torch.stack(sums, 1).view(-1, 1, 3, 3, 3)
