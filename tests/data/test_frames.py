"""Folders of pictures answer like videos."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from tests.data.videos import number_of, numbered
from vidmodels.core.errors import DataError, MediaError
from vidmodels.data.frames import FrameReader


def pictures(folder, count=20, size=(48, 64)):
    paths = []
    for number in range(count):
        path = folder / f"{number:06d}.png"
        cv2.imwrite(str(path), numbered(number, *size)[..., ::-1])
        paths.append(str(path))
    return paths


def test_times_give_frames(tmp_path):
    with FrameReader(pictures(tmp_path), 30, "v") as video:
        assert (video.info.duration, video.info.fps, video.info.height, video.info.width) == (20 / 30, 30, 48, 64)
        frames = video.read([3 / 30, 0, 10 / 30 + 0.02, 5.0, 6.0])
        assert [number_of(frame) for frame in frames.frames] == [3, 0, 10, 19, 19]
        assert frames.repeated == 2
        assert frames.times == pytest.approx([0.1, 0, 1 / 3, 19 / 30, 19 / 30])
        assert [number_of(frame) for _, frame in video] == list(range(20))
        assert tuple(video.read([0]).frames[0, 0, -1]) == (220, 30, 30)  # RGB


def test_all_times_after_the_end(tmp_path):
    with FrameReader(pictures(tmp_path, 2), 30, "v") as video:
        assert video.read([1.0, 2.0]).repeated == 2


def test_another_size_is_resized(tmp_path):
    paths = pictures(tmp_path, 3)
    cv2.imwrite(paths[1], np.full((96, 128, 3), 90, np.uint8))
    with FrameReader(paths, 30, "v") as video:
        assert video.read([0, 1 / 30]).frames.shape == (2, 48, 64, 3)


def test_what_cannot_be_read(tmp_path):
    with pytest.raises(DataError, match="v has no frames"):
        FrameReader([], 30, "v")
    paths = pictures(tmp_path, 2)
    (tmp_path / "000001.png").write_bytes(b"no picture")
    with FrameReader([*paths, str(tmp_path / "none.png")], 30, "v") as video:
        with pytest.raises(MediaError, match=r"frame 1 of v: .*000001\.png cannot be read as a picture"):
            video.read([1 / 30])
        with pytest.raises(MediaError, match=r"frame 2 of v: there is no file .*none\.png"):
            video.read([2 / 30])
