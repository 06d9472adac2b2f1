"""Where windows lie in a video."""

from __future__ import annotations

import itertools

import pytest

from vidmodels.core.entry import InputSpec
from vidmodels.core.errors import ConfigError
from vidmodels.data.probe import VideoInfo
from vidmodels.inference.windows import view_spans, window_spans


def info(duration: float, fps: float) -> VideoInfo:
    return VideoInfo(duration, fps, 64, 64, None, "h264", "mov", "yuv420p")


@pytest.mark.parametrize("frames", [1, 5, 61, 64, 65, 100, 128, 129, 500, 1000])
@pytest.mark.parametrize("stride", [None, 0.3, 1.0, 5.0])
def test_windows_cover_the_video_and_stay_inside(frames, stride):
    fps = 30000 / 1001
    spec = InputSpec(num_frames=16, frame_stride=4, size=224)
    found = list(window_spans(info(frames / fps, fps), spec, stride))
    assert found[0].start == 0
    assert found[-1].end == pytest.approx(frames / fps)
    starts = [round(span.start * fps) for span in found]
    assert starts == sorted(set(starts))
    if frames >= 61:  # a clip fits: no frame repeats, and the last window ends within a step of the last frame
        assert frames - 4 <= round(found[-1].times[-1] * fps) < frames
    hop = 64 if stride is None else round(stride * fps)
    # only the last one is moved, so that it ends with the video
    assert all(b - a == hop for a, b in itertools.pairwise(starts[:-1]))
    if hop <= 61:
        assert all(b.start <= a.end + 1e-9 for a, b in itertools.pairwise(found))


def test_strides_may_count_another_rate():
    spec = InputSpec(num_frames=8, frame_stride=2, size=64, fps=10)
    found = list(window_spans(info(4.0, 25), spec))
    assert found[0].times == pytest.approx([0.2 * i for i in range(8)])
    assert [span.start for span in found] == pytest.approx([0, 1.6, 2.56])
    assert found[-1].end == 4.0


def test_views_are_even_and_one_is_in_the_middle():
    spec = InputSpec(num_frames=16, frame_stride=1, size=32)
    assert [s.start for s in view_spans(info(5.0, 8), spec, 3)] == [0.0, 1.5, 3.0]
    assert [s.start for s in view_spans(info(5.0, 8), spec, 1)] == [1.5]


def test_impossible_values():
    spec = InputSpec(num_frames=16, frame_stride=1, size=32)
    with pytest.raises(ConfigError, match="stride above 0"):
        list(window_spans(info(5.0, 8), spec, 0.0))
    with pytest.raises(ConfigError, match="1 or more"):
        view_spans(info(5.0, 8), spec, 0)
