"""Batch norms as part of the convolutions before them: the same answers in evaluation with one pass less over each map."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from vidmodels.backbones.resnet3d import TemporalThenSpatial
from vidmodels.layers.non_local import NonLocal

# modules whose norm follows a convolution of another name
FOLLOWS: dict[type[nn.Module], str] = {TemporalThenSpatial: "conv_t", NonLocal: "conv_out"}


def fold_norms(model: nn.Module, in_place: bool = False) -> nn.Module:
    """A copy in evaluation mode whose batch norms are folded into weights and biases of the convolutions before them.

    in_place: no copy, the model itself is changed.
    For any network whose modules name a convolution and the norm that takes its answer alike (conv_b and norm_b), as those of
    this package do. A norm without such a convolution stays. What comes has lost its norms: it is for running, not training.
    """
    model = (model if in_place else copy.deepcopy(model)).eval()
    for module in list(model.modules()):
        for name, norm in list(module.named_children()):
            if isinstance(norm, _BatchNorm) and norm.running_var is not None:
                conv = _conv_before(module, name)
                if conv is not None and conv.out_channels == norm.num_features:
                    _fold(conv, norm)
                    setattr(module, name, nn.Identity())
    return model


def _conv_before(module: nn.Module, norm: str) -> _ConvNd | None:
    """The convolution whose answer the norm of that name takes, None where there is none."""
    found = getattr(module, FOLLOWS.get(type(module), norm.replace("norm", "conv", 1)), None)
    if isinstance(found, TemporalThenSpatial):
        found = found.conv_xy
    return found if isinstance(found, _ConvNd) and not found.transposed else None


@torch.no_grad()
def _fold(conv: _ConvNd, norm: _BatchNorm) -> None:
    """norm(conv(x)) = (scale * weight) x + (scale * (bias - mean) + beta), in double precision: rounded once."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight.double()
    shift = -norm.running_mean.double() if conv.bias is None else conv.bias.double() - norm.running_mean.double()
    bias = shift * scale if norm.bias is None else shift * scale + norm.bias.double()
    conv.weight.copy_(conv.weight.double() * scale.view(-1, *[1] * (conv.weight.ndim - 1)))
    conv.bias = nn.Parameter(bias.to(conv.weight.dtype), conv.weight.requires_grad)
