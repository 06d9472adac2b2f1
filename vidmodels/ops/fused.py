"""A convolution with what follows it in one pass over the map, where nothing will be differentiated.

N clips, C channels in, D channels out; two or three axes of a grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Activation = Literal["none", "relu", "silu"]

_ONEDNN: dict[Activation, str] = {"none": "none", "relu": "relu", "silu": "swish"}
# what torch's own compiler calls; not every build for CPUs has it
AVAILABLE = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_convolution_pointwise")


def conv_act(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    act: Activation = "none",
    add: Tensor | None = None,
) -> Tensor:
    """act(convolution of x [N, C, ...] with weight [D, C / groups, ...] + add), where `fuses` in one pass.

    Else in three, of which the last two overwrite the first's answer. On a CPU it is passes that cost: torch's convolution of
    kernel 1 writes the bias into every place before its product, and each activation reads and writes the map once more.
    """
    if not fuses(x, weight):
        convolve = functional.conv2d if x.ndim == 4 else functional.conv3d
        return activate(convolve(x, weight, bias, stride, padding, dilation, groups), act, add)
    if torch.is_autocast_enabled("cpu"):
        dtype = torch.get_autocast_dtype("cpu")
        x, weight = x.to(dtype), weight.to(dtype)
        bias, add = (None if part is None else part.to(dtype) for part in (bias, add))
    geometry = (padding, stride, dilation, groups)
    if add is None or act == "silu":
        inner = "none" if add is not None else _ONEDNN[act]
        y = torch.ops.mkldnn._convolution_pointwise.default(x, weight, bias, *geometry, inner, [], "")
        return y if add is None else activate(y, act, add)
    # torch 2.14 knows no sum with relu in bfloat16
    inside = act == "relu" and x.dtype is torch.float32
    after = "relu" if inside else None
    y = torch.ops.mkldnn._convolution_pointwise.binary(x, add, weight, bias, *geometry, "add", 1.0, after, [], "")
    return y if inside else activate(y, act)


def activate(x: Tensor, act: Activation, add: Tensor | None = None) -> Tensor:
    """act(x + add), in the memory of x where gradients allow."""
    if add is not None:
        x = x.add_(add)
    if act == "relu":
        return functional.relu(x, inplace=True)
    return functional.silu(x, inplace=not x.requires_grad) if act == "silu" else x


def fuses(x: Tensor, weight: Tensor) -> bool:
    """Whether `conv_act` takes one pass: on a CPU whose library computes this type, without gradients, outside of graphs."""
    if not AVAILABLE or x.device.type != "cpu" or torch.compiler.is_compiling():
        return False
    if torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad):
        return False
    dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
    return dtype is torch.float32 or (dtype is torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported())
