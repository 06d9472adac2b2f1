"""Parameters and multiply-adds of all models, against published figures."""

from __future__ import annotations

import functools
from typing import Any

import pytest
import torch

from tests.backbones.mvit_parts import meta_model, multiply_adds, norm_operations
from vidmodels import zoo
from vidmodels.systems.mvit.card import ENTRIES

NAMES = [entry.name for entry in ENTRIES]
# measured on the reference implementation
PARAMETERS = {
    "mvit_b_16x4": 36_610_672,
    "mvit_b_32x3": 36_611_440,
    "mvit_b_64x3": 36_612_976,
    "mvit_b24_32x3": 53_172_880,
    "mvit_b_16_image": 36_982_600,
    "mvit_b_24_image": 53_516_392,
    "mvit_b_24_wide_320_image": 72_961_832,
}
AVA_MILLIONS = {"mvit_b_16x4_ava": 36.4, "mvit_b_64x3_ava": 36.4, "mvit_b24_32x3_ava": 52.9}
MULTIPLY_ADDS = {
    "mvit_b_16x4": 70.6, "mvit_b_32x3": 170.0, "mvit_b_64x3": 455.1, "mvit_b24_32x3": 236.2, "mvit_b_16_image": 7.8,
    "mvit_b_24_image": 10.9, "mvit_b_24_wide_320_image": 32.7,
}  # fmt: skip


@functools.cache
def model_of(name: str, **changes: Any) -> Any:
    return meta_model(name, **changes)


def parameters(model: torch.nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_are_the_published_ones(name):
    assert parameters(model_of(name)) == PARAMETERS[name]


@pytest.mark.parametrize("name", AVA_MILLIONS)
def test_detectors_have_the_published_millions_and_a_map_of_32_pixels(name):
    model = model_of(name)
    assert round(parameters(model) / 1e6, 1) == AVA_MILLIONS[name]
    assert model.head.stride == 32


def test_classes_of_kinetics_600():
    assert parameters(meta_model("mvit_b24_32x3", num_classes=600)) == 53_326_680


def test_the_file_that_is_named_b_32x3_describes_24_blocks_with_kernels_by_the_rule():
    assert parameters(meta_model("mvit_b24_32x3", pool_kernel=None)) == pytest.approx(53.1e6, rel=2e-3)


@pytest.mark.parametrize("name", NAMES)
def test_card_says_what_the_model_has(name):
    row, model = zoo.entry(name), model_of(name)
    assert row.params == parameters(model)
    if row.task == "classify":
        assert row.macs == multiply_adds(model)


@pytest.mark.parametrize("name", MULTIPLY_ADDS)
def test_multiply_adds_are_the_published_ones(name):
    assert multiply_adds(model_of(name)) / 1e9 == pytest.approx(MULTIPLY_ADDS[name], rel=5e-3)


@pytest.mark.parametrize(("name", "counted"), [("mvit_b_16x4", 70_803_884_928), ("mvit_b_16_image", 7_844_466_816)])
def test_difference_to_the_reference_s_count_is_normalisation(name, counted):
    """Its counter takes 5 for each value that a LayerNorm sees, too."""
    model = model_of(name)
    assert multiply_adds(model) / counted == pytest.approx(1, rel=5e-3)
    assert (multiply_adds(model) + norm_operations(model)) / counted == pytest.approx(1, rel=1e-4)


@pytest.mark.parametrize("name", ["mae_st_vit_tiny_narrow", "mae_st_vit_tiny_8x4x4_narrow"])
def test_plain_transformers_to_compare_with_cost_as_much(name):
    assert zoo.entry(name).macs == pytest.approx(zoo.entry("mvit_tiny").macs, rel=0.02)
