"""Folded batch norms: every ConvNet answers as before, and has no norms left."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.testing import assert_close

from tests.systems.x3d.parts import stirred
from vidmodels import zoo
from vidmodels.inference.fold import fold_norms

CONVNETS = ["x3d_tiny", "slowfast_tiny", "slow_tiny", "i3d_tiny", "c2d_tiny", "csn_tiny", "r2plus1d_tiny"]


def convnet(name: str, **settings: Any) -> Any:
    torch.manual_seed(0)
    return stirred(zoo.create_model(name, **settings))


def clips_for(model: Any, n: int = 1) -> torch.Tensor:
    spec = model.input
    return torch.randn(n, 3, spec.num_frames, spec.size, spec.size, generator=torch.Generator().manual_seed(1))


def norms(model: nn.Module) -> list[str]:
    return [name for name, part in model.named_modules() if isinstance(part, _BatchNorm)]


@torch.no_grad()
@pytest.mark.parametrize("name", CONVNETS)
def test_answers_stay(name):
    model = convnet(name)
    state = {key: value.clone() for key, value in model.state_dict().items()}
    folded = fold_norms(model)
    assert norms(model)
    assert norms(folded) == []
    assert_close(folded(clips_for(model)), model(clips_for(model)), rtol=1e-4, atol=1e-5)
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())


@torch.no_grad()
def test_non_local_blocks():
    model = convnet("i3d_nln_r50_8x8", width=8, num_classes=5, depth=(1, 2, 2, 1), non_local_after=((), (1,), (0,), ()))
    folded = fold_norms(model)
    assert norms(folded) == []
    clips = torch.randn(1, 3, 8, 64, 64)
    assert_close(folded(clips), model(clips), rtol=1e-4, atol=1e-5)


def test_a_model_in_training_is_folded_as_it_evaluates():
    model = convnet("x3d_tiny").train()
    folded = fold_norms(model)
    assert model.training
    assert not folded.training
    assert_close(folded(clips_for(model)), model.eval()(clips_for(model)), rtol=1e-4, atol=1e-5)


def test_a_norm_after_something_else_stays():
    """In AV-SlowFast's audio stem a norm follows the sum of two convolutions; a sum has no weights to fold it into."""
    model = zoo.create_model("avslowfast_tiny")
    assert norms(fold_norms(model)) == ["backbone.audio.stem.norm"]


def test_conv_with_a_bias_and_norm_without_affine():
    class Part(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv3d(3, 4, 1), nn.BatchNorm3d(4, affine=False)

        def forward(self, x):
            return self.norm(self.conv(x))

    torch.manual_seed(0)
    part, x = Part(), torch.randn(2, 3, 2, 4, 4)
    part(x + 1)  # statistics
    folded = fold_norms(part)
    assert_close(folded(x), part.eval()(x), rtol=1e-5, atol=1e-6)
    assert norms(folded) == []
