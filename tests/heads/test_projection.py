"""The last layer of several label sets: its names, its answers, and every head and family that has one."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from vidmodels import zoo
from vidmodels.core.errors import ConfigError
from vidmodels.heads.clip import ClipHead, mean_over_positions
from vidmodels.heads.projection import Projections, make_projection

SIZES = {"verb": 2, "noun": 3}
TINY = ("slowfast_tiny", "x3d_tiny", "mvit_tiny", "mae_st_vit_tiny", "avslowfast_tiny", "r2plus1d_tiny")


def test_logits_stand_side_by_side():
    projection = make_projection(4, SIZES)
    assert set(projection.state_dict()) == {"noun.weight", "noun.bias", "verb.weight", "verb.bias"}
    x = torch.randn(5, 4)
    assert_close(projection(x), torch.cat([projection["noun"](x), projection["verb"](x)], 1))
    assert (projection.in_features, make_projection(4, 3).in_features) == (4, 4)


def test_each_set_has_its_own_mean_over_positions():
    """On crops larger than trained the scores of each set are averaged, not those of all classes together."""
    head = ClipHead([4], SIZES, window=1).eval()
    for layer in head.projection.values():
        torch.nn.init.normal_(layer.weight)
    maps = [torch.randn(2, 4, 1, 2, 2)]
    each = head.projection(head.positions(maps))
    for part in (slice(0, 3), slice(3, 5)):
        assert_close(head(maps)[:, part].softmax(-1), each[..., part].softmax(-1).mean(1))
    logits = torch.randn(2, 3, 5)
    assert_close(mean_over_positions(logits, "softmax", "scores", True, {"noun": 3, "verb": 2}), logits.mean(1))


@pytest.mark.parametrize("name", TINY)
def test_all_families_have_it_and_keep_it_in_their_files(name, tmp_path):
    torch.manual_seed(0)
    model = zoo.create_model(name, num_classes=SIZES).eval()
    spec = model.input
    clips = torch.randn(2, 3, spec.num_frames, spec.size, spec.size)
    logits = model(clips)
    assert (logits.shape, model.num_classes, model.label_sets) == ((2, 5), 5, {"noun": 3, "verb": 2})
    again, about = zoo.load_model(zoo.save_weights(model, tmp_path / "two.safetensors"))
    assert about["settings"]["num_classes"] == SIZES
    assert torch.equal(again.eval()(clips), logits)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"a.b": 2}, "a label set cannot be called 'a.b'"),
        ({"forward": 2}, "a label set cannot be called 'forward', a word of PyTorch's modules: choose another name"),
        ({"verb": 0}, "leaves nothing to tell apart: give each label set one class or more"),
        ({}, r"num_classes \{\} leaves nothing to tell apart"),
    ],
)
def test_bad_sets(sizes, message):
    with pytest.raises(ConfigError, match=message):
        zoo.create_model("slow_tiny", num_classes=sizes)


def test_detectors_have_one_set():
    with pytest.raises(ConfigError, match="a detector of actions has one set of classes, not verb, noun: give their number"):
        zoo.create_model("slowfast_tiny_detector", num_classes=SIZES)


def test_layers_begin_as_those_of_one_set():
    torch.manual_seed(0)
    many = ClipHead([512], {"verb": 400, "noun": 400}).projection
    assert isinstance(many, Projections)
    for layer in many.values():
        assert layer.weight.std().item() == pytest.approx(0.01, rel=0.02)
        assert not layer.bias.any()
