"""Which times of a video a clip takes: pure functions of seed, sample and view, the same on every machine.

T frames of a clip.
"""

from __future__ import annotations

import itertools

import numpy as np

from vidmodels.core.clip import ClipRequest
from vidmodels.core.errors import DataError
from vidmodels.core.recipe import ClipSection
from vidmodels.data.order import hash_key

GAP_DRAWS = 100


def rng_for(seed: int, *key: int) -> np.random.Generator:
    """A generator of its own for each key of integers (numpy and pyarrow integers count as their values)."""
    return np.random.Generator(np.random.PCG64(hash_key(int(seed), *(int(part) for part in key))))


def train_requests(duration: float, fps: float, clip: ClipSection, seed: int, key: int, index: int) -> list[ClipRequest]:
    """`clip.repeats` requests for one use of a video of `duration` seconds and `fps` frames per second.

    key: names the use (source and draw); index: the video. A clip longer than the video starts at 0, and its last
    frame repeats. Sampling: 'random' start of evenly spaced frames; 'segment': one random frame of each of T equal
    segments (Wang et al. 2016, section 3.2); 'uniform': the middle of each segment.
    """
    if clip.repeat_times == "sorted":
        return _sorted(duration, fps, clip, rng_for(seed, key, index, 0, 0))
    requests = []
    for view in range(clip.repeats):
        rng = rng_for(seed, key, index, 0 if clip.repeat_times == "same" else view, 0)
        if clip.sampling == "random":
            requests.append(_strided(duration, fps, clip, rng.random()))
        else:
            parts = rng.random(clip.num_frames) if clip.sampling == "segment" else np.full(clip.num_frames, 0.5)
            requests.append(_segments(duration, fps, clip, parts))
    return requests


def _sorted(duration: float, fps: float, clip: ClipSection, rng: np.random.Generator) -> list[ClipRequest]:
    """Clips in the order of time with gaps as the recipe wants them (Feichtenhofer et al. 2021, section 3.1).

    Starts are drawn evenly until all gaps fit, at most 100 times; then the draw whose gaps are least wrong is taken. Raises
    DataError for a video without room for the clips at the smallest gap.
    """
    step = clip.frame_stride / (clip.fps or fps)
    length = clip.num_frames * step
    low, high = clip.gap or (-float("inf"), float("inf"))
    needed = clip.repeats * length + (clip.repeats - 1) * max(low, -length)
    if needed > duration + step:
        raise DataError(
            f"{duration:.2f} s of video have no room for {clip.repeats} clips of {length:.2f} s with gaps of {low:g} s: "
            "choose fewer or shorter clips, or a smaller data.clip.gap"
        )
    best, least = None, float("inf")
    for _ in range(GAP_DRAWS):
        requests = sorted((_strided(duration, fps, clip, place) for place in rng.random(clip.repeats)), key=lambda r: r.start)
        gaps = [after.start - before.start - length for before, after in itertools.pairwise(requests)]
        wrong = sum(max(low - gap, 0) + max(gap - high, 0) for gap in gaps)
        if wrong < least:
            best, least = requests, wrong
        if wrong == 0:
            break
    assert best is not None
    return best


def view_requests(duration: float, fps: float, clip: ClipSection, num_clips: int) -> list[ClipRequest]:
    """`num_clips` test views evenly over a video; one view lies in the middle.

    Strided clips start evenly between the first and the last possible start; clips over the whole video ('segment',
    'uniform') take other frames of their segments in each view.
    """
    if clip.sampling == "random":
        places = [0.5] if num_clips == 1 else np.linspace(0, 1, num_clips).tolist()
        return [_strided(duration, fps, clip, place) for place in places]
    parts = (np.arange(num_clips) + 0.5) / num_clips
    return [_segments(duration, fps, clip, np.full(clip.num_frames, part)) for part in parts]


def request_span(request: ClipRequest, duration: float, fps: float) -> tuple[float, float]:
    """Start and end in seconds of what a clip stands for: its last frame lasts as long as the one before, or 1 / fps.

    It ends with the video, of `duration` seconds, at the latest.
    """
    times = request.times
    last = times[-1] - times[-2] if len(times) > 1 and times[-1] > times[-2] else 1 / fps
    return request.start, min(times[-1] + last, max(duration, request.start))


def sound_span(request: ClipRequest, duration: float, fps: float, clip: ClipSection) -> tuple[float, float]:
    """Start and end in seconds of the sound that goes with a clip: its frames' whole time, however short the video.

    Clips over the whole video ('segment', 'uniform') go with all of its sound.
    """
    if clip.sampling != "random":
        return 0.0, max(duration, 1 / fps)
    return request.start, request.start + clip.num_frames * clip.frame_stride / (clip.fps or fps)


def _strided(duration: float, fps: float, clip: ClipSection, place: float) -> ClipRequest:
    """T times at the clip's stride, from `place` (0..1) of the room that the video leaves."""
    step = clip.frame_stride / (clip.fps or fps)
    # in whole frames of the video: a start between two frames would make the picks depend on rounding
    room = _frames(duration, fps) - 1 - round((clip.num_frames - 1) * step * fps)
    start = min(int(place * (room + 1)), room) / fps if room > 0 else 0.0
    return ClipRequest(tuple(start + i * step for i in range(clip.num_frames)))


def _segments(duration: float, fps: float, clip: ClipSection, parts: np.ndarray) -> ClipRequest:
    """One frame of each of T equal segments, at `parts` (0..1) [T] of it."""
    count = _frames(duration, fps)
    picks = ((np.arange(clip.num_frames) + parts) * count / clip.num_frames).astype(int).clip(0, count - 1)
    return ClipRequest(tuple((picks / fps).tolist()))


def _frames(duration: float, fps: float) -> int:
    return max(1, round(duration * fps))
