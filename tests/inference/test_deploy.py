"""Deployed models: equal answers, fewer parameters, 2-D layers, one input size, and no second conversion."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.testing import assert_close

from tests.inference.test_fold import CONVNETS, clips_for, convnet
from vidmodels import zoo
from vidmodels.core.errors import ConfigError
from vidmodels.inference.deploy import deploy
from vidmodels.inference.deploy.forms import ClipConv, FrameConv, LeanBlock, TapConv
from vidmodels.layers.conv import padding_of

XS = (1, 3, 4, 160, 160)


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def relative_error(answer: torch.Tensor, expected: torch.Tensor) -> float:
    return float((answer - expected).abs().max() / expected.abs().max())


def convolutions(model: nn.Module) -> list[nn.Module]:
    """Those that are still 3-D with a kernel over frames and space."""
    return [part for part in model.modules() if isinstance(part, (nn.Conv3d, ClipConv))]


@torch.no_grad()
@pytest.mark.parametrize("only_2d", [False, True])
@pytest.mark.parametrize("name", CONVNETS)
def test_answers_stay(name, only_2d):
    model = convnet(name)
    clips = clips_for(model, n=2)
    deployed = deploy(model, clips.shape, only_2d=only_2d)
    expected, before = model(clips), clips.clone()
    for _ in range(2):  # blocks work in place: a second call must not see the first
        assert relative_error(deployed(clips), expected) < 1e-5
    assert torch.equal(clips, before)
    if only_2d:
        assert convolutions(deployed) == []


@torch.no_grad()
@pytest.mark.parametrize("name", ["efficient_x3d_xs", "x3d_xs"])
def test_published_size(name):
    model = convnet(name)
    deployed = deploy(model, XS)
    assert (parameters(model), parameters(deployed)) == (3_794_322, 3_778_590)
    assert not any(p.requires_grad for p in deployed.parameters())
    assert sum(isinstance(part, LeanBlock) for part in deployed.modules()) == 26
    # only the depthwise 3x3x3 ones are left
    assert len(convolutions(deployed)) == 26
    assert {conv.geometry[-1] for conv in convolutions(deployed)} == {54, 108, 216, 432}
    clips = torch.randn(*XS, generator=torch.Generator().manual_seed(0))
    assert relative_error(deployed(clips), model(clips)) < 1e-5


@torch.no_grad()
def test_one_frame_needs_the_middle_tap_only():
    model = convnet("x2d", num_classes=5, width_factor=1.0)
    deployed = deploy(model, (1, 3, 1, 64, 64))
    assert convolutions(deployed) == []
    blocks = [part for part in deployed.modules() if isinstance(part, LeanBlock)]
    assert all(isinstance(block.conv_b, FrameConv) for block in blocks)
    clips = torch.randn(1, 3, 1, 64, 64)
    assert relative_error(deployed(clips), model(clips)) < 1e-5


@torch.no_grad()
def test_a_detector_takes_boxes_too():
    model = convnet("x3d_m_ava", num_classes=5, width_factor=1.0, depth_factor=1.0, head_dim=16)
    clips, boxes = torch.randn(1, 3, 4, 64, 64), torch.tensor([[0, 2.0, 3.0, 40.0, 50.0]])
    deployed = deploy(model, clips.shape, boxes)
    more = torch.cat([boxes, boxes + torch.tensor([0, 5.0, 5.0, 5.0, 5.0])])
    assert relative_error(deployed(clips, more), model(clips, more)) < 1e-5


@torch.no_grad()
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("frames", [1, 2, 3, 7])
def test_taps_on_clips_shorter_and_longer_than_the_kernel(frames, kernel, stride):
    torch.manual_seed(0)
    conv = nn.Conv3d(4, 6, (kernel, 3, 3), (stride, 2, 1), (kernel // 2, 1, 1), groups=2)
    assert padding_of(conv) == (kernel // 2, 1, 1)
    x = torch.randn(2, 4, frames, 6, 5)
    assert_close(TapConv(conv)(x), conv(x), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_taps_apart_and_without_padding():
    conv = nn.Conv3d(4, 4, (3, 3, 3), 1, (0, 2, 2), dilation=2, bias=False)
    x = torch.randn(1, 4, 7, 6, 6)
    assert_close(TapConv(conv)(x), conv(x), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_the_deployed_form_can_be_exported():
    model = convnet("x3d_tiny")
    clips = clips_for(model)
    program = torch.export.export(deploy(model, clips.shape), (clips,))
    assert relative_error(program.module()(clips), model(clips)) < 1e-4


def test_another_size_is_refused():
    model = convnet("x3d_tiny")
    deployed = deploy(model, (1, 3, 16, 32, 32))
    with pytest.raises(ConfigError, match=r"^clips of shape \(1, 3, 16, 64, 64\) do not fit a model deployed for"):
        deployed(torch.randn(1, 3, 16, 64, 64))


@pytest.mark.parametrize("wrap", [lambda made: made, nn.Sequential])
def test_a_second_conversion_is_refused(wrap):
    deployed = deploy(convnet("x3d_tiny"), (1, 3, 16, 32, 32))
    with pytest.raises(ConfigError, match=r"^the model is deployed already: deploy the model that it was made from$"):
        deploy(wrap(deployed), (1, 3, 16, 32, 32))


def test_training_is_refused():
    deployed = deploy(convnet("x3d_tiny"), (1, 3, 16, 32, 32))
    assert not any(part.training for part in deployed.eval().modules())
    with pytest.raises(ConfigError, match=r"^a deployed model cannot be trained: train the model and deploy it again$"):
        deployed.train()


@pytest.mark.parametrize("shape", [(3, 16, 32, 32), (1, 3, 0, 32, 32)])
def test_shapes_that_are_not_of_clips(shape):
    with pytest.raises(ConfigError, match=r"is not that of clips: give \(N, C, T, H, W\)$"):
        deploy(convnet("x3d_tiny"), shape)


def test_a_network_that_would_answer_otherwise_is_refused():
    """Its names say that the norm takes the convolution's answer, but a ReLU stands between them."""

    class Deceptive(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv3d(3, 4, 1), nn.BatchNorm3d(4)

        def forward(self, x):
            return self.norm(functional.relu(self.conv(x)))

    model = Deceptive()
    nn.init.constant_(model.norm.bias, 2.0)
    with pytest.raises(ConfigError, match=r"^the deployed form of Deceptive answers otherwise than the model"):
        deploy(model, (1, 3, 2, 4, 4))


def test_the_model_and_the_random_numbers_are_left_as_they_were():
    model = zoo.create_model("x3d_tiny").train()
    state = {key: value.clone() for key, value in model.state_dict().items()}
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    deploy(model, (1, 3, 16, 32, 32))
    assert torch.rand(1) == expected
    assert model.training
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
