"""Transforms of samples, orders of dimensions, and choices among transforms."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torchvision.transforms import v2

from tests.data.video_transforms.parts import random_video
from vidmodels.core.errors import ConfigError
from vidmodels.data import video_transforms as vt


def test_entries_of_a_sample():
    sample = {"video": random_video(torch.uint8), "label": 3, "audio": None}
    chain = v2.Compose([vt.ApplyTransformToKey("video", vt.Div255()), vt.RemoveKey("audio"), vt.RemoveKey("audio")])
    out = chain(sample)
    assert list(out) == ["video", "label"]
    assert torch.equal(out["video"], sample["video"] / 255)
    assert list(sample) == ["video", "label", "audio"]
    assert sample["video"].dtype == torch.uint8


def test_a_missing_entry():
    with pytest.raises(ConfigError, match=r"the sample has no 'vide' \(did you mean 'video'\?\): it has video, label"):
        vt.ApplyTransformToKey("vide", vt.Div255())({"video": random_video(), "label": 0})


def test_orders_of_dimensions():
    video = random_video()
    assert torch.equal(vt.Permute((1, 0, 2, 3))(video), video.transpose(0, 1))
    assert vt.channels_last(video).shape == (4, 24, 32, 3)
    assert torch.equal(vt.channels_first(vt.channels_last(video)), video)
    with pytest.raises(ConfigError, match=r"\(0, 1, 1\) is no order of dimensions"):
        vt.Permute((0, 1, 1))
    with pytest.raises(ConfigError, match=r"shape \(3, 4, 24, 32\) cannot be permuted by \(1, 0\)"):
        vt.Permute((1, 0))(video)


def draws(runs: int, **settings) -> list[list[int]]:
    """Which of three transforms are applied, in order."""
    sampler = vt.OpSampler([lambda x, i=i: [*x, i] for i in range(3)], **settings)
    seeded = vt.Seeded(sampler, torch.Generator().manual_seed(0))
    return [seeded([]) for _ in range(runs)]


def test_some_of_several_transforms():
    counts = Counter(i for drawn in draws(1200) for i in drawn)
    assert all(300 < counts[i] < 500 for i in range(3))
    counts = Counter(i for drawn in draws(1200, weights=(1, 0, 2)) for i in drawn)
    assert counts[1] == 0
    assert 1.6 < counts[2] / counts[0] < 2.5
    assert all(len(set(drawn)) == 2 for drawn in draws(50, count=2))
    assert any(len(set(drawn)) == 1 for drawn in draws(50, count=2, replacement=True))
    assert {len(drawn) for drawn in draws(50, count=3, random_count=True)} == {1, 2, 3}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"weights": (1, 2)}, "3 transforms but 2 weights"),
        ({"weights": (1, -1, 1)}, "are no chances"),
        ({"weights": (0, 0, 0)}, "are no chances"),
        ({"count": 4}, "cannot draw 4 of 3 transforms"),
        ({"count": 2, "weights": (0, 0, 1)}, "cannot draw 2 of 1 transforms"),
        ({"count": 0}, "cannot draw 0 of 3 transforms"),
    ],
)
def test_impossible_choices(settings, message):
    with pytest.raises(ConfigError, match=message):
        draws(1, **settings)
