"""The usual chains of transforms."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from tests.data.video_transforms.parts import random_video
from vidmodels.core.errors import ConfigError
from vidmodels.data import video_transforms as vt

SMALL = {"num_frames": 3, "scale": (20, 26), "size": 16}


def test_validation_is_the_centre_of_the_scaled_video():
    video = random_video(torch.uint8, frames=9, height=40, width=60)
    out = vt.create_video_transform("val", **SMALL)(video)
    scaled = vt.short_side_scale((video[:, [0, 4, 8]] / 255 - 0.45) / 0.225, 20)
    assert_close(out, scaled[..., 2:18, 7:23])
    assert torch.equal(out, vt.create_video_transform("val", **SMALL)(video))


def test_training_draws_scale_crop_and_flip():
    train = vt.Seeded(vt.create_video_transform("train", **SMALL), torch.Generator().manual_seed(0))
    outs = [train(random_video(torch.uint8, 9, 40, 60)) for _ in range(6)]
    assert {out.shape for out in outs} == {(3, 3, 16, 16)}
    assert not any(torch.equal(a, b) for a, b in pairwise(outs))


def test_a_resized_crop_keeps_the_flip():
    crop = vt.RandomResizedCrop(16, area=(1.0, 1.0), aspect=(1.0, 1.0))
    chain = vt.create_video_transform("train", num_frames=None, size=16, flip=1.0, resized_crop=crop, mean=0.0, std=1.0)
    video = random_video(height=16, width=16)
    assert_close(chain(video), video.flip(-1))


def test_samples_and_all_frames():
    chain = vt.create_video_transform("val", key="video", remove=("audio",), num_frames=None, scale=(20, 20), size=16)
    out = chain({"video": random_video(frames=5), "audio": None, "label": 1})
    assert list(out) == ["video", "label"]
    assert out["video"].shape == (3, 5, 16, 16)


@pytest.mark.parametrize("augment", ["randaug", "augmix", vt.RandAugment(10, 4, 1.0)])
def test_policies_change_training_only(augment):
    video = random_video(torch.uint8, 4, 40, 60)
    plain = {"num_frames": None, "scale": (40, 40), "size": 40, "flip": 0.0}
    chains = [vt.create_video_transform("train", augment=policy, **plain) for policy in ("none", augment)]
    without, augmented = ([vt.Seeded(c, torch.Generator().manual_seed(i))(video) for i in range(6)] for c in chains)
    assert not all(torch.equal(a, b) for a, b in zip(without, augmented))
    val = vt.create_video_transform("val", augment=augment, **SMALL)
    assert not any(isinstance(part, (vt.RandAugment, vt.AugMix)) for part in val.transforms if isinstance(part, nn.Module))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mode": "test"}, "there is no mode 'test'"),
        ({"mode": "train", "augment": "autoaugment"}, "there is no policy 'autoaugment'"),
        ({"mode": "train", "remove": ("audio",)}, "name the key of the video"),
        ({"mode": "val", "scale": (100, 120)}, "a short side of 100 pixels has no crop of 224"),
    ],
)
def test_impossible_settings(settings, message):
    with pytest.raises(ConfigError, match=message):
        vt.create_video_transform(**settings)
