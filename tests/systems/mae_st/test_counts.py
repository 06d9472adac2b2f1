"""Parameters and multiply-adds of all models, against published figures."""

from __future__ import annotations

import functools

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from tests.systems.mae_st.parts import shapes_only
from vidmodels import zoo
from vidmodels.systems.mae_st.model import MaskedAutoencoder

NAMES = [name for name in zoo.list_models() if zoo.entry(name).system == "mae_st"]

# measured on the reference implementations (PySlowFast's decoder has joint positions); None: never measured
PARAMETERS = {
    "mae_st_vit_b_pretrain": 99_898_880,
    "mae_st_vit_l_pretrain": 317_731_584,
    "mae_st_vit_b_pretrain_pyslowfast": 100_596_736,
    "mae_st_vit_l_pretrain_pyslowfast": 318_429_440,
    "mae_st_vit_h_pretrain_pyslowfast": 646_375_936,
    "mae_st_vit_b": 86_702_224,
    "mae_st_vit_l": 304_506_256,
    "mae_st_vit_h": 632_424_080,
}
KEPT = 156  # of 1568 tokens at 90 %


@functools.cache
def model_of(name: str, **changes):
    return shapes_only(name, **changes)


def parameters(model) -> int:
    return sum(p.numel() for p in model.parameters())


def multiply_adds(model, ratio: float = 0.9) -> int:
    """Of matrix products and convolutions in one forward pass on one clip."""
    take = model.input
    clip = torch.empty(1, 3, take.num_frames, take.size, take.size, device="meta")
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
        if isinstance(model, MaskedAutoencoder):
            t, h, w = model.encoder.config.grid
            model(clip, ratio, noise=torch.empty(1, t * h * w, device="meta"))
        else:
            model(clip)
    return counter.get_total_flops() // 2


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_are_the_published_ones(name):
    assert parameters(model_of(name)) == PARAMETERS[name]


def test_huge_with_patch_14_has_the_parameters_of_the_single_purpose_code():
    assert parameters(model_of("mae_st_vit_h_pretrain", patch=(2, 14, 14))) == 645_232_460


@pytest.mark.parametrize("name", NAMES)
def test_card_says_what_the_model_has(name):
    row, model = zoo.entry(name), model_of(name)
    assert row.params == parameters(model)
    assert row.macs == multiply_adds(model)


@pytest.mark.parametrize(("name", "published"), [("mae_st_vit_b", 180.5), ("mae_st_vit_l", 597.3), ("mae_st_vit_h", 1191.9)])
def test_fine_tuning_multiply_adds(name, published):
    assert multiply_adds(model_of(name)) / 1e9 == pytest.approx(published, rel=1e-3)


def test_difference_to_the_published_count_is_normalisation():
    """The reference's counter gives 180,632,854,160 for B: it counts 5 for each value that a LayerNorm sees, too."""
    norms = 5 * (24 * 1569 * 768 + 768)
    ours = multiply_adds(model_of("mae_st_vit_b"))
    assert ours / 180_632_854_160 == pytest.approx(1, rel=1e-3)
    assert (ours + norms) / 180_632_854_160 == pytest.approx(1, rel=1e-5)


def test_pretraining_multiply_adds():
    """The published 81.69 G embed the dropped patches too, which we do not."""
    skipped = (1568 - KEPT) * 2 * 16 * 16 * 3 * 1024
    ours = multiply_adds(model_of("mae_st_vit_l_pretrain"))
    assert (ours + skipped) / 81_691_860_552 == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize(("ratio", "encoder", "decoder"), [(0.9, 51.1, 30.5), (0.75, 128.7, 30.6), (0.5, 269.8, 30.9)])
def test_pretraining_multiply_adds_by_ratio(ratio, encoder, decoder):
    kept = int(1568 * (1 - ratio))
    ours = multiply_adds(model_of("mae_st_vit_l_pretrain"), ratio)
    assert (ours + (1568 - kept) * 1536 * 1024) / 1e9 == pytest.approx(encoder + decoder, rel=1e-3)


def test_sparse_encoding_is_7_times_less_than_dense():
    """Dense: all tokens through the encoder, as when mask tokens stand for the dropped ones (published ratio 7.7)."""
    model = model_of("mae_st_vit_l_pretrain")
    dense, sparse = multiply_adds(model, 0.0), multiply_adds(model, 0.9)
    skipped = (1568 - KEPT) * 1536 * 1024
    assert dense / (sparse + skipped) == pytest.approx(7.7, abs=0.06)
    assert dense / sparse == pytest.approx(7.9, abs=0.06)
