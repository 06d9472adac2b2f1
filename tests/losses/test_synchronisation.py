"""Closed forms of the synchronisation loss, pairs that count, and the curriculum of negatives."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional
from torch.testing import assert_close

from vidmodels.losses.synchronisation import mix_negatives, synchronisation_loss, valid_pairs

ALL = torch.ones(4, dtype=torch.bool)


def points(seed: int = 0) -> torch.Tensor:
    return 0.5 * functional.normalize(torch.randn(4, 8, generator=torch.Generator().manual_seed(seed)), dim=1)


def test_everything_at_one_place_costs_half_the_margin_squared():
    r = points()
    assert synchronisation_loss(r, r, r, ALL).item() == pytest.approx(0.99**2 / 2, abs=1e-5)


def test_own_sound_in_place_and_the_other_opposite_cost_nothing():
    r = points()
    assert synchronisation_loss(r, r, -r, ALL).item() == 0.0


def test_own_sound_opposite_costs_its_distance_squared():
    r = points()
    assert synchronisation_loss(r, -r, -r, ALL).item() == pytest.approx(0.5)  # 1 for each pair, over 2 M
    assert synchronisation_loss(r, -r, r, ALL).item() == pytest.approx((1 + 0.99**2) / 2, abs=1e-5)


@pytest.mark.parametrize("distance", [0.1, 0.6, 0.98])
def test_the_other_sound_costs_what_it_lacks_to_the_margin(distance):
    r = torch.zeros(4, 2)
    n = torch.tensor([distance, 0.0]).expand(4, 2)
    assert synchronisation_loss(r, r, n, ALL).item() == pytest.approx((0.99 - distance) ** 2 / 2, rel=1e-5)


def test_a_batch_is_the_mean_of_its_clips():
    r, p, n = points(0), points(1), points(2)
    alone = [synchronisation_loss(r[i : i + 1], p[i : i + 1], n[i : i + 1], ALL[:1]) for i in range(4)]
    assert_close(synchronisation_loss(r, p, n, ALL), torch.stack(alone).mean())


def test_pairs_that_are_not_valid_neither_cost_nor_count():
    r, p, n = points(0), points(1), points(2)
    valid = torch.tensor([True, False, True, False])
    expected = synchronisation_loss(r[valid], p[valid], n[valid], ALL[:2])
    p[1] = float("nan")
    assert_close(synchronisation_loss(r, p, n, valid), expected)
    assert synchronisation_loss(r, p, n, ~ALL).item() == 0.0


def test_the_gradient_is_finite_where_all_meet():
    r = points().requires_grad_()
    synchronisation_loss(r, r.detach(), r.detach(), ALL).backward()
    assert r.grad is not None
    assert torch.isfinite(r.grad).all()


def test_silence_and_the_same_sound_twice_are_no_pair():
    generator = torch.Generator().manual_seed(0)
    own, other = torch.randn(5, 1, 32, 16, generator=generator), torch.randn(5, 1, 32, 16, generator=generator)
    own[1] = 0.0
    other[2] = -2.4  # digital silence is one value everywhere
    other[3] = own[3]
    other[4] = own[4] + 0.01 * other[4]
    assert valid_pairs(own, other).tolist() == [True, False, False, False, True]
    assert valid_pairs(own, other, max_similarity=0.99).tolist() == [True, False, False, False, False]
    assert valid_pairs(0.05 * own, other).tolist() == [False] * 5
    assert valid_pairs(0.05 * own, other, min_variance=0.001).tolist() == [True, False, False, False, True]


@pytest.mark.parametrize(
    ("epoch", "expected"),
    [
        (0, [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]),
        (95, [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]),
        (96, [1, 2, 3, 4, 5, 6, 0, 7, 8, 9]),  # floor(0.75 * 10) = 7 of other videos
        (195, [1, 2, 3, 4, 5, 6, 0, 7, 8, 9]),
    ],
)
def test_the_curriculum(epoch, expected):
    sounds = torch.arange(10.0).view(10, 1, 1, 1).expand(-1, 1, 4, 3)
    assert mix_negatives(sounds, epoch)[:, 0, 0, 0].tolist() == expected


def test_one_clip_keeps_its_own():
    sound = torch.randn(1, 1, 4, 3)
    assert_close(mix_negatives(sound, 0), sound)
    assert_close(mix_negatives(sound, 200), sound)
