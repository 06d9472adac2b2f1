"""Crops lie inside the frame, cover the asked share, and resize what they cut."""

from __future__ import annotations

import numpy as np

from vidmodels.data.geometry import Crop, crop_and_resize, random_resized_crop, spatial_crop


def test_random_crops():
    rng = np.random.default_rng(0)
    shares, ratios = [], []
    for _ in range(300):
        crop = random_resized_crop(120, 160, (0.5, 1.0), (0.75, 4 / 3), rng)
        assert 0 <= crop.top <= 120 - crop.height
        assert 0 <= crop.left <= 160 - crop.width
        shares.append(crop.height * crop.width / (120 * 160))
        ratios.append(crop.width / crop.height)
    assert 0.49 < min(shares) < 0.6
    assert 0.85 < max(shares) <= 1.0
    assert 0.73 < min(ratios) < 0.9
    assert 1.2 < max(ratios) < 1.36
    narrow = random_resized_crop(10, 1000, (0.9, 1.0), (0.75, 4 / 3), rng)
    assert (narrow.height, narrow.width) == (10, 13)


def test_spatial_crops():
    assert spatial_crop(100, 160, 0, 1) == Crop(0, 30, 100, 100)
    assert [spatial_crop(100, 160, i, 3).left for i in range(3)] == [0, 30, 60]
    assert [spatial_crop(160, 100, i, 3).top for i in range(3)] == [0, 30, 60]


def test_cutting_and_resizing():
    frames = np.random.default_rng(0).integers(0, 256, (2, 40, 60, 3), np.uint8)
    np.testing.assert_array_equal(crop_and_resize(frames, Crop(5, 7, 16, 16), 16), frames[:, 5:21, 7:23])
    halved = crop_and_resize(frames, Crop(0, 0, 32, 32), 16)
    means = frames[:, :32, :32].reshape(2, 16, 2, 16, 2, 3).mean((2, 4))
    assert np.abs(halved - means).max() <= 1
    assert crop_and_resize(frames, Crop(0, 0, 10, 20), 30).shape == (2, 30, 30, 3)
