"""A convolution with its activation and summand answers as the three do one after the other."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.nn import functional
from torch.testing import assert_close

from vidmodels.ops import fused
from vidmodels.ops.fused import activate, conv_act, fuses

PLAIN = {"none": lambda x: x, "relu": functional.relu, "silu": functional.silu}
needs_one_pass = pytest.mark.skipif(not fused.AVAILABLE, reason="torch was built without oneDNN here")


def inputs(dims: int):
    torch.manual_seed(0)
    size = (3, 6, 5)[-dims:]
    x, add = torch.randn(2, 4, *size), torch.randn(2, 6, *size)
    layout = torch.channels_last if dims == 2 else torch.channels_last_3d
    x, add = x.contiguous(memory_format=layout), add.contiguous(memory_format=layout)
    return x, torch.randn(6, 2, *[3] * dims), torch.randn(6), add, ((1,) * dims, (1,) * dims, (1,) * dims, 2)


@pytest.mark.parametrize("summed", [False, True])
@pytest.mark.parametrize("act", ["none", "relu", "silu"])
@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("learns", [False, True])
def test_equals_the_steps(dims, act, summed, learns):
    x, weight, bias, add, geometry = inputs(dims)
    convolve = functional.conv2d if dims == 2 else functional.conv3d
    expected = PLAIN[act](convolve(x, weight, bias, *geometry) + (add if summed else 0))
    before = add.clone(), x.clone()
    with torch.set_grad_enabled(learns):
        answer = conv_act(x, weight.requires_grad_(learns), bias, *geometry, act, add if summed else None)
    assert answer.requires_grad == learns
    assert_close(answer.detach(), expected, rtol=1e-4, atol=1e-5)
    assert torch.equal(add, before[0])
    assert torch.equal(x, before[1])


@needs_one_pass
def test_one_pass_only_where_nothing_is_differentiated_or_recorded():
    x, weight = inputs(3)[:2]
    learning = copy.deepcopy(weight).requires_grad_()
    assert fuses(x, weight)
    assert not fuses(x, learning)
    assert not fuses(x.double(), weight.double())
    with torch.no_grad():
        assert fuses(x, learning)

    class Asks(torch.nn.Module):
        def forward(self, x):
            return x + 1 if fuses(x, x) else x - 1

    with torch.no_grad():
        program = torch.export.export(Asks(), (x,)).module()
    assert_close(program(x), x - 1)


@needs_one_pass
@pytest.mark.parametrize("act", ["none", "relu", "silu"])
@pytest.mark.parametrize("dims", [2, 3])
def test_autocast_is_obeyed(dims, act):
    x, weight, bias, add, geometry = inputs(dims)
    with torch.no_grad():
        expected = conv_act(x, weight, bias, *geometry, act, add)
        with torch.autocast("cpu", torch.bfloat16):
            assert fuses(x, weight) == torch.ops.mkldnn._is_mkldnn_bf16_supported()
            answer = conv_act(x, weight, bias, *geometry, act, add)
    assert answer.dtype is torch.bfloat16 or not fuses(x.bfloat16(), weight)
    assert_close(answer.float(), expected, rtol=0.05, atol=0.05)


def test_gradients_of_a_sum_reach_both():
    x, weight, bias, add, geometry = inputs(3)
    weight.requires_grad_()
    add.requires_grad_()
    conv_act(x, weight, bias, *geometry, "relu", add).sum().backward()
    plain = functional.conv3d(x, weight, bias, *geometry) + add
    assert_close(add.grad, (plain > 0).float())
    assert weight.grad.abs().sum() > 0


def test_silu_leaves_what_a_gradient_needs():
    x = torch.randn(5, requires_grad=True)
    y = x * 1
    activate(y, "silu").sum().backward()
    s = torch.sigmoid(x.detach())
    assert_close(x.grad, s * (1 + x.detach() * (1 - s)))
