"""The moving average of weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from vidmodels.core.errors import CheckpointError
from vidmodels.training.ema import Ema


def test_average_follows_the_formula_step_by_step():
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 1.0)
    ema = Ema(model, 0.9)
    expected = 1.0
    for value in (2.0, -3.0, 0.5):
        nn.init.constant_(model.weight, value)
        ema.update(model)
        expected = 0.9 * expected + 0.1 * value
        assert ema.average["weight"].item() == pytest.approx(expected, rel=1e-6)


def test_counters_are_copied_and_half_weights_averaged_in_float32():
    model = nn.Sequential(nn.Linear(2, 2).bfloat16(), nn.BatchNorm1d(2))
    ema = Ema(model, 0.999)
    model[1].num_batches_tracked += 7
    start = ema.average["0.weight"].clone()
    with torch.no_grad():
        model[0].weight.add_(1.0)
    ema.update(model)
    assert ema.average["1.num_batches_tracked"].item() == 7
    assert ema.average["0.weight"].dtype == torch.float32
    moved = (ema.average["0.weight"] - start).abs()
    assert moved.min() > 0.0005
    assert moved.max() < 0.0015  # bfloat16 would have lost a step of 1e-3


def test_applied_swaps_in_the_average_and_gives_the_weights_back_even_after_an_error():
    model = nn.Linear(2, 2)
    ema = Ema(model, 0.5)
    average = model.weight.detach().clone()
    with torch.no_grad():
        model.weight.add_(4.0)
    own = model.weight.detach().clone()
    inside = []

    def evaluate() -> None:
        with ema.applied(model):
            inside.append(torch.equal(model.weight, average))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        evaluate()
    assert inside == [True]
    assert torch.equal(model.weight, own)


def test_buffers_that_change_inside_stay_with_the_average():
    model = nn.BatchNorm1d(2)
    ema = Ema(model, 0.5)
    with ema.applied(model):
        model.running_mean.fill_(3.0)
    assert model.running_mean.tolist() == [0.0, 0.0]
    assert ema.average["running_mean"].tolist() == [3.0, 3.0]


def test_state_of_another_model_is_refused_by_name():
    ema = Ema(nn.Linear(2, 2), 0.5)
    with pytest.raises(CheckpointError, match="'bias' is missing in the checkpoint"):
        ema.load_state_dict({"weight": torch.zeros(2, 2)})
    with pytest.raises(CheckpointError, match=r"'weight' has shape \(3, 2\)"):
        ema.load_state_dict({"weight": torch.zeros(3, 2), "bias": torch.zeros(2)})
