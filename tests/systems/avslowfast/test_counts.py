"""Parameters and multiply-adds of AVSlowFast, against the figures measured on the two public codes."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tests.systems.mae_st.parts import shapes_only
from vidmodels import zoo

NAMES = [name for name in zoo.list_models() if zoo.entry(name).system == "avslowfast"]
# parameters, those needed at test, multiply-adds in G of one view at 224 and at 256 pixels, with its sound
PUBLISHED = {
    "avslowfast_r50_4x16": (44_203_320, 41_820_984, 31.40, 39.78),
    "avslowfast_r50_8x8": (44_547_384, 41_902_904, 53.80, 69.03),
}


def parameters(model) -> int:
    return sum(p.numel() for p in model.parameters())


def multiply_adds(model, size: int) -> int:
    take, counter = model.input, FlopCounterMode(display=False)
    clip = torch.empty(1, 3, take.num_frames, size, size, device="meta")
    sound = torch.empty(1, 1, take.audio.rows, take.audio.mels, device="meta")
    with torch.no_grad(), counter:
        model(clip, sound)
    return counter.get_total_flops() // 2


def of_the_last_comparison(model, size: int) -> int:
    """Multiply-adds of the lateral connections after res5, which the authors' code runs in every forward pass."""
    head, counter = model.sync["res5"], FlopCounterMode(display=False)
    fast = torch.empty(1, 256, 32, size // 32, size // 32, device="meta")
    with torch.no_grad(), counter:
        head.fast_to_slow(fast)
        head.audio_to_slow(torch.empty(1, 1024, 1, 16, 10, device="meta"))
    return counter.get_total_flops() // 2


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_counts(name):
    params, needed, at_224, at_256 = PUBLISHED[name]
    model = shapes_only(name)
    assert parameters(model) == params
    assert parameters(shapes_only(name, sync=())) == needed
    for size, published in ((224, at_224), (256, at_256)):
        whole = multiply_adds(model, size) + of_the_last_comparison(model, size)
        assert whole / 1e9 == pytest.approx(published, abs=0.005)
        assert multiply_adds(model, size) / 1e9 == pytest.approx(published, rel=0.008)


def test_pytorchvideo_s_counts():
    """Measured at 64 pixels."""
    model = shapes_only("avslowfast_r50_8x8_ptv")
    assert (parameters(model), multiply_adds(model, 64)) == (42_321_800, 7_035_188_224)


def test_r101_is_near_the_paper_s_figure():
    """The paper says 129 G at 256 pixels and not how many blocks of res4 have a temporal kernel: with all 23 it is 2 % more."""
    assert multiply_adds(shapes_only("avslowfast_r101_8x8"), 256) / 1e9 == pytest.approx(129, rel=0.025)


@pytest.mark.parametrize("name", NAMES)
def test_the_card_says_what_the_model_has(name):
    row, model = zoo.entry(name), shapes_only(name)
    assert (row.params, row.macs) == (parameters(model), multiply_adds(model, row.input.size))
