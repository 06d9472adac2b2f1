"""Guards against non-finite and exploding losses."""

from __future__ import annotations

import json

import pytest
import torch

from vidmodels.core.errors import RunError
from vidmodels.training.distributed import World
from vidmodels.training.guard import ExplosionGuard, FiniteGuard

ALONE = World()
NAN, INF = float("nan"), float("inf")


def check(guard: FiniteGuard, loss: float, norm: float, step: int = 0, ids: tuple[str, ...] = ("a",)) -> bool:
    return guard.check(torch.tensor(loss), torch.tensor(norm), list(ids), step, ALONE)


@pytest.mark.parametrize(("loss", "norm"), [(NAN, 1.0), (INF, 1.0), (1.0, NAN), (1.0, INF), (-INF, NAN)])
def test_loss_and_gradient_are_both_looked_at(loss, norm):
    guard = FiniteGuard(3)
    assert check(guard, 1.0, 1.0)
    assert not check(guard, loss, norm)
    assert (guard.total, guard.in_a_row) == (1, 1)


def test_a_good_step_ends_a_row_but_not_the_count():
    guard = FiniteGuard(2)
    for step in range(4):
        assert not check(guard, NAN, 1.0, step)
        assert check(guard, 1.0, 1.0, step)
    assert (guard.total, guard.in_a_row) == (4, 0)


def test_a_row_of_bad_steps_stops_with_the_ids_and_leaves_a_record(tmp_path):
    record = tmp_path / "run" / "bad_steps.jsonl"
    guard = FiniteGuard(3, record)
    check(guard, NAN, 1.0, 7, ("old",))
    check(guard, 1.0, 1.0, 8)
    check(guard, NAN, 1.0, 9, ("x", "y"))
    check(guard, 1.0, INF, 10, ("y", "z"))
    with pytest.raises(RunError, match=r"in 3 steps in a row, the last of them step 11: .* samples x, y, z, w"):
        check(guard, NAN, NAN, 11, ("w",))
    entries = [json.loads(line) for line in record.read_text().splitlines()]
    assert [e["step"] for e in entries] == [7, 9, 10, 11]
    assert entries[2]["ranks"] == [{"rank": 0, "loss": "1.0", "grad_norm": "inf", "ids": ["y", "z"]}]


def test_explosion_is_measured_from_the_smallest_recent_mean():
    guard = ExplosionGuard(2.0)
    for step, mean in enumerate((1.0, 0.5, 0.9)):
        guard.check(mean, step)
    guard.check(1.0, 3)  # exactly the factor is allowed
    with pytest.raises(RunError, match=r"exploded at step 4: 1.01 is more than train.explode_factor 2 times 0.5"):
        guard.check(1.01, 4)


def test_old_means_are_forgotten_and_other_numbers_ignored():
    guard = ExplosionGuard(2.0, window=2)
    for mean in (0.1, 0.15, 0.2, NAN, 0.29):
        guard.check(mean, 0)
    ExplosionGuard(None).check(1e9, 0)
