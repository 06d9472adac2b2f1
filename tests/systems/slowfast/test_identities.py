"""What must hold for the networks of the SlowFast family, whatever their weights."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from tests.systems.slowfast.parts import clips, tiny
from vidmodels.backbones.slowfast import slow_frames
from vidmodels.core.errors import ConfigError
from vidmodels.zoo import create_model


def test_slow_takes_frames_from_the_first_to_the_last():
    assert slow_frames(32, 4).tolist() == [0, 4, 8, 13, 17, 22, 26, 31]
    assert slow_frames(64, 4).tolist()[-1] == 63
    assert slow_frames(32, 8).tolist() == [0, 10, 20, 31]


@torch.no_grad()
def test_fast_s_frames_alone_are_enough():
    model, fast = tiny("slowfast_r50_8x8"), clips(frames=16)
    both = [fast[:, :, slow_frames(16, 4)], fast]
    assert_close(model(fast), model(both), rtol=0, atol=0)
    assert_close(model([fast]), model(both), rtol=0, atol=0)
    one = tiny("slow_r50_8x8")
    assert_close(one(fast), one([fast]), rtol=0, atol=0)


@torch.no_grad()
@pytest.mark.parametrize("name", ["slow_r50_8x8", "slowfast_r50_8x8", "i3d_r50_8x8"])
def test_a_larger_crop_gives_the_mean_of_the_scores_of_its_positions(name):
    """Trained at 64 pixels (a 2 x 2 map), tested at 96: 2 x 2 positions."""
    model = tiny(name)
    video = clips(frames=16, size=96)
    each = model.head.projection(model.head.positions(model.backbone(video)))
    assert each.shape[1] == 4
    assert_close(model(video).softmax(1), each.softmax(-1).mean(1))
    logits = tiny(name, average="logits")
    assert_close(logits(video), each.mean(1))
    assert not torch.allclose(model(video).softmax(1), each.mean(1).softmax(1), atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize(("frames", "size"), [(16, 64), (24, 48), (8, 33), (40, 100)])
def test_any_clip_is_taken(frames, size):
    for name in ("slowfast_r50_8x8", "c2d_r50_8x8"):
        assert torch.isfinite(tiny(name)(clips(1, frames, size))).all()


@torch.no_grad()
def test_c2d_is_blind_to_the_order_of_frames_and_slow_is_not():
    """C2D has no kernel over time: its pooling sees pairs of frames, whose order does not matter either."""
    video = clips(frames=8)
    c2d, slow = tiny("c2d_r50_8x8"), tiny("slow_r50_8x8")
    assert_close(c2d(video.flip(2)), c2d(video), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(slow(video.flip(2)), slow(video), atol=1e-3)


@torch.no_grad()
def test_fresh_blocks_are_identities():
    """The last norm of each residual function starts at 0, so a block is ReLU(shortcut), and a non-local block nothing."""
    model = create_model("slow_nln_r50_8x8", width=8, num_classes=5).eval()
    x = torch.rand(1, 32, 4, 8, 8)
    assert_close(model.backbone.res2.blocks[1](x), x, rtol=0, atol=0)
    y = torch.rand(1, 64, 4, 8, 8)
    assert_close(model.backbone.res3.non_local["1"](y), y, rtol=0, atol=0)


@torch.no_grad()
@pytest.mark.parametrize("affinity", ["softmax", "dot_product"])
def test_a_group_of_a_non_local_block_sees_itself_only(affinity):
    whole = tiny("slow_r50_8x8", non_local_after=((), (1,), (), ()), non_local_group=2, non_local_affinity=affinity)
    block = whole.backbone.res3.non_local["1"]
    x = torch.randn(2, 64, 6, 4, 4)
    first = block(x)[:, :, :3]
    changed = x.clone()
    changed[:, :, 3:] = 0
    assert_close(block(changed)[:, :, :3], first)


def test_detection_keeps_the_grid_at_a_sixteenth():
    model = tiny("slowfast_r50_8x8_ava")
    slow, fast = model.backbone(clips(1, 8, 64))
    assert slow.shape[2:] == (2, 4, 4)
    assert fast.shape[2:] == (8, 4, 4)
    boxes = torch.tensor([[0, 0.0, 0.0, 63.0, 63.0], [0, 10.0, 10.0, 30.0, 40.0]])
    assert model(clips(1, 8, 64), boxes).shape == (2, 5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"depth": 34}, "there is no ResNet of depth 34: choose one of 18, 50, 101, 152"),
        ({"depth": (1, 2)}, r"depth \(1, 2\) must name the blocks of four stages"),
        ({"num_frames": 30}, "num_frames 30 is not a multiple of alpha 4"),
        ({"arch": "slow"}, "slowfast_r50_8x8 has no setting 'arch'"),
    ],
)
def test_settings_that_cannot_be(settings, message):
    with pytest.raises(ConfigError, match=message):
        create_model("slowfast_r50_8x8", **settings)


def test_an_unknown_architecture():
    with pytest.raises(ConfigError, match=r"there is no architecture 'i3'.*i3d"):
        create_model("slow_r50_8x8", arch="i3")
