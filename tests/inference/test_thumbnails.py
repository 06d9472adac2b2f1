"""Thumbnails are whole frames of the part that was asked for, in a box of one size."""

from __future__ import annotations

import numpy as np
import pytest

from tests.data.videos import number_of, write
from vidmodels.core.errors import MediaError
from vidmodels.inference.thumbnails import GROUND, read_thumbnails


def test_frames_lie_evenly_in_the_part(tmp_path):
    path = write(tmp_path / "v.mp4", 60, fps=30)
    frames = read_thumbnails(str(path), 0.5, 1.5, 3, None, 128)
    assert max(frames.shape[1:3]) == 128
    assert [number_of(frame) for frame in frames] == [20, 30, 40]


def test_frames_are_whole_within_a_box(tmp_path):
    path = write(tmp_path / "v.mp4", 10, fps=30)
    frames = read_thumbnails(str(path), 0, 0.2, 1, (40, 200), 128)
    assert frames.shape == (1, 40, 200, 3)
    assert (frames[0, :, :10] == GROUND).all()
    assert (frames[0, :, -10:] == GROUND).all()
    assert not (frames[0, 20, 90:110] == GROUND).all()


def test_what_is_no_video_says_so(tmp_path):
    (tmp_path / "v.mp4").write_bytes(b"text")
    with pytest.raises(MediaError, match=r"v.mp4"):
        read_thumbnails(str(tmp_path / "v.mp4"), 0, 1, 2, None, 64)
    assert np.array(GROUND).max() < 32
