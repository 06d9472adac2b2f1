"""What the encoder sees and what it does not, where predictions lie, and counts."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from tests.backbones.mvit_parts import stirred
from vidmodels import zoo
from vidmodels.core.errors import ConfigError

COUNTED = [row for row in zoo.entries().values() if row.system == "maskfeat" and row.params]


@pytest.mark.parametrize("row", COUNTED, ids=lambda row: row.name)
def test_parameters_as_published(row):
    with torch.device("meta"):
        model = zoo.create_model(row.name)
    assert sum(p.numel() for p in model.parameters()) == row.params


def tiny(**changes):
    torch.manual_seed(0)
    return stirred(zoo.create_model("maskfeat_tiny_pretrain", **changes)).eval()


CLIPS = torch.randn(2, 3, 16, 32, 32, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def test_without_a_mask_the_encoder_sees_the_plain_tokens():
    model = tiny()
    nothing = torch.zeros(2, *model.mask_grid(CLIPS), dtype=torch.bool)
    plain = model.backbone(CLIPS)[:, 1:]
    (prediction,) = model(CLIPS, nothing)
    assert_close(prediction.flatten(1, 3), model.heads[0](plain))
    assert prediction.shape == (2, 4, 4, 4, 27)


@torch.no_grad()
def test_what_lies_inside_of_a_mask_is_not_seen():
    """Pixels more than the stem's reach (3) from the border of the masked cells, in frames that only masked steps see."""
    model = tiny()
    cells = torch.zeros(2, 4, 4, 4, dtype=torch.bool)
    cells[:, :, 1:3, 1:3] = True
    changed = CLIPS.clone()
    changed[:, :, :, 8 + 3 : 24 - 3, 8 + 3 : 24 - 3] += 5
    assert_close(model(changed, cells), model(CLIPS, cells))
    changed[:, :, :, 8 - 2, 8 - 2] += 5
    assert not torch.allclose(model(changed, cells)[0], model(CLIPS, cells)[0])


@torch.no_grad()
def test_the_mask_token_is_what_is_seen():
    model = tiny()
    cells = torch.ones(2, *model.mask_grid(CLIPS), dtype=torch.bool)
    assert_close(model(CLIPS, cells), model(torch.zeros_like(CLIPS), cells))


@torch.no_grad()
def test_several_depths_predict_on_their_own_grids():
    model = tiny(depths=(3, 5), q_strides=((1, 2, 2), (1, 2, 2)))
    cells = torch.zeros(2, *model.mask_grid(CLIPS), dtype=torch.bool)
    first, last = model(CLIPS, cells)
    assert first.shape == (2, 4, 4, 4, 27)
    assert last.shape == (2, 4, 2, 2, 108)


def test_the_last_stage_keeps_its_resolution_only_in_pre_training():
    pretrained, finetuned = (zoo.create_model(name) for name in ("maskfeat_tiny_pretrain", "maskfeat_tiny"))
    assert pretrained.backbone.config.stride == 8
    assert finetuned.backbone.config.stride == 16


def test_layers_of_layer_decay():
    model = tiny()
    ids = {name: model.layer_id(name) for name, _ in model.named_parameters()}
    assert ids["mask_token"] == ids["backbone.cls_token"] == ids["backbone.patch_embed.weight"] == 0
    assert ids["backbone.layers.0.norm1.weight"] == 1
    assert ids["heads.0.norm.weight"] == ids["heads.0.projection.weight"] == 7


@torch.no_grad()
def test_a_fine_tuned_head_begins_near_zero():
    model = zoo.create_model("maskfeat_tiny")
    assert model.head.projection.weight.abs().max() < 1e-3
    assert isinstance(model.head.norm, torch.nn.LayerNorm)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"depths": (9,)}, r"depths \(9,\) must rise and lie between 0 and 5"),
        ({"depths": (0,)}, "tokens of 4 pixels are not whole cells of 8"),
        ({"target": "code"}, "target 'code' needs the number of values that its teacher gives"),
    ],
)
def test_impossible_settings(changes, words):
    with pytest.raises(ConfigError, match=words):
        zoo.create_model("maskfeat_tiny_pretrain", **changes)


def test_clips_that_are_not_whole_cells():
    with pytest.raises(ConfigError, match="36 x 32 pixels are not whole cells of 8"):
        tiny().mask_grid(torch.zeros(1, 3, 16, 36, 32))
