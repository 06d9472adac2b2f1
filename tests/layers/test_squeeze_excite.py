"""Squeeze-and-excitation against its formula, and what it does to its input."""

from __future__ import annotations

import torch
from torch.testing import assert_close

from vidmodels.layers.squeeze_excite import SqueezeExcite


def expected(layer: SqueezeExcite, x: torch.Tensor) -> torch.Tensor:
    squeezed = x.flatten(2).mean(2)
    hidden = (squeezed @ layer.fc1.weight.T + layer.fc1.bias).clamp(min=0)
    scale = torch.sigmoid(hidden @ layer.fc2.weight.T + layer.fc2.bias)
    return torch.einsum("ncthw,nc->ncthw", x, scale)


def test_formula_and_gradient():
    torch.manual_seed(0)
    layer, x = SqueezeExcite(6, 4), torch.randn(2, 6, 3, 4, 5, requires_grad=True)
    y = layer(x)
    assert_close(y, expected(layer, x))
    (gradient,) = torch.autograd.grad(y.square().sum(), x)
    (wanted,) = torch.autograd.grad(expected(layer, x).square().sum(), x)
    assert_close(gradient, wanted)


@torch.no_grad()
def test_input_is_overwritten_only_where_nothing_learns():
    layer, x = SqueezeExcite(6, 4), torch.randn(2, 6, 3, 4, 5)
    before = x.clone()
    with torch.enable_grad():
        learning = x.clone().requires_grad_()
        layer(learning)
    assert_close(learning.detach(), before, rtol=0, atol=0)
    y = layer(x)
    assert y.data_ptr() == x.data_ptr()
    assert_close(y, expected(layer, before))
