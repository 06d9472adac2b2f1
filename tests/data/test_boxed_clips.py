"""Windows around key frames as published, and whole frames at the test size with few in memory."""

from __future__ import annotations

import numpy as np
import pytest

from tests.data.videos import number_of, numbered, write
from vidmodels.core.clip import ClipRequest
from vidmodels.core.entry import InputSpec
from vidmodels.data import boxed_clips
from vidmodels.data.boxed_clips import centred_request, read_whole_frames, resize
from vidmodels.data.decode import Frames, VideoReader
from vidmodels.data.geometry import short_side
from vidmodels.data.probe import VideoInfo


def info(duration=900.0, fps=30.0, width=64, height=64):
    return VideoInfo(duration, fps, width, height, round(duration * fps), "h264", "mov", "yuv420p")


def frames_of(request, fps=30.0):
    return [round(time * fps) for time in request.times]


def test_windows_of_ava():
    # second 902 of the movie is frame 60 of the cut: [60 - 32, 60 + 32) in steps of 2
    request = centred_request(2.0, InputSpec(32, 2, 224, fps=30), info())
    assert frames_of(request) == list(range(28, 92, 2))
    assert len(frames_of(centred_request(2.0, InputSpec(4, 16, 224, fps=30), info()))) == 4
    # the last key frame of the cut, 1798, has room behind it; a clip of 64 x 2 frames reaches the first frame at 902
    assert frames_of(centred_request(898.0, InputSpec(32, 2, 224, fps=30), info()))[-1] == 898 * 30 + 30
    assert frames_of(centred_request(2.0, InputSpec(64, 2, 224, fps=30), info()))[:3] == [0, 0, 0]


def test_the_ends_repeat():
    request = centred_request(0.0, InputSpec(8, 4, 224, fps=30), info(duration=0.5))
    assert frames_of(request) == [0, 0, 0, 0, 0, 4, 8, 12]
    request = centred_request(0.5, InputSpec(8, 4, 224, fps=30), info(duration=0.5))
    assert frames_of(request) == [0, 3, 7, 11, 14, 14, 14, 14]


def test_strides_count_at_the_rate_of_the_model():
    slow_video = info(duration=10, fps=10)
    assert np.diff(centred_request(5, InputSpec(4, 3, 224, fps=30), slow_video).times) == pytest.approx([0.1] * 3)
    assert np.diff(centred_request(5, InputSpec(4, 3, 224), slow_video).times) == pytest.approx([0.3] * 3)
    # an odd length keeps all its frames
    assert frames_of(centred_request(1.0, InputSpec(3, 1, 224, fps=30), info())) == [29, 30, 31]


def test_short_side():
    assert short_side(360, 640, 256) == (256, 455)
    assert short_side(640, 360, 256) == (455, 256)
    assert short_side(256, 340, 256) == (256, 340)


def test_resize_is_bilinear_between_pixel_centres():
    ramp = np.repeat(np.arange(0, 256, 16, np.uint8)[None, :, None], 16, 0).repeat(3, 2)
    half = resize(ramp, 8, 8)
    assert half[0, :, 0].tolist() == [8, 40, 72, 104, 136, 168, 200, 232]
    quarter = resize(ramp, 4, 4)  # looks at two of four pixels: published models were trained so
    assert quarter[0, :, 0].tolist() == [24, 88, 152, 216]
    assert resize(ramp, 16, 16) is ramp


class Counting:
    """A source of numbered frames that keeps the size of each read."""

    uri = "counted"

    def __init__(self):
        self.info = info(duration=10, fps=10, width=96, height=64)
        self.reads, self.times = [], []

    def read(self, times):
        self.reads.append(len(times))
        self.times += times
        return Frames(np.stack([numbered(round(t * 10), 64, 96) for t in times]), np.array(times))


def test_frames_are_read_once_and_few_at_a_time(monkeypatch):
    monkeypatch.setattr(boxed_clips, "FULL_SIZE_BYTES", 4 * 96 * 64 * 3)
    source = Counting()
    requests = [ClipRequest(tuple(n / 10 for n in range(start, start + 8))) for start in (0, 4, 8)]
    clips = read_whole_frames(source, requests, 32)
    assert clips.shape == (3, 8, 32, 48, 3)
    assert [[number_of(frame) for frame in clip] for clip in clips] == [list(range(s, s + 8)) for s in (0, 4, 8)]
    assert max(source.reads) == 4
    assert source.times == sorted(set(source.times))


def test_frames_of_a_video(tmp_path):
    path = write(tmp_path / "v.mp4", count=60, fps=30, size=(48, 80))
    with VideoReader(str(path)) as video:
        requests = [centred_request(time, InputSpec(4, 4, 32, fps=30), video.info) for time in (0.2, 1.0, 1.99)]
        clips = read_whole_frames(video, requests, 48)
    assert [[number_of(frame) for frame in clip] for clip in clips] == [[0, 2, 6, 10], [22, 26, 30, 34], [52, 56, 59, 59]]
