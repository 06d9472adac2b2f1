"""The gradients of the depthwise convolution are torch's, and it is torch's own wherever they would not be taken."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional
from torch.testing import assert_close

from vidmodels.ops.depthwise import depthwise_conv3d


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last_3d], ids=["default", "channels last"])
@pytest.mark.parametrize("stride", [(1, 1, 1), (1, 2, 2), (2, 2, 2)], ids=str)
@pytest.mark.parametrize("size", [(4, 6, 8), (1, 7, 5), (3, 1, 1)], ids=str)
def test_gradients(size, stride, layout):
    torch.manual_seed(0)
    x = torch.randn(2, 5, *size).contiguous(memory_format=layout).requires_grad_()
    weight, bias = torch.randn(5, 1, 3, 3, 3, requires_grad=True), torch.randn(5, requires_grad=True)
    ours = depthwise_conv3d(x, weight, bias, stride)
    theirs = functional.conv3d(x, weight, bias, stride, 1, 1, 5)
    assert "Depthwise" in str(ours.grad_fn.next_functions[0][0])
    assert_close(ours, theirs)
    upper = torch.randn_like(theirs)
    for mine, other in zip(*(torch.autograd.grad(y, (x, weight, bias), upper) for y in (ours, theirs))):
        assert_close(mine, other, rtol=1e-4, atol=1e-4)


def test_only_what_learns_gets_a_gradient():
    x, weight = torch.randn(1, 3, 2, 4, 4), torch.randn(3, 1, 3, 3, 3, requires_grad=True)
    depthwise_conv3d(x, weight).sum().backward()
    assert x.grad is None
    assert weight.grad is not None
    x.requires_grad_()
    weight = weight.detach()
    depthwise_conv3d(x, weight).sum().backward()
    assert x.grad is not None


def test_torch_s_own_is_taken_in_other_arithmetic():
    x, weight = torch.randn(1, 3, 2, 4, 4, requires_grad=True), torch.randn(3, 1, 3, 3, 3)
    assert "Depthwise" not in str(depthwise_conv3d(x.double(), weight.double()).grad_fn)
    with torch.autocast("cpu", torch.bfloat16):
        y = depthwise_conv3d(x, weight)
    assert y.dtype is torch.bfloat16
    assert "_Depthwise" not in str(y.grad_fn)
    with torch.no_grad():
        assert depthwise_conv3d(x, weight).grad_fn is None
