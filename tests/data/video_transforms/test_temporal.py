"""Fewer frames, and the frames of two pathways."""

from __future__ import annotations

import pytest
import torch

from tests.data.video_transforms.parts import random_video
from vidmodels.backbones.slowfast import slow_frames
from vidmodels.core.errors import ConfigError
from vidmodels.data import video_transforms as vt


def test_frames_are_taken_evenly_and_repeat_where_there_are_too_few():
    video = random_video(frames=30)
    assert torch.equal(vt.UniformTemporalSubsample(8)(video), video[:, [0, 4, 8, 12, 16, 20, 24, 29]])
    assert torch.equal(vt.UniformTemporalSubsample(30)(video), video)
    assert vt.uniform_temporal_subsample(video, 40).shape == (3, 40, 24, 32)
    assert torch.equal(vt.uniform_temporal_subsample(video[:, :1], 3), video[:, [0, 0, 0]])
    last = vt.channels_last(video)
    assert torch.equal(vt.uniform_temporal_subsample(last, 4, dim=0), last[[0, 9, 19, 29]])


def test_pathways_are_those_of_the_model():
    video = random_video(frames=32)
    slow, fast = vt.UniformTemporalSubsampleRepeated((4, 1))(video)
    assert torch.equal(fast, video)
    assert torch.equal(slow, video[:, slow_frames(32, 4)])


def test_impossible_numbers():
    with pytest.raises(ConfigError, match="cannot take 0 of 4 frames"):
        vt.uniform_temporal_subsample(random_video(), 0)
    with pytest.raises(ConfigError, match=r"the ratios \(4, 0\)"):
        vt.uniform_temporal_subsample_repeated(random_video(), (4, 0))
