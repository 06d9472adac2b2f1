"""Parameters and multiply-adds of channel-separated and R(2+1)D networks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tests.systems.mae_st.parts import shapes_only
from vidmodels import zoo

CASES = Path(__file__).parents[2] / "conformance" / "cases" / "pytorchvideo"
NAMES = ("csn_r101", "r2plus1d_r50", "csn_tiny", "r2plus1d_tiny")
PUBLISHED = {"csn_r101": (22_213_776, 75.62), "r2plus1d_r50": (28_107_600, 76.45)}  # parameters, G at 256 pixels


def multiply_adds(model, size: int, frames: int = 0) -> int:
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        model(torch.empty(1, 3, frames or model.input.num_frames, size, size, device="meta"))
    return counter.get_total_flops() // 2


@pytest.mark.parametrize("name", NAMES)
def test_card_says_what_the_model_has(name):
    row, model = zoo.entry(name), shapes_only(name)
    assert row.params == sum(p.numel() for p in model.parameters())
    assert row.macs == multiply_adds(model, row.input.size)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_counts(name):
    """The published multiply-adds are of 256 pixels and count element-wise work, 1 to 3 % more."""
    params, giga = PUBLISHED[name]
    model = shapes_only(name)
    assert sum(p.numel() for p in model.parameters()) == params
    assert 1.0 < giga * 1e9 / multiply_adds(model, 256) < 1.03


@pytest.mark.parametrize("name", PUBLISHED)
def test_multiply_adds_of_the_reference(name):
    """Counted on the reference for the clips of the conformance cases."""
    case = json.loads((CASES / name / "case.json").read_text())
    _, _, frames, size, _ = case["inputs"]["clip"]["shape"]
    assert multiply_adds(shapes_only(name, size=size), size, frames) == case["flops"]


@pytest.mark.parametrize(("depth", "params"), [(50, 13_131_152), (101, 22_213_776), (152, 29_703_568)])
def test_depths_of_csn(depth, params):
    assert sum(p.numel() for p in shapes_only("csn_r101", depth=depth).parameters()) == params
