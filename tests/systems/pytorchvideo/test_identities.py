"""What must hold for channel-separated and R(2+1)D networks, whatever their weights."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from tests.systems.mae_st.parts import shapes_only
from tests.systems.pytorchvideo.parts import NAMES, TINY, clips, tiny
from vidmodels.core.errors import ConfigError
from vidmodels.zoo import create_model


@pytest.mark.parametrize(("name", "frames"), [("csn_r101", 32), ("r2plus1d_r50", 16)])
def test_maps_are_those_that_the_published_heads_pool(name, frames):
    """4 steps of 7 x 7 cells from a training crop of 224 pixels, 8 x 8 from a test crop of 256."""
    model = shapes_only(name)
    assert model.head.window == 7
    for size, cells in ((224, 7), (256, 8)):
        (last,) = model.backbone(torch.empty(1, 3, frames, size, size, device="meta"))
        assert last.shape == (1, 2048, 4, cells, cells)


@torch.no_grad()
def test_only_1x1x1_convolutions_mix_channels_in_csn():
    model = tiny("csn_r101")
    mixing = [part for part in model.modules() if isinstance(part, torch.nn.Conv3d) and part.groups == 1]
    assert {tuple(part.kernel_size) for part in mixing} == {(3, 7, 7), (1, 1, 1)}
    block = model.backbone.res3.blocks[0]
    x = torch.randn(1, block.conv_b.in_channels, 4, 8, 8)
    changed = x.clone()
    changed[:, 3] += 1
    differs = (block.conv_b(x) != block.conv_b(changed)).flatten(2).any(2)[0]
    assert differs.nonzero().flatten().tolist() == [3]


@torch.no_grad()
def test_time_comes_before_space_in_r2plus1d():
    conv = tiny("r2plus1d_r50").backbone.res4.blocks[0].conv_b
    x = torch.randn(2, conv.conv_t.in_channels, 6, 8, 8)
    assert (conv.conv_t.kernel_size, conv.conv_t.stride) == ((3, 1, 1), (2, 1, 1))
    assert (conv.conv_xy.kernel_size, conv.conv_xy.stride) == ((1, 3, 3), (1, 2, 2))
    assert_close(conv(x), conv.conv_xy(torch.relu(conv.norm(conv.conv_t(x)))))


@torch.no_grad()
def test_a_larger_crop_gives_the_mean_of_its_positions():
    """Of scores in R(2+1)D, of logits in CSN: trained at 64 pixels (a 2 x 2 map), tested at 96."""
    video = clips(size=96)
    for name in NAMES:
        model = tiny(name)
        each = model.head.projection(model.head.positions(model.backbone(video)))
        assert each.shape[1] == 4
        if name == "csn_r101":
            assert_close(model(video), each.mean(1))
        else:
            assert_close(model(video).softmax(1), each.softmax(-1).mean(1))
            assert not torch.allclose(model(video).softmax(1), each.mean(1).softmax(1), atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_the_order_of_frames_matters(name):
    model, video = tiny(name), clips()
    assert not torch.allclose(model(video.flip(2)), model(video), atol=1e-3)


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_any_clip_is_taken_in_either_memory_layout(name):
    model = tiny(name)
    for frames, size in ((8, 64), (5, 48), (16, 100)):
        video = clips(1, frames, size)
        logits = model(video)
        assert logits.shape == (1, 5)
        assert torch.isfinite(logits).all()
        layout = model.backbone.memory_format
        assert_close(tiny(name).to(memory_format=layout)(video.to(memory_format=layout)), logits, rtol=1e-4, atol=1e-5)
    assert model.features(clips()).shape == (2, 256)


@pytest.mark.parametrize("name", NAMES)
def test_all_parameters_learn_and_have_a_layer(name):
    model = tiny(name, drop_path=0.2).train()
    torch.manual_seed(0)
    model(clips()).square().mean().backward()
    layers = {}
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert torch.isfinite(parameter.grad).all()
        layers[key] = model.layer_id(key)
    assert layers["backbone.stem.conv.weight"] == 0
    assert layers["head.projection.weight"] == model.backbone.num_layers == 5
    assert sorted(set(layers.values())) == [0, 1, 2, 3, 4, 5]
    assert len(model.blocks()) == 5


def test_blocks_begin_as_the_identity_unless_told_otherwise():
    assert all(not block.norm_c.weight.any() for block in create_model("csn_tiny", identity_start=True).blocks())
    assert all((block.norm_c.weight == 1).all() for block in create_model("csn_tiny").blocks())
    assert all(not block.norm_c.weight.any() for block in create_model("r2plus1d_r50", **TINY).blocks())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"depth": 34}, "there is no ResNet of depth 34"),
        ({"depth": (1, 2)}, r"depth \(1, 2\) must name the blocks of four stages"),
        ({"strides": ((1, 1, 1), (2, 2, 2))}, "must name .time, height, width. of four stages"),
        ({"dept": 50}, "no setting 'dept' .did you mean 'depth'"),
    ],
)
@pytest.mark.parametrize("name", NAMES)
def test_impossible_settings(name, settings, message):
    with pytest.raises(ConfigError, match=message):
        create_model(name, **settings)
