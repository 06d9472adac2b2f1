"""Recomputed batch-norm statistics are those of the data, whatever the running average was."""

from __future__ import annotations

import torch
from torch import nn
from torch.testing import assert_close

from vidmodels.training.precise_bn import refresh_batch_norms


def test_the_statistics_are_those_of_all_values():
    torch.manual_seed(0)
    norm = nn.BatchNorm3d(3)
    norm.running_mean.fill_(9.0)
    batches = [torch.randn(4, 3, 2, 5, 5) * (i + 1) + i for i in range(5)]
    assert refresh_batch_norms(norm, batches) == 5
    values = torch.cat(batches).transpose(0, 1).flatten(1)
    assert_close(norm.running_mean, values.mean(1))
    # batches of equal size: only the divisor n - 1 within them differs from the variance of all values
    assert_close(norm.running_var, values.var(1, correction=0), rtol=0.01, atol=0)


def test_mode_and_momentum_come_back_and_an_empty_set_changes_nothing():
    norm = nn.Sequential(nn.BatchNorm3d(2, momentum=0.3)).eval()
    norm[0].running_mean.fill_(2.0)
    assert refresh_batch_norms(norm, []) == 0
    assert norm[0].running_mean.tolist() == [2.0, 2.0]
    refresh_batch_norms(norm, [torch.randn(2, 2, 1, 4, 4)])
    assert (norm.training, norm[0].momentum) == (False, 0.3)


def test_a_model_without_batch_norms_is_left_alone():
    assert refresh_batch_norms(nn.Linear(2, 2), [torch.zeros(1, 2)]) == 0
