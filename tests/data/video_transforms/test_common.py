"""What all transforms of videos have in common: types, one draw for all frames, seeds, inputs left alone."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torchvision.transforms import v2

from tests.data.video_transforms.parts import random_video, still_video
from vidmodels.data import video_transforms as vt

SAME_TYPE = {
    "temporal": vt.UniformTemporalSubsample(2),
    "short side": vt.ShortSideScale(16),
    "random short side": vt.RandomShortSideScale(12, 40),
    "uniform crop": vt.UniformCrop(20, 2),
    "resized crop": vt.RandomResizedCrop(16),
    "flip": v2.RandomHorizontalFlip(0.5),
    "random crop": v2.RandomCrop(16),
    "centre crop": v2.CenterCrop(16),
    "sampler": vt.OpSampler([vt.ShortSideScale(16), v2.RandomCrop(12), v2.RandomVerticalFlip(0.5)], count=2),
    "RandAugment": vt.RandAugment(probability=1.0),
    "AugMix": vt.AugMix(),
}
TO_FLOAT = {
    "div": vt.Div255(),
    "train": vt.create_video_transform("train", num_frames=2, scale=(16, 20), size=12, augment="randaug"),
    "val": vt.create_video_transform("val", num_frames=2, scale=(16, 20), size=12),
}
RANDOM = ["random short side", "resized crop", "flip", "random crop", "sampler", "RandAugment", "AugMix", "train"]
ALL = {**SAME_TYPE, **TO_FLOAT}
TYPES = [torch.float32, torch.uint8]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("name", ALL)
def test_type_range_and_layout(name, dtype):
    video = random_video(dtype)
    before = video.clone()
    for seed in range(3):
        out = vt.Seeded(ALL[name], torch.Generator().manual_seed(seed))(video)
        assert out.dtype == (torch.float32 if name in TO_FLOAT else dtype)
        assert out.ndim == 4
        assert out.shape[0] == 3
        assert torch.isfinite(out.float()).all()
        if name in SAME_TYPE and dtype.is_floating_point:
            assert out.min() >= -1e-6
            assert out.max() <= 1 + 1e-6
    assert torch.equal(video, before)  # nothing happens in place


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("name", ALL)
def test_one_draw_for_all_frames(name, dtype):
    for seed in range(4):
        out = vt.Seeded(ALL[name], torch.Generator().manual_seed(seed))(still_video(dtype))
        for frame in out.unbind(1):
            assert torch.equal(frame, out[:, 0])


@pytest.mark.parametrize("name", RANDOM)
def test_a_seed_decides_everything_and_leaves_the_global_generator(name):
    video = random_video()
    state = torch.get_rng_state()

    def run(seed):
        generator = torch.Generator().manual_seed(seed)
        transform = vt.Seeded(ALL[name], generator)
        return [transform(video) for _ in range(8)]

    first, again = run(0), run(0)
    assert all(torch.equal(a, b) for a, b in zip(first, again))
    assert any(a.shape != b.shape or not torch.equal(a, b) for a, b in pairwise(first))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", RANDOM)
def test_without_a_generator_the_global_seed_decides(name):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        first = ALL[name](random_video())
        torch.manual_seed(3)
        assert torch.equal(ALL[name](random_video()), first)
