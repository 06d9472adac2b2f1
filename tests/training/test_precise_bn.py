"""Recomputed batch-norm statistics are those of the data, whatever the running average was."""

from __future__ import annotations

import torch
from torch import nn
from torch.testing import assert_close

from vidmodels.core.recipe import ClassifierSection, ClassifyRecipe, ScheduleSection
from vidmodels.training.plan import make_plan
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


def test_samples_are_those_that_come_next_and_no_video_twice():
    recipe = ClassifyRecipe(model=ClassifierSection(name="slow_tiny"), schedule=ScheduleSection(batch_size=8, epochs=3))
    plan = make_plan(recipe, 30, world_size=2)
    assert [list(plan.refreshing(2, 2, rank)) for rank in (0, 1)] == [
        [range(16, 20), range(24, 28)],
        [range(20, 24), range(28, 32)],
    ]
    first, second = (list(plan.refreshing(5, 200, rank)) for rank in (0, 1))
    numbers = [number for micro in (*first, *second) for number in micro]
    assert sorted(numbers) == list(range(40, 72))  # 30 videos in four batches of 4 on each of two workers
    assert len(list(make_plan(recipe, 3, world_size=1).refreshing(0, 200, 0))) == 1
    assert not list(plan.refreshing(5, 0, 0))
