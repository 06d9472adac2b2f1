"""Times of clips: pure, inside the video where it is long enough, evenly over it for tests."""

from __future__ import annotations

import numpy as np
import pytest

from vidmodels.core.errors import DataError
from vidmodels.core.recipe import ClipSection
from vidmodels.data.sampling import rng_for, train_requests, view_requests


def test_a_generator_is_a_function_of_its_key():
    first = rng_for(1, 2, 3).random(4)
    np.testing.assert_array_equal(first, rng_for(np.int64(1), np.int32(2), 3).random(4))
    for other in ((1, 3, 2), (2, 2, 3), (1, 2)):
        assert not np.array_equal(first, rng_for(*other).random(4))


def test_random_clips_lie_inside_and_differ():
    clip = ClipSection(num_frames=8, frame_stride=4, repeats=3)
    starts = set()
    for index in range(200):
        requests = train_requests(10.0, 30.0, clip, 0, 5, index)
        assert len(requests) == 3
        for request in requests:
            np.testing.assert_allclose(np.diff(request.times), 4 / 30)
            assert request.start >= 0
            assert request.end <= 299 / 30 + 1e-9
            starts.add(round(request.start * 30))
        assert requests == train_requests(10.0, 30.0, clip, 0, 5, index)
    assert min(starts) < 5
    assert max(starts) > 265
    assert train_requests(10.0, 30.0, clip, 0, 6, 0) != train_requests(10.0, 30.0, clip, 0, 5, 0)


def test_the_only_possible_start_and_the_last_one_are_reached():
    clip = ClipSection(num_frames=4, frame_stride=2)
    for index in range(20):
        assert train_requests(7 / 30, 30.0, clip, 0, 0, index)[0].start == 0
    starts = {round(train_requests(8 / 30, 30.0, clip, 0, 0, index)[0].start * 30) for index in range(50)}
    assert starts == {0, 1}


def test_a_short_video_starts_at_its_start():
    clip = ClipSection(num_frames=16, frame_stride=4)
    request = train_requests(0.5, 30.0, clip, 0, 0, 0)[0]
    assert request.start == 0
    assert len(request.times) == 16
    assert view_requests(0.5, 30.0, clip, 3)[2].start == 0


def test_the_stride_counts_in_the_given_rate():
    clip = ClipSection(num_frames=4, frame_stride=2, fps=10)
    request = train_requests(10.0, 60.0, clip, 0, 0, 1)[0]
    np.testing.assert_allclose(np.diff(request.times), 0.2)


def test_segments():
    clip = ClipSection(num_frames=5, sampling="segment")
    picks = [np.round(np.array(train_requests(10.0, 10.0, clip, 0, 0, i)[0].times) * 10) for i in range(100)]
    for i, pick in enumerate(np.array(picks).T):
        assert pick.min() >= 20 * i
        assert pick.max() < 20 * (i + 1)
        assert len(set(pick.tolist())) > 5
    uniform = train_requests(10.0, 10.0, ClipSection(num_frames=5, sampling="uniform"), 0, 0, 3)[0].times
    assert uniform == pytest.approx((1.0, 3.0, 5.0, 7.0, 9.0))


def test_views_are_even_over_time():
    clip = ClipSection(num_frames=8, frame_stride=2)
    room = 300 - 1 - 14
    starts = [request.start * 30 for request in view_requests(10.0, 30.0, clip, 4)]
    assert starts[0] == 0
    assert starts[-1] == pytest.approx(room)
    assert np.ptp(np.diff(starts)) <= 1 + 1e-6
    (centre,) = view_requests(10.0, 30.0, clip, 1)
    assert centre.start * 30 == pytest.approx(room / 2, abs=1)
    spread = view_requests(10.0, 30.0, ClipSection(num_frames=4, sampling="uniform"), 2)
    assert spread[0].times != spread[1].times


def test_sorted_clips_come_in_the_order_of_time():
    clip = ClipSection(num_frames=8, frame_stride=2, repeats=4, repeat_times="sorted")
    for index in range(50):
        starts = [request.start for request in train_requests(10.0, 30.0, clip, 0, 5, index)]
        assert starts == sorted(starts)
    assert len({train_requests(10.0, 30.0, clip, 0, 5, index)[0].start for index in range(50)}) > 40


def test_gaps_are_kept_where_they_can_be():
    clip = ClipSection(num_frames=8, frame_stride=3, repeats=3, repeat_times="sorted", gap=(0.5, 2.0))
    for index in range(50):
        starts = np.array([request.start for request in train_requests(6.0, 30.0, clip, 0, 5, index)])
        gaps = np.diff(starts) - 0.8
        assert (gaps >= 0.5 - 1e-9).all()
        assert (gaps <= 2.0 + 1e-9).all()


def test_clips_of_one_time_differ_in_nothing_but_their_crops():
    clip = ClipSection(num_frames=8, frame_stride=2, repeats=2, repeat_times="same")
    for index in range(20):
        first, second = train_requests(10.0, 30.0, clip, 0, 5, index)
        assert first == second
    for sampling in ("segment", "uniform"):
        first, second = train_requests(10.0, 30.0, clip.replace(sampling=sampling), 0, 5, 0)
        assert first == second


def test_a_video_without_room_for_its_clips_is_refused():
    clip = ClipSection(num_frames=8, frame_stride=3, repeats=3, repeat_times="sorted", gap=(0.5, 2.0))
    with pytest.raises(DataError, match=r"3\.00 s of video have no room for 3 clips of 0\.80 s with gaps of 0\.5 s"):
        train_requests(3.0, 30.0, clip, 0, 5, 0)
    assert len(train_requests(3.4, 30.0, clip, 0, 5, 0)) == 3


@pytest.mark.parametrize("changes", [{"gap": (1, 2)}, {"gap": (2, 1), "repeat_times": "sorted"}])
def test_gaps_that_cannot_be(changes):
    with pytest.raises(ValueError, match="gap"):
        ClipSection(**changes)
    with pytest.raises(ValueError, match="random"):
        ClipSection(repeat_times="sorted", sampling="segment")
