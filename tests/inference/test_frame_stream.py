"""Frames that come one by one: the same windows as of the whole video, and no more kept than a window needs."""

from __future__ import annotations

import numpy as np
import pytest

from tests.data.videos import write
from vidmodels.core.entry import InputSpec
from vidmodels.core.errors import ConfigError, DataError
from vidmodels.data.decode import VideoReader
from vidmodels.inference.frame_stream import FrameStream
from vidmodels.inference.windows import read_clips, window_spans


@pytest.mark.parametrize(
    ("spec", "fps", "hop"),
    [
        (InputSpec(8, 2, 32), 30, None),
        (InputSpec(4, 3, 32), 25, 0.4),
        (InputSpec(8, 2, 32, fps=15.0), 30, 0.5),
        (InputSpec(1, 1, 32), 10, None),
    ],
)
def test_windows_are_those_of_the_video(tmp_path, spec, fps, hop):
    path = write(tmp_path / "a.mp4", count=97, fps=fps, size=(48, 64))
    stream = FrameStream(spec, fps, hop)
    with VideoReader(str(path)) as video:
        found = [window for time, frame in video for window in stream.push(time, frame)]
        spans = list(window_spans(video.info, spec, hop))
        clips = np.concatenate([clips for _, clips in read_clips(video, spans, spec, 1, 8)])
    # the last window of a video is moved so that it ends with it: a stream does not know its end
    assert len(spans) - 1 <= len(found) <= len(spans)
    for window, span, clip in list(zip(found, spans, clips))[: len(spans) - 1]:
        assert (window.start, window.end) == pytest.approx((span.start, span.end))
        assert np.array_equal(window.clip, clip)


def test_what_is_kept_does_not_grow():
    stream = FrameStream(InputSpec(8, 2, 16), 30)
    frame = np.zeros((20, 30, 3), np.uint8)
    kept = []
    for number in range(3000):
        stream.push(number / 30, frame)
        kept.append(len(stream.frames))
    assert max(kept[200:]) == max(kept[:200]) <= 17


def test_a_restored_stream_goes_on_as_the_first(tmp_path):
    rng = np.random.default_rng(0)
    frames = [(number / 30, rng.integers(0, 256, (20, 20, 3), dtype=np.uint8)) for number in range(100)]
    spec = InputSpec(8, 2, 16)
    first, second = FrameStream(spec, 30, 0.3), FrameStream(spec, 30, 0.3)
    for time, frame in frames[:50]:
        first.push(time, frame)
    second.restore(first.number, first.origin, first.frames)
    for time, frame in frames[50:]:
        ours, theirs = second.push(time, frame), first.push(time, frame)
        assert [w.number for w in ours] == [w.number for w in theirs]
        assert all(np.array_equal(a.clip, b.clip) for a, b in zip(ours, theirs))
    assert first.number > 8


def test_a_pause_of_the_camera_repeats_its_last_frame():
    stream = FrameStream(InputSpec(4, 1, 16), 10)
    light, dark = np.full((16, 16, 3), 200, np.uint8), np.zeros((16, 16, 3), np.uint8)
    assert stream.push(0.0, light) == []
    found = stream.push(0.9, dark)
    assert [window.start for window in found] == pytest.approx([0.0, 0.4])
    assert (found[0].clip == 200).all()
    assert (found[1].clip == 200).all()


def test_after_a_long_pause_windows_begin_anew():
    stream = FrameStream(InputSpec(4, 1, 16), 10)
    frame = np.zeros((16, 16, 3), np.uint8)
    for number in range(6):
        stream.push(number / 10, frame)
    assert stream.number == 1
    assert stream.push(1e6, frame) == []
    assert len(stream.frames) == 1
    found = [window for number in range(1, 5) for window in stream.push(1e6 + number / 10, frame)]
    assert [(window.number, window.start) for window in found] == [(1, pytest.approx(1e6))]


@pytest.mark.parametrize("time", [0.5, 0.4, float("nan"), float("inf")])
def test_times_that_do_not_grow_are_refused(time):
    stream = FrameStream(InputSpec(4, 1, 16))
    stream.push(0.5, np.zeros((16, 16, 3), np.uint8))
    with pytest.raises(DataError, match="times must grow"):
        stream.push(time, np.zeros((16, 16, 3), np.uint8))


def test_settings_and_frames_that_are_none_are_refused():
    with pytest.raises(ConfigError, match="frames per second"):
        FrameStream(InputSpec(4, 1, 16), fps=0)
    with pytest.raises(ConfigError, match="never reach"):
        FrameStream(InputSpec(4, 1, 16), hop=0)
    with pytest.raises(DataError, match="uint8"):
        FrameStream(InputSpec(4, 1, 16)).push(0, np.zeros((16, 16, 3)))
