"""Scales and crops: sizes, offsets, and that pixels are where they should be."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional
from torch.testing import assert_close

from tests.data.video_transforms.parts import random_video, still_video
from vidmodels.core.errors import ConfigError
from vidmodels.data import video_transforms as vt
from vidmodels.data.geometry import short_side
from vidmodels.data.video_transforms.spatial import Window, uniform_window


def test_short_sides():
    assert short_side(48, 64, 20) == (20, 26)
    assert short_side(64, 48, 20) == (26, 20)
    assert short_side(240, 320, 256) == (256, 341)
    assert short_side(50, 50, 20) == (20, 20)


def test_scaling_is_bilinear_with_half_pixel_centres():
    video = random_video()
    wanted = functional.interpolate(video, (16, 21), mode="bilinear", align_corners=False)
    assert_close(vt.short_side_scale(video, 16), wanted)
    small = vt.short_side_scale((video * 255).round().to(torch.uint8), 16)
    assert (small.float() - wanted * 255).abs().max() <= 1.5
    assert vt.short_side_scale(video, 16, "nearest").unique().numel() <= video.unique().numel()


def test_random_short_sides_include_both_ends():
    scale = vt.Seeded(vt.RandomShortSideScale(10, 13), torch.Generator().manual_seed(0))
    assert {min(scale(random_video(frames=1)).shape[-2:]) for _ in range(60)} == {10, 11, 12, 13}


def test_uniform_windows():
    assert [uniform_window(48, 64, 33, i) for i in range(3)] == [Window(8, left, 33, 33) for left in (0, 16, 31)]
    assert [uniform_window(64, 48, 33, i) for i in range(3)] == [Window(top, 8, 33, 33) for top in (0, 16, 31)]
    assert uniform_window(256, 340, 256, 1) == Window(0, 42, 256, 256)
    video = random_video()
    assert torch.equal(vt.UniformCrop(20, 2)(video), video[..., 2:22, 12:32])


def test_the_views_of_a_sample():
    video = random_video()
    crops = [vt.UniformCropVideo(24)({"video": video, "aug_index": i})["video"] for i in range(3)]
    assert [torch.equal(crop, video[..., left : left + 24]) for crop, left in zip(crops, (0, 4, 8))] == [True] * 3


def test_resized_crops_have_the_asked_area_and_aspect():
    # the picture's values are its coordinates, so that a crop says where it was taken
    rows, columns = torch.meshgrid(torch.arange(80.0), torch.arange(80.0), indexing="ij")
    video = torch.stack([rows, columns]).unsqueeze(1)
    crop = vt.Seeded(vt.RandomResizedCrop(30, area=(0.1, 0.5), aspect=(0.5, 2.0)), torch.Generator().manual_seed(0))
    areas, aspects = [], []
    for _ in range(200):
        out = crop(video)
        assert out.shape == (2, 1, 30, 30)
        height = float(out[0, 0, 20, 15] - out[0, 0, 10, 15]) * 3
        width = float(out[1, 0, 15, 20] - out[1, 0, 15, 10]) * 3
        areas.append(height * width / 6400)
        aspects.append(width / height)
    assert 0.09 < min(areas) < 0.15
    assert 0.45 < max(areas) < 0.53
    assert 0.47 < min(aspects) < 0.7
    assert 1.4 < max(aspects) < 2.1
    assert 0.9 < torch.tensor(aspects).log().mean().exp() < 1.1  # even in the logarithm


def test_a_shifted_crop_moves_evenly():
    rows, columns = torch.meshgrid(torch.arange(60.0), torch.arange(80.0), indexing="ij")
    video = torch.stack([rows, columns]).unsqueeze(1).expand(2, 9, 60, 80)
    crop = vt.RandomResizedCrop(16, area=(0.1, 0.4), shift=True)
    out = vt.Seeded(crop, torch.Generator().manual_seed(1))(video)
    centres = out.mean((2, 3))  # [2, T]
    steps = centres.diff(dim=1)
    assert steps.abs().sum() > 10
    assert (steps - steps.mean(1, keepdim=True)).abs().max() <= 1.01  # windows end on whole pixels
    still = vt.Seeded(vt.RandomResizedCrop(16), torch.Generator().manual_seed(1))(still_video())
    assert torch.equal(still[:, 0], still[:, -1])


def test_a_frame_without_such_a_crop_gives_its_middle():
    out = vt.RandomResizedCrop((4, 8), area=(0.9, 1.0), aspect=(0.75, 4 / 3))(random_video(height=4, width=400))
    assert out.shape == (3, 4, 4, 8)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda v: vt.short_side_scale(v, 0), "scaled to 0 pixels"),
        (lambda v: vt.RandomShortSideScale(20, 10), "no short side lies from 20 to 10 pixels"),
        (lambda v: vt.uniform_crop(v, 25, 1), "cannot cut 25 x 25 pixels out of frames of 24 x 32"),
        (lambda v: vt.uniform_crop(v, 20, 3), "there is no crop 3"),
        (lambda v: vt.RandomResizedCrop(8, area=(0.5, 0.1)), r"area \(0.5, 0.1\)"),
        (lambda v: vt.UniformCropVideo(20)({"video": v}), "the sample has no 'aug_index'"),
    ],
)
def test_impossible_crops(call, message):
    with pytest.raises(ConfigError, match=message):
        call(random_video())
