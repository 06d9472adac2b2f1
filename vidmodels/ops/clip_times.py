"""Which spans of a video become clips: PyTorchVideo's samplers as pure functions. Free of torch.

Each takes the duration of a video and the length of a clip, in seconds, and returns the clips; a clip may be longer than its
video, and then starts at 0. Times are fractions, so that the thousandth clip of 1/30 s starts where it should.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from vidmodels.core.clip import ClipRequest
from vidmodels.core.errors import ConfigError

Seconds = int | float | Fraction
EPSILON = Fraction(1, 1_000_000)  # a clip may end so much after its video: durations of containers are rounded


@dataclass(frozen=True)
class ClipTime:
    """One clip of a video: start and end in seconds.

    index: of the clip in its video; aug_index: which repetition of the same clip (a test crop, say); is_last: no clip of
    this video comes after it.
    """

    start: Fraction
    end: Fraction
    index: int = 0
    aug_index: int = 0
    is_last: bool = True


def random_clip(duration: Seconds, clip: Seconds, rng: np.random.Generator) -> ClipTime:
    """One clip from anywhere in the video, evenly."""
    return random_clips(duration, clip, 1, rng)[0]


def random_clips(
    duration: Seconds, clip: Seconds, count: int, rng: np.random.Generator, truncate: Seconds | None = None
) -> list[ClipTime]:
    """`count` clips drawn one by one from anywhere in the video, or in its first `truncate` seconds."""
    length, count = _length(clip), _count("clips of a video", count)
    room = max(_shortened(duration, truncate) - length, Fraction(0))
    starts = [Fraction(rng.uniform(0, float(room))) for _ in range(count)]
    return _clips(starts, length)


def uniform_clips(
    duration: Seconds,
    clip: Seconds,
    stride: Seconds | None = None,
    backpad_last: bool = False,
    truncate: Seconds | None = None,
) -> list[ClipTime]:
    """Clips one after the other, `stride` seconds from start to start (default: the clip's length).

    What is left at the end and shorter than a clip is dropped, or (backpad_last) becomes a clip that ends with the video.
    truncate: only the first so many seconds of the video.
    """
    length, total = _length(clip), _shortened(duration, truncate)
    step = length if stride is None else Fraction(stride)
    if step <= 0:
        raise ConfigError(f"the stride of clips is {stride} s: give a time above 0")
    count = 1 + max(0, math.floor((total + EPSILON - length) / step))
    starts = [i * step for i in range(count)]
    if backpad_last and total - (starts[-1] + length) > EPSILON:
        starts.append(total - length)
    return _clips(starts, length)


def constant_clips(duration: Seconds, clip: Seconds, count: int, augs_per_clip: int = 1) -> list[ClipTime]:
    """`count` clips whose starts lie evenly from 0 to the last possible one, both included; one clip starts at 0.

    augs_per_clip: each comes so many times, with aug_index 0, 1, ... (10 clips x 3 crops are the usual test views).
    """
    length = _length(clip)
    count, repeats = _count("clips of a video", count), _count("augmentations of a clip", augs_per_clip)
    step = max(Fraction(duration) - length, Fraction(0)) / max(count - 1, 1)
    clips = [ClipTime(i * step, i * step + length, i, aug, False) for i in range(count) for aug in range(repeats)]
    return [*clips[:-1], dataclasses.replace(clips[-1], is_last=True)]


def centred_clip(time: Seconds, clip: Seconds) -> ClipTime:
    """The clip around the time stamp of a key frame (AVA); it may begin before 0."""
    start = Fraction(time) - _length(clip) / 2
    return ClipTime(start, start + Fraction(clip))


def untrimmed_clips(start: Seconds, end: Seconds, sampler: Callable[[Fraction], Sequence[ClipTime]]) -> list[ClipTime]:
    """Clips of the part from `start` to `end` seconds of a longer video.

    sampler: duration of the part -> its clips, one of the functions above with its other arguments given.
    """
    offset = Fraction(start)
    if not Fraction(end) > offset:
        raise ConfigError(f"a part of a video from {start} s to {end} s is empty: give an end after its start")
    return [dataclasses.replace(c, start=c.start + offset, end=c.end + offset) for c in sampler(Fraction(end) - offset)]


def frame_request(clip: ClipTime, duration: Seconds, fps: Seconds, num_frames: int | None = None) -> ClipRequest:
    """What to decode for a clip: its frames with start <= time < end, all of them or `num_frames` evenly among them.

    fps: frames per second of the video, the first at 0 s. A clip between two frames takes the one before it.
    """
    rate = Fraction(fps)
    end = min(clip.end, Fraction(duration))
    first = max(math.ceil(clip.start * rate), 0)
    last = math.ceil(end * rate) - 1
    if last < first:
        first = last = max(math.floor(min(clip.start, end) * rate), 0)
    count = last - first + 1 if num_frames is None else _count("frames of a clip", num_frames)
    picks = [first + i * (last - first) // max(count - 1, 1) for i in range(count)]
    return ClipRequest(tuple(float(pick / rate) for pick in picks))


def _clips(starts: Sequence[Fraction], length: Fraction) -> list[ClipTime]:
    return [ClipTime(start, start + length, i, 0, i == len(starts) - 1) for i, start in enumerate(starts)]


def _length(clip: Seconds) -> Fraction:
    if not clip > 0:
        raise ConfigError(f"the length of a clip is {clip} s: give a time above 0")
    return Fraction(clip)


def _shortened(duration: Seconds, truncate: Seconds | None) -> Fraction:
    return Fraction(duration) if truncate is None else min(Fraction(duration), Fraction(truncate))


def _count(what: str, count: int) -> int:
    if count < 1:
        raise ConfigError(f"the number of {what} is {count}: give 1 or more")
    return count
