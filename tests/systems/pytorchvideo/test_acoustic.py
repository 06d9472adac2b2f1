"""The residual network on sound alone."""

from __future__ import annotations

import pytest
import torch

from tests.systems.mae_st.parts import WithoutMemory, stirred
from vidmodels.core.errors import ConfigError
from vidmodels.systems.pytorchvideo.acoustic import acoustic_resnet


def tiny():
    torch.manual_seed(0)
    return stirred(acoustic_resnet((1, 1, 1, 1), width=8, num_classes=3))


@torch.no_grad()
def test_spectrograms_of_any_size():
    model = tiny()
    for steps, bands in ((64, 40), (128, 80), (50, 33)):
        assert model(torch.randn(2, 1, steps, bands)).shape == (2, 3)
    assert model.features(torch.randn(2, 1, 64, 40)).shape == (2, 256)
    with WithoutMemory():
        full = acoustic_resnet()
    (last,) = full.backbone(torch.empty(1, 1, 128, 80, device="meta"))
    assert last.shape == (1, 2048, 1, 16, 10)
    assert len(full.blocks()) == 16


def test_all_parameters_learn_and_have_a_layer():
    model = tiny().train()
    model(torch.randn(2, 1, 64, 40)).square().mean().backward()
    for key, parameter in model.named_parameters():
        assert torch.isfinite(parameter.grad).all(), key
    assert sorted({model.layer_id(key) for key, _ in model.named_parameters()}) == [0, 1, 2, 3, 4, 5]
    assert model.layer_id("backbone.net.stem.conv_t.weight") == 0


@torch.no_grad()
def test_time_and_pitch_are_told_apart():
    model, sound = tiny(), torch.randn(1, 1, 40, 40)
    assert not torch.allclose(model(sound.transpose(2, 3)), model(sound), atol=1e-3)


def test_pictures_are_refused():
    with pytest.raises(ConfigError, match=r"sound of shape \(1, 3, 8, 32, 32\) is no batch of spectrograms"):
        tiny()(torch.zeros(1, 3, 8, 32, 32))
