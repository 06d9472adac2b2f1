"""Parameters and multiply-adds of all models, against published figures."""

from __future__ import annotations

import functools
from typing import Any

import pytest
import torch

from tests.backbones.mvit_parts import meta_model, multiply_adds, norm_operations
from vidmodels import zoo
from vidmodels.systems.mvitv2.card import ENTRIES

NAMES = [entry.name for entry in ENTRIES]
# measured on the reference implementations
PARAMETERS = {
    "mvitv2_t": 24_173_320,
    "mvitv2_s": 34_870_216,
    "mvitv2_b": 51_472_744,
    "mvitv2_l": 217_992_952,
    "mvitv2_h": 666_879_720,
    "mvitv2_s_16x4": 34_537_744,
    "mvitv2_b_32x3": 51_230_128,
    "mvitv2_l_40x3": 213_303_424,
    "mvitv2_l_40x3_312": 213_390_112,
    "mvitv2_s_16x4_ava": 34_291_664,
}
SSV2 = {"mvitv2_s_16x4": 34_363_950, "mvitv2_b_32x3": 51_056_334, "mvitv2_l_40x3_312": 213_129_534}
AVA_MILLIONS = {"mvitv2_s_16x4_ava": 34.3, "mvitv2_b_32x3_ava": 51.0, "mvitv2_l_40x3_312_ava": 213.0}
MULTIPLY_ADDS = {
    "mvitv2_b": 10.1, "mvitv2_l": 43.7, "mvitv2_h": 119.6, "mvitv2_s_16x4": 64.2, "mvitv2_b_32x3": 224.5,
    "mvitv2_l_40x3": 1086, "mvitv2_l_40x3_312": 2823,
}  # fmt: skip

# of image models, whose published tables count norms too
WITH_NORMS = {"mvitv2_t": 4.70, "mvitv2_s": 7.00}


@functools.cache
def model_of(name: str, **changes: Any) -> Any:
    return meta_model(name, **changes)


def parameters(model: torch.nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_are_the_published_ones(name):
    assert parameters(model_of(name)) == PARAMETERS[name]


@pytest.mark.parametrize("name", SSV2)
def test_classes_of_something_something(name):
    assert parameters(meta_model(name, num_classes=174)) == SSV2[name]


@pytest.mark.parametrize("name", AVA_MILLIONS)
def test_detectors_have_the_published_millions_and_a_map_of_32_pixels(name):
    model = model_of(name)
    assert round(parameters(model) / 1e6, 1) == AVA_MILLIONS[name]
    assert model.head.stride == 32


def test_the_map_of_the_tiny_detector_has_cells_of_16_pixels():
    model = model_of("mvitv2_tiny_detector")
    (found,) = model.backbone.maps(torch.empty(1, 3, 16, 64, 96, device="meta"))
    assert (model.head.stride, found.shape[3:]) == (16, (4, 6))


def test_l_that_grows_in_the_attention():
    model = meta_model("mvitv2_l", growth="attention")
    assert parameters(model) == 213_635_368
    assert multiply_adds(model) / 1e9 == pytest.approx(41.8, rel=5e-3)


@pytest.mark.parametrize("name", NAMES)
def test_card_says_what_the_model_has(name):
    row, model = zoo.entry(name), model_of(name)
    assert row.params == parameters(model)
    if row.task == "classify":
        assert row.macs == multiply_adds(model)


@pytest.mark.parametrize("name", MULTIPLY_ADDS)
def test_multiply_adds_are_the_published_ones(name):
    assert multiply_adds(model_of(name)) / 1e9 == pytest.approx(MULTIPLY_ADDS[name], rel=5e-3)


@pytest.mark.parametrize(
    ("name", "counted"),
    [("mvitv2_s_16x4", 64_456_924_584), ("mvitv2_t", 4_704_241_136), ("mvitv2_s", 7.00e9), ("mvitv2_b_32x3", 225.2e9)],
)
def test_difference_to_the_reference_s_count_is_normalisation(name, counted):
    """Its counter takes 5 for each value that a LayerNorm sees, too, and the tables' figures of image models hold them."""
    model = model_of(name)
    assert multiply_adds(model) / counted == pytest.approx(1, rel=6e-3)
    assert (multiply_adds(model) + norm_operations(model)) / counted == pytest.approx(1, rel=1e-3)
