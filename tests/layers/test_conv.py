"""Each form of a convolution answers and learns as nn.Conv3d does, in any layout."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from vidmodels.layers import conv as forms
from vidmodels.layers.conv import Conv3d, PointConv3d, TemporalConv3d, has_channels_last

CASES = {
    "point": (PointConv3d(6, 10), forms.on_places),
    "point, stride 2": (PointConv3d(6, 10, stride=2, bias=False), forms.on_places),
    "frames": (Conv3d(6, 10, (1, 3, 3), (1, 2, 2), (0, 1, 1)), forms.on_frames),
    "frames, dilated groups": (Conv3d(6, 6, (1, 3, 3), 1, (0, 2, 2), (1, 2, 2), groups=3), forms.on_frames),
    "frames, kernel 7": (Conv3d(6, 8, (1, 7, 7), (1, 2, 2), (0, 3, 3), bias=False), forms.on_frames),
    "plane": (TemporalConv3d(6, 10, 3), forms.on_plane),
    "plane, stride 2": (TemporalConv3d(6, 4, 5, stride=2, bias=False), forms.on_plane),
    "plane, each channel alone": (TemporalConv3d(6, 6, 5, groups=6), forms.on_plane),
    "shifts": (TemporalConv3d(512, 4, 3), forms.on_shifts),
    "channels": (Conv3d(6, 6, 3, (1, 2, 2), 1, groups=6), forms.on_channels),
    "channels, stride in time": (Conv3d(6, 6, 3, 2, 1, groups=6, bias=False), forms.on_channels),
    "none of them": (Conv3d(6, 10, 3, 1, 1), forms.as_it_is),
    "dilated channels": (Conv3d(6, 6, 3, 1, (1, 2, 2), (1, 2, 2), groups=6), forms.as_it_is),
}


def plain_of(conv: nn.Conv3d) -> nn.Conv3d:
    """The same weights in torch's own class."""
    made = nn.Conv3d(
        conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, forms.padding_of(conv), conv.dilation,
        conv.groups, conv.bias is not None,
    )  # type: ignore[arg-type]  # fmt: skip
    made.load_state_dict(conv.state_dict())
    return made


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last_3d], ids=["default", "channels last"])
@pytest.mark.parametrize("shape", [(2, 4, 9, 8), (1, 1, 8, 7), (1, 3, 1, 1)], ids=str)
@pytest.mark.parametrize("name", CASES)
def test_answers_and_gradients_are_those_of_torch(name, shape, layout):
    conv, form = CASES[name]
    assert forms.form_of(conv) is form
    conv, plain = copy.deepcopy(conv), plain_of(conv)
    torch.manual_seed(0)
    x = torch.randn(shape[0], conv.in_channels, *shape[1:]).contiguous(memory_format=layout)
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    answer, expected = conv(ours), plain(theirs)
    assert_close(answer, expected, rtol=1e-4, atol=1e-5)
    weight = torch.randn_like(expected)
    (answer * weight).sum().backward()
    (expected * weight).sum().backward()
    assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-4)
    for mine, other in zip(conv.parameters(), plain.parameters()):
        assert_close(mine.grad, other.grad, rtol=1e-4, atol=2e-4)


@pytest.mark.parametrize("name", [name for name, (_, form) in CASES.items() if form not in (None, forms.on_channels)])
@torch.no_grad()
def test_channels_last_is_kept_by_strides_that_torch_recognises(name):
    """With one clip most views are channels-last by name only, and the next convolution would copy the whole map."""
    conv, _ = CASES[name]
    x = torch.randn(1, conv.in_channels, 4, 8, 8).contiguous(memory_format=torch.channels_last_3d)
    y = conv(x)
    assert has_channels_last(y)
    after = nn.functional.conv3d(y, torch.randn(y.shape[1], 1, 3, 3, 3), padding=1, groups=y.shape[1])
    assert after.stride()[1] == 1
