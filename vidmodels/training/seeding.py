"""Random numbers as arithmetic: everything random in a step follows from (seed, step, rank), so none is saved."""

from __future__ import annotations

import random

import numpy as np
import torch

_MASK = (1 << 64) - 1


def mix(*numbers: int) -> int:
    """A 63-bit number that depends on every bit of `numbers` and their order (splitmix64, Steele et al. 2014)."""
    state = 0
    for number in numbers:
        state = (state ^ (number & _MASK)) + 0x9E3779B97F4A7C15 & _MASK
        state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
        state = (state ^ (state >> 27)) * 0x94D049BB133111EB & _MASK
        state ^= state >> 31
    return state >> 1


def seed_all(seed: int) -> None:
    """Seed Python, numpy and torch (all devices), for the initialisation of a model: equal on all ranks."""
    number = mix(seed, 0xA11)
    random.seed(number)
    np.random.seed(number & 0xFFFFFFFF)
    torch.manual_seed(number)


def seed_step(seed: int, step: int, rank: int) -> torch.Generator:
    """Set torch's own generators (dropout, drop path) for one step, and return a CPU generator for explicit draws.

    The two streams are independent of each other and differ between steps and ranks.
    """
    torch.manual_seed(mix(seed, step, rank, 1))
    return torch.Generator().manual_seed(mix(seed, step, rank, 2))
