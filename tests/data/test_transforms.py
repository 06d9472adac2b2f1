"""Augmentations of a batch: what they change, what they keep, and that a seed decides all of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from vidmodels.core.batch import Batch
from vidmodels.core.entry import InputSpec
from vidmodels.core.errors import ConfigError
from vidmodels.core.recipe import AugmentSection
from vidmodels.data.transforms import (
    color_jitter,
    denormalise,
    normalise,
    parse_rand_augment,
    prepare,
    rand_augment,
    random_erasing,
    random_shift,
)

SPEC = InputSpec(num_frames=4, frame_stride=1, size=16)


def batch_of(b=4, r=2, size=16) -> Batch:
    clips = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (b, r, 4, size, size, 3), np.uint8))
    valid = torch.tensor([True] * (b - 1) + [False])
    return Batch(clips, valid, torch.arange(b), [str(i) for i in range(b)], torch.arange(b))


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_evaluation_only_normalises():
    batch = batch_of()
    out = prepare(batch, SPEC)
    assert out.clips.shape == (8, 3, 4, 16, 16)
    assert out.labels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert out.valid.tolist() == [True] * 6 + [False] * 2
    back = denormalise(out.clips, SPEC).mul(255).round().byte()
    assert torch.equal(back, batch.clips.flatten(0, 1).permute(0, 4, 1, 2, 3))
    white = normalise(torch.ones(1, 3, 1, 2, 2), SPEC)
    assert white[0, :, 0, 0, 0].tolist() == pytest.approx([(1 - m) / s for m, s in zip(SPEC.mean, SPEC.std)], rel=1e-5)


def test_flips_are_of_whole_clips_and_of_the_given_share():
    batch = batch_of(100, 1)
    plain = prepare(batch, SPEC).clips
    out = prepare(batch, SPEC, AugmentSection(flip=0.5), seeded()).clips
    flipped = [torch.equal(a, b.flip(-1)) for a, b in zip(out, plain)]
    kept = [torch.equal(a, b) for a, b in zip(out, plain)]
    assert all(f != k for f, k in zip(flipped, kept))
    assert 30 < sum(flipped) < 70
    assert torch.equal(prepare(batch, SPEC, AugmentSection(flip=1.0), seeded()).clips, plain.flip(-1))


def test_the_seed_decides_everything():
    augment = AugmentSection(color_jitter=0.4, shift=3, erasing=0.5, mixup=0.8, cutmix=1.0, label_smoothing=0.1)
    first, again, other = (prepare(batch_of(), SPEC, augment, seeded(s), 5) for s in (1, 1, 2))
    assert torch.equal(first.clips, again.clips)
    assert torch.equal(first.labels, again.labels)
    assert not torch.equal(first.clips, other.clips)


def test_mixed_targets_sum_to_one():
    for augment in (AugmentSection(mixup=0.8), AugmentSection(cutmix=1.0), AugmentSection(mixup=0.8, cutmix=1.0)):
        for seed in range(5):
            labels = prepare(batch_of(), SPEC, augment, seeded(seed), 5).labels
            torch.testing.assert_close(labels.sum(1), torch.ones(8))
    smooth = prepare(batch_of(), SPEC, AugmentSection(label_smoothing=0.1), seeded(), 5).labels
    assert smooth[0].tolist() == pytest.approx([0.92, 0.02, 0.02, 0.02, 0.02])


def test_a_shift_moves_the_whole_clip():
    pixels = torch.rand(20, 3, 4, 16, 16)
    out = random_shift(pixels, 3, seeded())
    seen = set()
    for a, b in zip(out, pixels):
        hits = [(y, x) for y in range(-3, 4) for x in range(-3, 4)
                if torch.equal(a[:, :, 4:12, 4:12], b[:, :, 4 + y : 12 + y, 4 + x : 12 + x])]  # fmt: skip
        assert len(hits) == 1
        seen.update(hits)
    assert len(seen) > 8


def test_erasing_takes_one_box_of_all_frames():
    pixels = torch.zeros(40, 3, 4, 32, 32)
    out = random_erasing(pixels, 1.0, seeded())
    shares, aspects = [], []
    for clip in out:
        changed = (clip != 0).any(0)  # [T, H, W]
        assert torch.equal(changed[0], changed[3])
        rows, columns = changed[0].any(1).nonzero(), changed[0].any(0).nonzero()
        height, width = len(rows), len(columns)
        assert changed[0].sum() == height * width  # a full box
        shares.append(height * width / 1024)
        aspects.append(height / width)
    assert min(shares) > 0.01
    assert max(shares) < 0.4
    assert 0.2 < min(aspects) < 0.8
    assert 1.25 < max(aspects) < 5
    assert not pixels.any()
    assert torch.equal(random_erasing(pixels, 0.0, seeded()), pixels)


def test_jitter_keeps_the_range_and_is_one_change_per_clip():
    pixels = torch.rand(6, 3, 4, 8, 8)
    pixels[:, :, 1:] = pixels[:, :, :1]
    out = color_jitter(pixels, 0.4, seeded())
    assert out.min() >= 0
    assert out.max() <= 1
    assert torch.equal(out[:, :, 0], out[:, :, 3])
    assert not torch.allclose(out[0], pixels[0], atol=0.02)
    torch.testing.assert_close(color_jitter(pixels, 0.0, seeded()), pixels)


def test_rand_augment():
    assert parse_rand_augment("m7-mstd0.5") == (7, 0.5, 2)
    assert parse_rand_augment("rand-m9-n3-inc1") == (9, 0, 3)
    assert parse_rand_augment("rand-m7-n4-mstd0.5-inc1") == (7, 0.5, 4)  # MViT's
    with pytest.raises(ConfigError, match="m7"):
        parse_rand_augment("strong")
    clips = batch_of(4, 1).clips.flatten(0, 1)
    out = rand_augment(clips, "m7-mstd0.5", seeded())
    assert out.shape == clips.shape
    assert out.dtype == torch.uint8
    assert not torch.equal(out, clips)
    assert torch.equal(rand_augment(clips, "m7-mstd0.5", seeded()), out)
    assert not torch.equal(rand_augment(clips, "m7-mstd0.5", seeded(1)), out)


def test_each_clip_has_the_labels_of_its_video_or_its_own():
    flags = torch.tensor([[1.0, 0, 1], [0, 1, 0]])
    video = replace(batch_of(b=2, r=2), labels=flags)
    assert prepare(video, SPEC).labels.tolist() == flags.repeat_interleave(2, 0).tolist()
    own = torch.arange(12.0).reshape(2, 2, 3)
    assert prepare(replace(video, labels=own), SPEC).labels.tolist() == own.reshape(4, 3).tolist()
