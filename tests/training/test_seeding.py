"""Random numbers of a step follow from its number alone."""

from __future__ import annotations

import torch

from vidmodels.training.seeding import mix, seed_all, seed_step


def draws(seed: int, step: int, rank: int) -> tuple[list[float], list[float]]:
    generator = seed_step(seed, step, rank)
    return torch.rand(8).tolist(), torch.rand(8, generator=generator).tolist()


def test_a_step_draws_the_same_numbers_whatever_was_drawn_before():
    first = draws(3, 17, 1)
    torch.rand(1000)
    draws(3, 18, 1)
    assert draws(3, 17, 1) == first


def test_streams_differ_between_seeds_steps_ranks_and_kinds():
    keys = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (0, 1, 1), (-1, 0, 0)]
    streams = [tuple(s) for key in keys for s in draws(*key)]
    assert len(set(streams)) == 2 * len(keys)


def test_mix_spreads_neighbouring_numbers_over_all_bits():
    values = [mix(0, step, 0) for step in range(2000)]
    assert len(set(values)) == 2000
    for bit in range(63):
        ones = sum(v >> bit & 1 for v in values)
        assert 850 < ones < 1150  # 1000 +- 6.7 standard deviations
    assert max(values) < 1 << 63


def test_seed_all_makes_initialisation_repeatable():
    seed_all(5)
    first = torch.nn.Linear(4, 4).weight.detach().clone()
    seed_all(5)
    assert torch.equal(torch.nn.Linear(4, 4).weight, first)
