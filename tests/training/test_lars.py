"""LARS: one step against its formula."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from vidmodels.core.recipe import OptimSection
from vidmodels.training.optim import build_optimizer

RECIPE = OptimSection(name="lars", lr=2.0, weight_decay=0.1, betas=(0.9, 0.999), trust=0.01)


def layer() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(4, 3)


def stepped(model: nn.Linear, times: int = 1) -> None:
    optimizer = build_optimizer(model, RECIPE)
    for _ in range(times):
        for parameter in model.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()


def test_a_step_of_a_matrix_has_the_size_of_its_weights():
    model, before = layer(), layer()
    stepped(model)
    weight, gradient = before.weight, torch.ones_like(before.weight)
    scale = 0.01 * weight.norm() / (gradient.norm() + 0.1 * weight.norm() + 1e-8)
    assert_close(model.weight, weight - 2.0 * (gradient + 0.1 * weight) * scale)


def test_vectors_are_neither_scaled_nor_decayed():
    model, before = layer(), layer()
    stepped(model)
    assert_close(model.bias, before.bias - 2.0)


def test_momentum_adds_up():
    model, before = layer(), layer()
    stepped(model, 2)
    assert_close(model.bias, before.bias - 2.0 * (1 + 1.9))


@pytest.mark.parametrize("zero", ["weight", "gradient"])
def test_without_weights_or_gradient_there_is_no_scale(zero):
    model = layer()
    if zero == "weight":
        nn.init.zeros_(model.weight)
    start = model.weight.detach().clone()
    model.weight.grad = torch.zeros_like(start) if zero == "gradient" else torch.ones_like(start)
    optimizer = build_optimizer(model, RECIPE)
    optimizer.step()
    assert_close(model.weight, start - 2.0 * (model.weight.grad))
    assert optimizer.param_groups[0]["weight_decay"] in (0.0, 0.1)
