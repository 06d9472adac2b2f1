"""Pixel values and labels."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close
from torchvision.transforms import v2

from tests.data.video_transforms.parts import random_video
from vidmodels.core.errors import ConfigError
from vidmodels.data import video_transforms as vt


def test_normalising():
    video = random_video()
    one = vt.Normalize(0.45, 0.225)(video)
    assert_close(one, (video - 0.45) / 0.225)
    each = vt.Normalize((0.1, 0.2, 0.3), (1, 2, 4))(video)
    assert_close(each[2], (video[2] - 0.3) / 4)
    with pytest.raises(ConfigError, match=r"takes float videos, not torch.uint8"):
        vt.Normalize(0.45, 0.225)(random_video(torch.uint8))
    with pytest.raises(ConfigError, match="has 3 colours, the video 4"):
        vt.Normalize((0.1, 0.2, 0.3), (1, 1, 1))(video.transpose(0, 1))
    with pytest.raises(ConfigError, match="must be above 0"):
        vt.Normalize(0.45, 0)


def test_values_to_float_and_back():
    video = random_video(torch.uint8)
    assert_close(vt.Div255()(video), video / 255)
    assert_close(vt.Div255()(video.float()), video / 255)
    # torchvision's own take [C, T, H, W] as they are
    there = v2.ToDtype(torch.float32, scale=True)(video)
    assert_close(there, video / 255)
    assert torch.equal(v2.ToDtype(torch.uint8, scale=True)(there), video)


def test_labels_as_shares():
    out = vt.smooth_targets(torch.tensor([1, 0]), 5, 0.1)
    assert out[0].tolist() == pytest.approx([0.02, 0.92, 0.02, 0.02, 0.02])
    assert torch.equal(vt.smooth_targets(torch.tensor([2]), 3, 0.0), torch.tensor([[0.0, 0.0, 1.0]]))
