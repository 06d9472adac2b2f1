"""Spans of misaligned sound."""

from __future__ import annotations

import numpy as np
import pytest

from vidmodels.data.audio_spans import misaligned_span


def test_starts_are_drawn_evenly_from_all_that_are_far_enough():
    rng = np.random.default_rng(0)
    drawn = np.array([misaligned_span((2.0, 4.0), 10.0, rng) for _ in range(20_000)])
    starts = drawn[:, 0]
    np.testing.assert_allclose(drawn[:, 1] - starts, 2.0)
    assert abs(starts - 2.0).min() >= 0.512 - 1e-6
    assert (starts.min(), starts.max()) == (0.0, pytest.approx(8.0))
    assert np.mean(starts < 2.0) == pytest.approx(1.488 / (1.488 + 5.488), abs=0.015)


def test_it_may_overlap_the_aligned_one():
    rng = np.random.default_rng(0)
    found = [misaligned_span((0.0, 2.0), 2.6, rng) for _ in range(100)]
    assert all(span is not None and 0.512 - 1e-6 <= span[0] <= 0.6 for span in found)


@pytest.mark.parametrize("duration", [2.5, 2.0, 1.0])
def test_a_video_without_room_has_none(duration):
    assert misaligned_span((0.0, 2.0), duration, np.random.default_rng(0)) is None
