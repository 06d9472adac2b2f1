"""MixUp, CutMix and MixVideo: pixels, labels and sound are shared in the same parts."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from vidmodels.core.errors import ConfigError
from vidmodels.data import video_transforms as vt

LABELS = torch.tensor([0, 1])


def batch(dtype=torch.float32):
    """One black and one white clip, with sound of zeros and ones."""
    white = 1 if dtype.is_floating_point else 255
    video = torch.stack([torch.zeros(3, 4, 16, 16), torch.full((3, 4, 16, 16), float(white))]).to(dtype)
    return video, torch.stack([torch.zeros(50), torch.ones(50)])


@pytest.mark.parametrize("mixing", [vt.MixUp(num_classes=2), vt.CutMix(num_classes=2), vt.MixVideo(num_classes=2)])
def test_all_parts_are_shared_alike(mixing):
    shares = set()
    for seed in range(12):
        video, audio = batch()
        out, targets, sound = vt.Seeded(mixing, torch.Generator().manual_seed(seed))(video, LABELS, audio)
        assert_close(targets.sum(1), torch.ones(2))
        assert_close(out[0].mean(), targets[0, 1])
        assert_close(out[1].mean(), targets[1, 1])
        assert_close(sound[0].mean(), targets[0, 1])
        shares.add(round(targets[0, 1].item(), 3))
        assert torch.equal(video, batch()[0])
        assert torch.equal(audio, batch()[1])
    assert len(shares) > 6


def test_a_cut_box_is_the_same_in_all_frames():
    for seed in range(8):
        out, _ = vt.Seeded(vt.CutMix(num_classes=2), torch.Generator().manual_seed(seed))(batch()[0], LABELS)
        assert set(out.unique().tolist()) <= {0.0, 1.0}
        assert all(torch.equal(frame, out[0, 0, 0]) for frame in out[0].flatten(0, 1))
        rows, columns = out[0, 0, 0].any(1).sum(), out[0, 0, 0].any(0).sum()
        assert out[0, 0, 0].sum() == rows * columns


def test_bytes_stay_bytes():
    for mixing in (vt.MixUp(num_classes=2), vt.CutMix(num_classes=2)):
        video, _ = batch(torch.uint8)
        out, targets = vt.Seeded(mixing, torch.Generator().manual_seed(3))(video, LABELS)
        assert out.dtype == torch.uint8
        assert out[0].float().mean() / 255 == pytest.approx(targets[0, 1].item(), abs=0.003)


@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_labels_that_are_shares_already(probability):
    shares = torch.tensor([[0.5, 0.25, 0.25], [0.0, 0.0, 1.0]])
    mixing = vt.MixVideo(probability, one_hot=True)
    video, targets = vt.Seeded(mixing, torch.Generator().manual_seed(0))(batch()[0], shares)
    own = 1 - video[0].mean()
    assert_close(targets[0], own * shares[0] + (1 - own) * shares[1])


def test_smoothing():
    _, targets = vt.MixUp(num_classes=2, label_smoothing=0.2)(batch()[0], torch.tensor([0, 0]))
    assert_close(targets, torch.tensor([[0.9, 0.1]] * 2))


def test_the_probability_chooses():
    mixing = vt.MixVideo(0.25, num_classes=2)
    generator = torch.Generator().manual_seed(0)
    pasted = 0
    for _ in range(200):
        out, _ = vt.Seeded(mixing, generator)(batch()[0], LABELS)
        pasted += set(out.unique().tolist()) <= {0.0, 1.0}
    assert 30 < pasted < 75


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: vt.MixUp(alpha=0, num_classes=2), "alpha of MixUp is 0"),
        (lambda: vt.CutMix(), "CutMix needs num_classes"),
        (lambda: vt.MixVideo(1.5, num_classes=2), "the probability of CutMix is 1.5"),
        (lambda: vt.MixUp(num_classes=2)(batch()[0], torch.tensor([1])), "2 clips but 1 labels"),
        (lambda: vt.MixUp(num_classes=2)(batch()[0], torch.eye(2)), "give one_hot=True for shares"),
        (lambda: vt.MixUp(one_hot=True)(batch()[0], LABELS), r"labels are shares \[N, K\]"),
    ],
)
def test_impossible_settings(call, message):
    with pytest.raises(ConfigError, match=message):
        call()
