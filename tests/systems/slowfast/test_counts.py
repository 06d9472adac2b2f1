"""Parameters and multiply-adds of the SlowFast family, against the figures measured on PySlowFast and PyTorchVideo."""

from __future__ import annotations

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from tests.systems.mae_st.parts import shapes_only
from vidmodels import zoo

# parameters, multiply-adds in G of one view at 224 and at 256 pixels
PUBLISHED = {
    "c2d_r50_8x8": (24_327_632, 19.49, 25.46),
    "c2d_nln_r50_8x8": (31_686_096, 27.62, 37.27),
    "i3d_r50_8x8": (28_043_472, 28.41, 37.11),
    "i3d_nln_r50_8x8": (35_401_936, 36.54, 48.92),
    "i3d_r101_8x8": (51_754_192, 46.96, 61.33),
    "slow_r50_4x16": (32_454_096, 20.87, 27.26),
    "slow_r50_8x8": (32_454_096, 41.74, 54.52),
    "slow_r50_16x8": (32_454_096, 83.48, 109.03),
    "slow_nln_r50_4x16": (39_812_560, 29.00, 39.07),
    "slow_nln_r50_8x8": (39_812_560, 63.98, 88.34),
    "slowfast_r50_4x16": (34_480_216, 27.64, 36.10),
    "slowfast_r50_8x8": (34_566_488, 50.31, 65.71),
    "slowfast_r50_16x8": (34_566_488, 100.62, 131.42),
    "slowfast_r101_8x8": (53_774_808, 81.55, 106.51),
    "slowfast_r101_8x8_101_50_101": (53_914_072, 82.42, 107.66),
    "slowfast_r101_8x8_101_101_101": (62_826_968, 96.40, 125.91),
    "slowfast_r101_16x8": (53_774_808, 163.1, 213.0),
    "slowfast_nln_r101_16x8": (60_080_088, 183.0, 242.0),
    "slowfast_nln_r50_4x16": (41_838_680, 35.77, 47.91),
    "slowfast_nln_r50_8x8": (41_838_680, 72.23, 99.12),
    "c2d_r50": (24_327_632, 19.49, 25.46),
    "i3d_r50": (28_043_472, 28.41, 37.11),
    "slow_r50": (32_454_096, 41.74, 54.52),
    "slowfast_r50": (34_566_488, 50.31, 65.71),
    "slowfast_r101": (62_826_968, 96.40, 125.91),
    "slowfast_16x8_r101_50_50": (53_774_808, 163.1, 213.0),
}
DETECTORS = {
    "slow_r50_detection": 31_798_416,
    "slowfast_r50_detection": 33_828_888,
    "slow_r50_4x16_ava": 31_798_416,
    "slow_r50_8x8_ava": 31_798_416,
    "slowfast_r50_8x8_ava": 33_828_888,
    "slowfast_nln_r101_8x8_ava": 59_342_488,
    "slowfast_nln_r101_16x8_ava": 59_342_488,
}


def multiply_adds(model, size: int) -> int:
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
        model(torch.empty(1, 3, model.input.num_frames, size, size, device="meta"))
    return counter.get_total_flops() // 2


@pytest.mark.parametrize("name", PUBLISHED)
def test_classifiers_have_the_published_counts(name):
    params, at_224, at_256 = PUBLISHED[name]
    model = shapes_only(name)
    assert sum(p.numel() for p in model.parameters()) == params == zoo.entry(name).params
    assert multiply_adds(model, 224) == zoo.entry(name).macs == pytest.approx(at_224 * 1e9, rel=5e-3)
    assert multiply_adds(model, 256) == pytest.approx(at_256 * 1e9, rel=5e-3)


@pytest.mark.parametrize("name", DETECTORS)
def test_detectors_have_the_published_counts(name):
    assert sum(p.numel() for p in shapes_only(name).parameters()) == DETECTORS[name] == zoo.entry(name).params


def test_every_model_of_the_card_is_counted():
    ours = {n for n in zoo.list_models() if zoo.entry(n).system == "slowfast" and "_tiny" not in n}
    assert ours == PUBLISHED.keys() | DETECTORS.keys()


@pytest.mark.parametrize("name", ["slowfast_tiny", "slow_tiny", "i3d_tiny", "c2d_tiny"])
def test_laptop_models_have_the_counts_of_the_card(name):
    row, model = zoo.entry(name), shapes_only(name)
    assert sum(p.numel() for p in model.parameters()) == row.params
    assert multiply_adds(model, 32) == row.macs


def test_slow_is_widened_to_the_cost_of_slowfast():
    """The comparison of the paper is one of equal cost, or it says nothing."""
    slow, both = zoo.entry("slow_tiny").macs, zoo.entry("slowfast_tiny").macs
    assert both <= slow <= 1.05 * both
