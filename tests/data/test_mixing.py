"""Mixup and CutMix: pixels and targets are shared in the same parts."""

from __future__ import annotations

import pytest
import torch

from vidmodels.core.recipe import AugmentSection
from vidmodels.data.mixing import draw_beta, mix, smooth_targets


def test_the_share_of_pixels_is_the_share_of_the_target():
    pixels = torch.stack([torch.zeros(3, 2, 16, 16), torch.ones(3, 2, 16, 16)])
    labels = torch.tensor([0, 1])
    for augment in (AugmentSection(mixup=1.0), AugmentSection(cutmix=1.0)):
        shares = set()
        for seed in range(20):
            out, targets = mix(pixels, labels, 2, augment, torch.Generator().manual_seed(seed))
            assert out[0].mean().item() == pytest.approx(targets[0, 1].item(), abs=1e-5)
            assert out[1].mean().item() == pytest.approx(targets[1, 1].item(), abs=1e-5)
            shares.add(round(targets[0, 1].item(), 3))
        assert len(shares) > 8
    out, _ = mix(pixels, labels, 2, AugmentSection(cutmix=1.0), torch.Generator().manual_seed(0))
    assert set(out.unique().tolist()) <= {0.0, 1.0}  # pasted, not blended


def test_no_label_gives_no_target():
    out = smooth_targets(torch.tensor([-1, 1]), 3, 0.3)
    assert out[0].tolist() == [0, 0, 0]
    assert out[1].tolist() == pytest.approx([0.1, 0.8, 0.1])


@pytest.mark.parametrize("alpha", [0.2, 0.8, 3.0])
def test_beta_has_its_mean_and_variance(alpha):
    generator = torch.Generator().manual_seed(0)
    draws = torch.tensor([draw_beta(alpha, generator) for _ in range(4000)])
    assert draws.mean().item() == pytest.approx(0.5, abs=0.03)
    assert draws.var().item() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.1)
