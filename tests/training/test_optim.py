"""Parameter groups, freezing, and the norm of the gradient."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.training.parts import TinyNet, one_step
from vidmodels.core.errors import ConfigError
from vidmodels.core.recipe import OptimSection
from vidmodels.training.optim import build_optimizer, clip_gradients, freeze, param_groups


def settings(model: nn.Module, optim: OptimSection) -> dict[str, tuple[float, float]]:
    """(weight decay, learning-rate scale) of each parameter by name."""
    return {n: (g["weight_decay"], g["lr_scale"]) for g in param_groups(model, optim) for n in g["names"]}


def test_no_decay_on_one_dimension_and_on_named_parameters():
    found = settings(TinyNet(), OptimSection(weight_decay=0.3))
    assert found["token"] == (0.0, 1.0)  # two dimensions, but the model names it
    assert found["body.0.norm.weight"] == (0.0, 1.0)
    assert found["head.bias"] == (0.0, 1.0)
    assert found["body.1.fc.weight"] == (0.3, 1.0)
    assert len(found) == len(list(TinyNet().parameters()))


def test_layer_decay_multiplies_from_the_head_down():
    found = settings(TinyNet(), OptimSection(layer_decay=0.5))
    assert found["head.weight"][1] == 1.0
    assert found["body.1.fc.weight"][1] == 0.5
    assert found["body.0.fc.bias"][1] == 0.25
    assert found["token"][1] == 0.125
    optimizer = build_optimizer(TinyNet(), OptimSection(layer_decay=0.5, lr=1.0), peak_lr=2e-3)
    assert {g["lr_scale"]: g["lr"] for g in optimizer.param_groups} == {1.0: 2e-3, 0.5: 1e-3, 0.25: 5e-4, 0.125: 2.5e-4}


def test_layer_decay_of_a_model_without_layers_is_an_error():
    with pytest.raises(ConfigError, match=r"optim.layer_decay 0.9 .* Linear does not"):
        param_groups(nn.Linear(2, 2), OptimSection(layer_decay=0.9))


def test_frozen_parameters_stay_as_they_are():
    model = TinyNet()
    assert freeze(model, ["body.0.*", "token"])[-1] == "token"
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    optimizer = build_optimizer(model, OptimSection(lr=0.1))
    one_step(model, optimizer, 0)
    changed = {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}
    assert changed == {n for n in before if not n.startswith("body.0.") and n != "token"}


def test_a_pattern_that_fits_nothing_offers_one_that_does():
    with pytest.raises(ConfigError, match=r"'bodi.0.\*' fits no parameter of TinyNet \(did you mean 'body.0.\*'\?\)"):
        freeze(TinyNet(), ["bodi.0.*"])


def test_freezing_everything_is_an_error():
    model = TinyNet()
    with pytest.raises(ConfigError, match="leaves no parameter of TinyNet to learn"):
        freeze(model, ["*"])
    assert all(p.requires_grad for p in model.parameters())


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_the_fused_step_equals_the_plain_one(name):
    fused, plain = TinyNet(), TinyNet()
    optim = OptimSection(name=name, lr=0.01, weight_decay=0.1)
    a, b = build_optimizer(fused, optim), build_optimizer(plain, optim)
    assert all(g["fused"] for g in a.param_groups)
    for group in b.param_groups:
        group["fused"] = False
    for step in range(5):
        one_step(fused, a, step)
        one_step(plain, b, step)
    for p, q in zip(fused.parameters(), plain.parameters()):
        torch.testing.assert_close(p, q, rtol=1e-5, atol=1e-6)


def test_clipping_scales_to_the_norm_and_returns_the_one_before():
    layer = nn.Linear(2, 1)
    layer.weight.grad, layer.bias.grad = torch.tensor([[3.0, 0.0]]), torch.tensor([4.0])
    assert clip_gradients(layer, None).item() == pytest.approx(5.0)
    assert layer.bias.grad.item() == 4.0
    assert clip_gradients(layer, 1.0).item() == pytest.approx(5.0)
    assert clip_gradients(layer, None).item() == pytest.approx(1.0, rel=1e-5)
    assert clip_gradients(layer, 2.0).item() == pytest.approx(1.0, rel=1e-5)
    assert layer.weight.grad[0, 0].item() == pytest.approx(0.6, rel=1e-5)


def test_the_norm_of_no_gradient_is_zero_and_of_a_bad_one_is_not_finite():
    layer = nn.Linear(2, 1)
    assert clip_gradients(layer, 1.0).item() == 0.0
    layer.bias.grad = torch.tensor([float("inf")])
    assert not torch.isfinite(clip_gradients(layer, 1.0))
