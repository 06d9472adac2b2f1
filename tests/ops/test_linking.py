"""Persons keep their numbers while they move, cross and vanish for a moment."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from vidmodels.core.errors import DataError
from vidmodels.core.structures import Boxes
from vidmodels.ops.linking import Linker, assign


def box(x, y=0.0, size=10.0):
    return [x, y, x + size, y + size]


def test_numbers_follow_the_boxes_whatever_their_order():
    linker = Linker()
    assert linker.add(0, Boxes([box(0), box(50)])) == [1, 2]
    assert linker.add(1, Boxes([box(47), box(3)])) == [2, 1]
    assert linker.add(2, Boxes([box(6), box(100), box(45)])) == [1, 3, 2]
    assert linker.add(3, Boxes([])) == []
    assert linker.add(3, Boxes([box(8)])) == [1]


def test_a_gap_is_bridged_and_a_longer_one_is_not():
    linker = Linker(max_gap=2.0)
    linker.add(0, Boxes([box(0)]))
    assert linker.add(2, Boxes([box(1)])) == [1]
    assert linker.add(4.1, Boxes([box(1)])) == [2]


def test_overlap_below_the_limit_is_another_person():
    linker = Linker(min_overlap=0.5)
    linker.add(0, Boxes([box(0)]))
    assert linker.add(1, Boxes([box(3)])) == [1]  # overlap 7 / 13
    assert linker.add(2, Boxes([box(7)])) == [2]  # overlap 6 / 14


def test_names_are_persons_without_overlap():
    linker = Linker(max_gap=1.0)
    assert linker.add(0, Boxes([box(0), box(50)], persons=["anna", None])) == [1, 2]
    assert linker.add(60, Boxes([box(300), box(0)], persons=["anna", None])) == [1, 3]
    # who has no name is never taken for somebody who has one
    assert linker.add(61, Boxes([box(300)])) == [4]


def test_time_runs_forward():
    linker = Linker()
    linker.add(2, Boxes([]))
    with pytest.raises(DataError, match="boxes at 1 s come after those at 2 s"):
        linker.add(1, Boxes([]))


def test_the_sum_of_overlaps_is_the_largest():
    rng = np.random.default_rng(0)
    for _ in range(50):
        overlap = rng.random(rng.integers(1, 5, 2))
        least = 0.4
        rows, columns = overlap.shape
        best = 0.0
        for chosen in itertools.permutations(range(max(rows, columns)), rows):
            parts = [overlap[r, c] for r, c in enumerate(chosen) if c < columns and overlap[r, c] >= least]
            best = max(best, sum(parts))
        pairs = assign(overlap, least)
        assert sum(overlap[pair] for pair in pairs) == pytest.approx(best)
        assert all(overlap[pair] >= least for pair in pairs)
        assert len({r for r, _ in pairs}) == len({c for _, c in pairs}) == len(pairs)
