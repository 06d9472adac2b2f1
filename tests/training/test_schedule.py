"""The learning rate's course."""

from __future__ import annotations

from itertools import pairwise

import pytest

from vidmodels.training.schedule import learning_rate


def test_warmup_is_linear_and_meets_the_peak():
    rates = [learning_rate(s, 100, 10, 1.0, start=0.2) for s in range(11)]
    assert rates[0] == pytest.approx(0.2)
    assert rates[5] == pytest.approx(0.6)
    assert rates[10] == pytest.approx(1.0)


def test_half_cosine_has_its_known_points():
    rate = lambda step: learning_rate(step, 110, 10, 2.0, end=1.0)  # noqa: E731
    assert rate(60) == pytest.approx(1.5)  # half way: the mean of peak and end
    assert rate(35) == pytest.approx(1.0 + 0.5 * (1 + 2**-0.5))
    assert rate(110) == 1.0
    assert rate(500) == 1.0


def test_without_warmup_the_first_step_has_the_peak_and_the_rate_only_falls():
    rates = [learning_rate(s, 20, 0, 1e-3) for s in range(21)]
    assert rates[0] == 1e-3
    assert all(a > b for a, b in pairwise(rates))
    assert rates[-1] == 0.0


def test_a_run_that_is_all_warmup_never_divides_by_zero():
    assert [learning_rate(s, 4, 4, 1.0) for s in range(5)] == [0.0, 0.25, 0.5, 0.75, 0.0]
