"""Samplers of clips, against tables and at their edges."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest

from vidmodels.core.errors import ConfigError
from vidmodels.ops.clip_times import (
    ClipTime,
    centred_clip,
    constant_clips,
    frame_request,
    random_clip,
    random_clips,
    uniform_clips,
    untrimmed_clips,
)


def spans(clips):
    return [(float(clip.start), float(clip.end)) for clip in clips]


def rng(seed=0):
    return np.random.default_rng(seed)


def test_uniform_clips_follow_each_other():
    clips = uniform_clips(9.5, 2)
    assert spans(clips) == [(0, 2), (2, 4), (4, 6), (6, 8)]
    assert [clip.index for clip in clips] == [0, 1, 2, 3]
    assert [clip.is_last for clip in clips] == [False, False, False, True]
    assert spans(uniform_clips(5, 2, stride=1)) == [(0, 2), (1, 3), (2, 4), (3, 5)]
    assert spans(uniform_clips(5, 1, stride=2)) == [(0, 1), (2, 3), (4, 5)]
    assert spans(uniform_clips(100, 2, truncate=5)) == [(0, 2), (2, 4)]


def test_a_duration_that_was_rounded_down_does_not_cost_a_clip():
    assert len(uniform_clips(9.9999995, 2)) == 5
    assert len(uniform_clips(9.999, 2)) == 4


def test_back_padding_ends_with_the_video():
    assert spans(uniform_clips(9.5, 2, backpad_last=True))[-2:] == [(6, 8), (7.5, 9.5)]
    assert spans(uniform_clips(8, 2, backpad_last=True))[-1] == (6, 8)
    assert uniform_clips(9.5, 2, backpad_last=True)[-2].is_last is False
    third = Fraction(1, 3)
    assert uniform_clips(1, third, backpad_last=True)[-1] == ClipTime(2 * third, Fraction(1), 2)


def test_thousands_of_clips_do_not_drift():
    clips = uniform_clips(Fraction(10_000, 30), Fraction(1, 30))
    assert len(clips) == 10_000
    assert clips[-1].end == Fraction(10_000, 30)


def test_constant_clips_reach_both_ends():
    assert spans(constant_clips(8, 2, 3)) == [(0, 2), (3, 5), (6, 8)]
    assert spans(constant_clips(8, 2, 1)) == [(0, 2)]
    clips = constant_clips(8, 2, 2, augs_per_clip=3)
    assert [(clip.index, clip.aug_index) for clip in clips] == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
    assert [clip.is_last for clip in clips] == [False] * 5 + [True]
    assert len(constant_clips(12.3, 2, 10, 3)) == 30
    assert constant_clips(12.3, 2, 10)[-1].end == Fraction(12.3)


SAMPLERS = {
    "uniform": uniform_clips,
    "padded": lambda duration, clip: uniform_clips(duration, clip, backpad_last=True),
    "constant": lambda duration, clip: constant_clips(duration, clip, 3),
    "random": lambda duration, clip: random_clips(duration, clip, 3, rng()),
}


@pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS)
def test_a_video_shorter_than_the_clip_starts_at_0(sampler):
    clips = sampler(1, 2)
    assert {(clip.start, clip.end) for clip in clips} == {(0, 2)}
    assert [clip.index for clip in clips] == list(range(len(clips)))
    assert clips[-1].is_last


def test_random_clips_cover_the_video_evenly():
    starts = np.array([float(clip.start) for clip in random_clips(10, 2, 4000, rng())])
    assert starts.min() >= 0
    assert starts.max() <= 8
    counts, _ = np.histogram(starts, 8, (0, 8))
    assert counts.min() > 400
    assert random_clips(10, 2, 3, rng(1)) == random_clips(10, 2, 3, rng(1))
    assert random_clips(10, 2, 3, rng(1)) != random_clips(10, 2, 3, rng(2))
    assert random_clip(10, 2, rng(1)) == random_clips(10, 2, 1, rng(1))[0]
    assert max(clip.end for clip in random_clips(10, 2, 100, rng(), truncate=4)) <= 4


def test_clips_around_a_key_frame():
    assert centred_clip(902, Fraction(64, 30)) == ClipTime(902 - Fraction(32, 30), 902 + Fraction(32, 30))
    assert centred_clip(0.5, 2).start == Fraction(-1, 2)


def test_parts_of_longer_videos():
    clips = untrimmed_clips(100, 105, lambda duration: uniform_clips(duration, 2))
    assert spans(clips) == [(100, 102), (102, 104)]
    assert [clip.index for clip in clips] == [0, 1]


def test_frames_of_a_clip_lie_in_its_half_open_span():
    clip = ClipTime(Fraction(1), Fraction(2))
    assert frame_request(clip, 10, 4).times == (1.0, 1.25, 1.5, 1.75)
    assert frame_request(clip, 10, 30, num_frames=3).times == (1.0, 44 / 30, 59 / 30)
    assert frame_request(ClipTime(Fraction(1, 10), Fraction(6, 10)), 10, 4).times == (0.25, 0.5)
    assert frame_request(clip, 1.5, 4).times == (1.0, 1.25)  # no frame after the video
    assert frame_request(ClipTime(Fraction(11, 10), Fraction(12, 10)), 10, 4).times == (1.0,)  # between two frames
    assert frame_request(centred_clip(0, 1), 10, 4).times == (0.0, 0.25)
    assert len(frame_request(clip, 10, Fraction(30000, 1001)).times) == 30


def test_samplers_need_no_torch():
    code = "import sys, vidmodels.ops.clip_times; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: uniform_clips(10, 0), "the length of a clip is 0 s: give a time above 0"),
        (lambda: uniform_clips(10, 2, stride=-1), "the stride of clips is -1 s"),
        (lambda: constant_clips(10, 2, 0), "the number of clips of a video is 0"),
        (lambda: constant_clips(10, 2, 1, 0), "the number of augmentations of a clip is 0"),
        (lambda: frame_request(ClipTime(Fraction(0), Fraction(1)), 2, 30, 0), "the number of frames of a clip is 0"),
        (lambda: untrimmed_clips(5, 5, lambda d: uniform_clips(d, 1)), "from 5 s to 5 s is empty"),
    ],
)
def test_impossible_settings(call, message):
    with pytest.raises(ConfigError, match=message):
        call()
