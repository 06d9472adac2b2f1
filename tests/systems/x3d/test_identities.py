"""What X3D must do whatever its weights are, and what its settings refuse."""

from __future__ import annotations

import time

import pytest
import torch
from torch.testing import assert_close

from tests.systems.x3d.parts import clips, stirred, tiny
from vidmodels import zoo
from vidmodels.core.errors import ConfigError
from vidmodels.systems.x3d import recipes
from vidmodels.systems.x3d.builders import x3d


@torch.no_grad()
def test_a_larger_crop_gives_the_mean_of_its_positions_scores():
    model = tiny()
    maps = model.backbone(clips(size=96))
    windows = [model.head([maps[0][..., y : y + 2, x : x + 2]]).softmax(-1) for y in (0, 1) for x in (0, 1)]
    assert_close(model(clips(size=96)).softmax(-1), torch.stack(windows).mean(0))


@torch.no_grad()
def test_a_smaller_crop_is_pooled_whole():
    whole, windowed = tiny(size=None), tiny()
    whole.load_state_dict(windowed.state_dict())
    assert_close(windowed(clips(size=32)), whole(clips(size=32)), rtol=0, atol=0)


@torch.no_grad()
def test_a_fresh_block_is_its_shortcut():
    """The last norm of each residual function starts at 0."""
    model = zoo.create_model("x3d_m", num_classes=3).eval()
    x = torch.rand(1, 24, 2, 8, 8)
    assert_close(model.backbone.res2[1](x), x, rtol=0, atol=0)
    assert_close(model.backbone.res2[0](x), model.backbone.res2[0].shortcut(x).relu(), rtol=0, atol=0)


@torch.no_grad()
@pytest.mark.parametrize(("name", "strides"), [("x3d_m", (2, 4, 8, 16, 32)), ("x3d_m_ava", (2, 4, 8, 16, 16))])
def test_frames_stay_and_the_grid_shrinks(name, strides):
    model = tiny(name)
    x = clips(1, 3, 64).contiguous(memory_format=torch.channels_last_3d)
    for part, stride in zip([model.backbone.stem, *model.backbone.stages], strides):
        x = part(x)
        assert x.shape[2:] == (3, 64 // stride, 64 // stride)


@torch.no_grad()
def test_squeezing_stands_in_every_second_block():
    blocks = tiny(base_depths=(1, 2, 5, 3)).backbone.stages
    squeezes = [[hasattr(block.se, "fc1") for block in stage] for stage in blocks]
    assert squeezes == [[True], [True, False], [True, False, True, False, True], [True, False, True]]


@torch.no_grad()
def test_a_detector_sees_each_box_by_itself():
    model = tiny("x3d_m_ava")
    video = clips(2, 4, 64)
    boxes = torch.tensor([[0, 2.0, 3.0, 40.0, 50.0], [1, 10.0, 5.0, 60.0, 60.0], [0, 30.0, 30.0, 62.0, 63.0]])
    together = model(video, boxes)
    assert together.shape == (3, 5)
    assert model.features(video, boxes).shape == (3, 32)
    for row, box in enumerate(boxes):
        alone = model(video[int(box[0])][None], box[None] * torch.tensor([0, 1, 1, 1, 1]))
        assert_close(alone[0], together[row], rtol=1e-4, atol=1e-5)
    assert (together[0] - together[2]).abs().max() > 1e-3


def test_parts_are_numbered_from_stem_to_head():
    model = tiny()
    layers = {name: model.layer_id(name) for name, _ in model.named_parameters()}
    assert {layers[name] for name in layers if name.startswith("backbone.stem")} == {0}
    assert {layers[name] for name in layers if name.startswith("backbone.res5")} == {4}
    assert {layers[name] for name in layers if name.startswith("head")} == {5}
    assert len(model.blocks()) == sum(model.backbone.config.depths)


def test_stochastic_depth_drops_in_training_only():
    model = tiny(drop_path=0.9)
    x = clips(4)
    assert_close(model(x), model(x), rtol=0, atol=0)
    model.train()
    torch.manual_seed(0)
    first = model(x)
    assert not torch.equal(first, model(x))


def test_an_exported_model_answers_the_same():
    model = tiny()
    program = torch.export.export(model, (clips(1),))
    with torch.no_grad():
        assert_close(program.module()(clips(1)), model(clips(1)), rtol=1e-4, atol=1e-5)


def test_gradients_reach_every_parameter():
    model = stirred(tiny()).train()
    model(clips()).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in model.parameters())


@pytest.mark.slow
def test_xs_learns_sixteen_clips_by_heart_in_a_minute():
    torch.manual_seed(0)
    model = x3d(4, 64, num_classes=10, dropout=0.0).train()
    video, labels = clips(16, 4, 64), torch.arange(16) % 10
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    start = time.process_time()
    for _ in range(40):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(video), labels)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05
    assert time.process_time() - start < 60


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_frames": 0}, "^num_frames 0 must be 1 or more$"),
        ({"width_factor": 0}, "^width_factor 0 must be greater than 0$"),
        ({"base_depths": (1, 2, 5)}, r"^base_depths \(1, 2, 5\) must have one number for each of the four stages$"),
        ({"detection": True, "lin_norm": True}, "^lin_norm is not offered with detection: leave one of them out$"),
        ({"widht_factor": 2.0}, "x3d_m has no setting 'widht_factor'"),
    ],
)
def test_settings_that_cannot_be(settings, message):
    with pytest.raises(ConfigError, match=message):
        zoo.create_model("x3d_m", **settings)


def test_recipes_are_the_published_ones():
    small, large = recipes.x3d_s_k400(), recipes.x3d_l_k400()
    assert small.optim.lr / (small.optim.lr_batch or 1) == large.optim.lr / (large.optim.lr_batch or 1) == 0.1 / 128
    assert (small.schedule.epochs, large.schedule.epochs) == (300, 256)
    assert (small.optim.weight_decay, small.model.dropout, small.train.precise_bn) == (5e-5, 0.5, 200)
    for recipe in (small, large, recipes.x3d_xs_k400(), recipes.x3d_m_k400()):
        size = zoo.entry(recipe.model.name).input.view_size
        assert (recipe.evaluation.num_clips, recipe.evaluation.num_crops, recipe.evaluation.size) == (10, 3, size)
        assert recipe.data.clip.short_side[0] == size
