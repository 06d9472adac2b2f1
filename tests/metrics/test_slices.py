"""Accuracy by slices."""

from __future__ import annotations

import itertools

import numpy as np

from vidmodels.metrics.slices import FACTS, slice_tables


def test_groups_are_even_and_equal_values_stay_together():
    seconds = np.array([1, 1, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9], float)
    facts = np.stack([seconds, np.full(12, 30.0), seconds, seconds], axis=1)
    right = seconds < 5
    rows = slice_tables(facts, right, parts=3)
    lengths = [row for row in rows if row.fact == "duration"]
    assert [row.fact for row in rows if row.fact == "fps"] == ["fps"]
    assert sum(row.videos for row in lengths) == 12
    assert (lengths[0].low, lengths[0].accuracy) == (1, 1.0)
    assert (lengths[-1].high, lengths[-1].accuracy) == (9, 0.0)
    assert all(a.high < b.low for a, b in itertools.pairwise(lengths))


def test_every_fact_has_a_name():
    rows = slice_tables(np.random.default_rng(0).random((20, len(FACTS))), np.ones(20, bool))
    assert {row.fact for row in rows} == set(FACTS)
