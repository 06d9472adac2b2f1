"""The backbone of X3D: widths, depths, layouts, and the start of its weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from vidmodels.backbones import x3d
from vidmodels.backbones.x3d import X3D, Block, X3DConfig, round_width
from vidmodels.layers.squeeze_excite import SqueezeExcite

SMALL = X3DConfig(width_factor=1.0, depth_factor=1.0, base_depths=(1, 1, 1, 1))


@pytest.mark.parametrize(
    ("dim", "factor", "rounded"),
    [(12, 2.0, 24), (12, 2.9, 32), (48, 2.9, 136), (3, 1.0, 8), (432, 1 / 16, 32), (216, 1 / 16, 16), (108, 1 / 16, 8)],
)
def test_widths_are_multiples_of_8_not_far_below(dim, factor, rounded):
    """432 / 16 = 27 would be 24, which is below nine tenths of it."""
    assert round_width(dim, factor) == rounded


@pytest.mark.parametrize(
    ("config", "dims", "inner", "depths"),
    [
        (X3DConfig(), (24, 48, 96, 192), (54, 108, 216, 432), (3, 5, 11, 7)),
        (X3DConfig(depth_factor=5.0), (24, 48, 96, 192), (54, 108, 216, 432), (5, 10, 25, 15)),
        (X3DConfig(width_factor=2.9), (32, 72, 136, 280), (72, 162, 306, 630), (3, 5, 11, 7)),
        (X3DConfig(scale_res2=True, bottleneck_factor=1.0), (48, 96, 192, 384), (48, 96, 192, 384), (3, 5, 11, 7)),
        (X3DConfig(depth_factor=0.1 + 0.2), (24, 48, 96, 192), (54, 108, 216, 432), (1, 1, 2, 1)),
    ],
)
def test_factors(config, dims, inner, depths):
    assert (config.dims, config.inner, config.depths) == (dims, inner, depths)


@pytest.mark.parametrize("factor", [1.4, 2.2, 2.8, 3.6])
def test_depths_are_rounded_up_but_not_by_rounding_errors(factor):
    assert X3DConfig(depth_factor=factor).depths[2] == round(5 * factor)
    assert X3DConfig(depth_factor=factor + 1e-3).depths[2] == round(5 * factor) + 1


@torch.no_grad()
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last_3d], ids=["default", "channels last"])
def test_any_layout_and_form_of_a_clip_gives_the_same_map(layout):
    torch.manual_seed(0)
    model, clip = X3D(SMALL).eval(), torch.randn(1, 3, 2, 33, 47)
    (expected,) = model(clip)
    assert expected.shape == (1, *model.dims, 2, 2, 2)
    assert expected.is_contiguous(memory_format=torch.channels_last_3d)
    assert_close(model([clip.contiguous(memory_format=layout)])[0], expected, rtol=0, atol=0)
    assert_close(model.maps(clip)[0], expected, rtol=0, atol=0)


def test_start_of_the_weights():
    torch.manual_seed(0)
    model = X3D(X3DConfig())
    conv = model.res4[0].conv_a.weight  # fan-out: 216 channels
    assert conv.std().item() == pytest.approx((2 / 216) ** 0.5, rel=0.05)
    assert all(block.norm_c.weight.abs().max() == 0 for block in model.blocks())
    assert all(block.norm_a.weight.min() == 1 for block in model.blocks())
    squeezes = [part for part in model.modules() if isinstance(part, SqueezeExcite)]
    assert all(part.fc1.bias.abs().max() == part.fc2.bias.abs().max() == 0 for part in squeezes)


def test_shortcut_of_res2_without_a_norm():
    config = X3DConfig(res2_shortcut_norm=False)
    model = X3D(config)
    assert isinstance(model.res2[0].shortcut.norm, nn.Identity)
    assert isinstance(model.res3[0].shortcut.norm, nn.BatchNorm3d)
    assert model.res2[1].shortcut is None


@pytest.mark.parametrize("wide", [1, 6000, 12000])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("count", [1, 2])
def test_a_block_in_parts_of_a_few_frames_answers_as_a_whole(count, stride, wide, monkeypatch):
    torch.manual_seed(0)
    block = Block(8, 8, 18, stride, se=8).eval()
    torch.nn.init.normal_(block.norm_c.weight)
    x = torch.randn(count, 8, 7, 6, 5).contiguous(memory_format=torch.channels_last_3d)
    lengths = []
    widened = Block._widened
    monkeypatch.setattr(Block, "_widened", lambda self, x: lengths.append(x.shape[2]) or widened(self, x))
    with torch.no_grad():
        whole = block(x)
        monkeypatch.setattr(x3d, "WIDE", wide)
        parts = block(x)
    assert lengths[0] == 7
    assert len(lengths) > 2
    assert max(lengths[1:]) < 7
    assert_close(parts, whole, rtol=1e-4, atol=1e-5)
    assert parts.is_contiguous(memory_format=torch.channels_last_3d)
    lengths.clear()
    block(x)
    assert lengths == [7], "gradients would keep all parts"
