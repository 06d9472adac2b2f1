"""Published and own files of MViT: all layouts load, and the report says what happened."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn
from torch.testing import assert_close
from torchvision.models.video.mvit import MSBlockConfig
from torchvision.models.video.mvit import MViT as TorchvisionMViT

from tests.backbones.mvit_parts import clips, clips_of, pytorchvideo, separate, settings_of, stirred, torchvision
from tests.backbones.mvit_plain import IMAGE, Shape, random_state, run
from vidmodels import zoo
from vidmodels.core.errors import ConfigError, WeightsError
from vidmodels.systems.mvit.weights import load, load_tensors

V1 = Shape()
LAYOUTS = {"PySlowFast": dict, "PySlowFast, separate": separate, "PyTorchVideo": pytorchvideo, "torchvision": torchvision}


def tiny(s: Shape = V1, seed: int = 0, **changes: Any) -> Any:
    torch.manual_seed(seed)
    return stirred(zoo.create_model("mvit_tiny", **{**settings_of(s), **changes}), seed)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"num_clases": 3}, "no setting 'num_clases' .did you mean 'num_classes'"),
        ({"dim": 33, "num_heads": 2}, "dim 33 is not a multiple of num_heads 2"),
        ({"growth": "both"}, "growth 'both' does not exist"),
    ],
)
def test_impossible_settings(setting, message):
    with pytest.raises(ConfigError, match=message):
        zoo.create_model("mvit_tiny", **setting)


@pytest.mark.parametrize("layout", LAYOUTS)
@torch.no_grad()
def test_published_files_answer_as_published(layout, tmp_path):
    state = random_state(V1)
    torch.save({"model_state": LAYOUTS[layout](state), "epoch": 3, "cfg": "MVIT:\n  DEPTH: 4"}, tmp_path / "checkpoint.pyth")
    model = tiny()
    report = zoo.load_weights(model, tmp_path / "checkpoint.pyth")
    assert report.format == layout.split(",")[0]
    assert (report.new, report.resized) == ([], {})
    assert set(report.loaded) == set(model.state_dict())
    assert all("_attention_pool_" in key for key in report.dropped)
    assert len(report.dropped) == (30 if layout == "PyTorchVideo" else 0)
    assert_close(model(clips()), run(state, V1, clips())["logits"], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("layout", LAYOUTS)
@torch.no_grad()
def test_layouts_give_equal_weights(layout):
    state = random_state(V1)
    one, other = tiny(seed=1), tiny(seed=2)
    load_tensors(one, state, "one")
    load_tensors(other, LAYOUTS[layout](state), "other")
    for key, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[key]), key


@torch.no_grad()
def test_a_model_of_torchvision():
    blocks = [
        MSBlockConfig(1, 8, 16, [], [3, 3, 3], [], [1, 4, 4]),
        MSBlockConfig(2, 16, 16, [3, 3, 3], [3, 3, 3], [1, 2, 2], [1, 2, 2]),
        MSBlockConfig(2, 16, 32, [], [3, 3, 3], [], [1, 2, 2]),
        MSBlockConfig(4, 32, 32, [3, 3, 3], [3, 3, 3], [1, 2, 2], [1, 1, 1]),
    ]  # fmt: skip
    theirs = TorchvisionMViT((32, 32), 4, blocks, False, False, False, False, num_classes=5, norm_layer=_norm)
    stirred(theirs)
    model = tiny()
    report = load_tensors(model, theirs.state_dict(), "torchvision")
    assert set(report.loaded) == set(model.state_dict())
    assert_close(model(clips()), theirs(clips()), rtol=1e-4, atol=1e-5)


_norm = partial(nn.LayerNorm, eps=1e-6)


@pytest.mark.parametrize(
    ("file", "model", "words"),
    [
        ({"depth": 5}, {}, "depth=5, this one has depth=4: pass depth=5 to create_model"),
        ({"dim": 16}, {}, "dim=16, this one has dim=8"),
        (
            {"depth": 5, "starts": (2, 4)}, {},
            "with depth=5, stage_starts=(2, 4), this one has depth=4, stage_starts=(1, 3): pass depth=5, stage_starts=(2, 4)",
        ),
        ({"starts": (2, 3)}, {}, "stage_starts=(2, 3), this one has stage_starts=(1, 3)"),
        ({"in_attention": True}, {}, "growth='attention', this one has growth='mlp': pass growth='attention'"),
        ({}, {"growth": "attention"}, "growth='mlp', this one has growth='attention'"),
        ({"mode": "max"}, {}, "pool_mode='max', this one has pool_mode='conv'"),
        ({}, {"pool_mode": "max"}, "pool_mode='conv', this one has pool_mode='max'"),
        ({"every_q": True}, {}, "pool_every_query=True"),
        ({"kernel": None}, {}, "pool_unstrided=False"),
        ({"kernel": (1, 3, 3)}, {}, "pool_kernel=(1, 3, 3), this one has pool_kernel=(3, 3, 3)"),
        ({"cls": False}, {}, "class_token=False, this one has class_token=True"),
        ({"positions": "joint"}, {}, "positions='joint', this one has positions='separable'"),
        ({"positions": "none"}, {}, "positions='none'"),
        ({"space": True}, {}, "relative_space=True"),
        ({"space": True, "time": True}, {"relative_space": True}, "relative_time=True"),
        ({"bias": False}, {}, "qkv_bias=False"),
    ],
)  # fmt: skip
def test_a_file_of_another_form_is_refused_with_the_setting_to_pass(file, model, words):
    made = tiny(**model)
    before = {key: value.clone() for key, value in made.state_dict().items()}
    with pytest.raises(WeightsError) as caught:
        load_tensors(made, random_state(replace(V1, **file)), "some/file.pyth")
    assert words in str(caught.value)
    assert str(caught.value).startswith("some/file.pyth was saved from a model with ")
    assert "\n" not in str(caught.value)
    assert all(torch.equal(value, before[key]) for key, value in made.state_dict().items())


@pytest.mark.parametrize(
    "s",
    [replace(V1, kernel=None), replace(V1, mode="max", kernel=None), replace(V1, in_attention=True), replace(V1, cls=False)],
)
@torch.no_grad()
def test_with_that_setting_the_file_loads(s):
    state, model = random_state(s), tiny(s)
    assert load_tensors(model, state, "file").new == []
    assert_close(model(clips()), run(state, s, clips())["logits"], rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_an_early_file_without_pools_in_the_last_stage():
    state = {key: value for key, value in random_state(V1).items() if not key.startswith(("blocks.3.attn.pool_k",
             "blocks.3.attn.pool_v", "blocks.3.attn.norm_k", "blocks.3.attn.norm_v"))}  # fmt: skip
    with pytest.raises(WeightsError, match="pass pool_unstrided=False to create_model"):
        load_tensors(tiny(), state, "early")
    model = tiny(pool_unstrided=False)
    assert load_tensors(model, state, "early").new == []
    assert model(clips()).shape == (2, 5)


def test_a_head_of_other_classes():
    state = random_state(V1)
    with pytest.raises(WeightsError) as caught:
        load_tensors(tiny(num_classes=7), state, "file.pyth")
    assert str(caught.value) == (
        "file.pyth has a head of 5 classes, the model one of 7: create the model with num_classes=5, or allow 'head.*' to "
        "begin with a new head"
    )
    model = tiny(num_classes=7)
    head = model.head.projection.weight.clone()
    report = load_tensors(model, state, "file.pyth", allow=("head.*",))
    assert sorted(report.new) == ["head.projection.bias", "head.projection.weight"]
    assert torch.equal(model.head.projection.weight, head)
    assert report.dropped["head.projection.weight"] == "shape (5, 32) in the file, (7, 32) in the model"
    assert "2 new" in str(report)


def test_detectors_start_from_classifiers(tmp_path):
    model = tiny(detection=True, num_classes=5)
    assert load_tensors(model, random_state(V1), "file").new == []
    boxes = torch.tensor([[0, 1.0, 2.0, 30.0, 31.0], [1, 0.0, 0.0, 16.0, 16.0], [1, 4.0, 4.0, 30.0, 30.0]])
    assert model(clips(), boxes).shape == (3, 5)
    other = tiny(detection=True, num_classes=80)
    assert "head.projection.weight" in load_tensors(other, random_state(V1), "file", allow=("head.*",)).new


@torch.no_grad()
def test_longer_clips_and_other_crops_are_reported_as_resized():
    state, model = random_state(V1), tiny(num_frames=8, size=48)
    report = load_tensors(model, state, "file")
    assert report.resized == {
        "backbone.pos.spatial": "(1, 64, 8) -> (1, 144, 8)",
        "backbone.pos.temporal": "(1, 2, 8) -> (1, 4, 8)",
    }
    line = nn.functional.interpolate(state["pos_embed_temporal"].transpose(1, 2), size=4, mode="linear")
    assert_close(model.backbone.pos.temporal.data, line.transpose(1, 2))
    image = state["pos_embed_spatial"].view(1, 8, 8, 8).permute(0, 3, 1, 2)
    image = nn.functional.interpolate(image, size=(12, 12), mode="bicubic").permute(0, 2, 3, 1).flatten(1, 2)
    assert_close(model.backbone.pos.spatial.data, image)
    # a model of the file's size takes the larger clips too, with the same tables resized as it runs
    native = tiny()
    load_tensors(native, state, "file")
    assert_close(native(clips(1, 8, 48, 48)), model(clips(1, 8, 48, 48)), rtol=1e-5, atol=1e-5)


def test_joint_tables_are_resized_with_the_class_position_as_it_is():
    s = replace(V1, positions="joint")
    state, model = random_state(s), tiny(s, size=48)
    report = load_tensors(model, state, "file")
    assert report.resized == {"backbone.pos.table": "(1, 129, 8) -> (1, 289, 8)"}
    assert torch.equal(model.state_dict()["backbone.pos.table"][:, :1], state["pos_embed"][:, :1])


@torch.no_grad()
def test_separable_tables_of_an_image_model_are_added_up():
    s = replace(IMAGE, positions="separable")
    state, model = random_state(s), tiny(IMAGE)
    report = load_tensors(model, pytorchvideo(state), "image")
    assert report.new == []
    assert_close(model(clips_of(IMAGE)), run(state, s, clips_of(IMAGE))["logits"], rtol=1e-5, atol=1e-5)


class TestVideoFromImages:
    @pytest.mark.parametrize("positions", ["joint", "separable"])
    @pytest.mark.parametrize("inflate", ["center", "repeat"])
    @torch.no_grad()
    def test_kernels_and_tables(self, positions, inflate, tmp_path):
        state, model = random_state(replace(IMAGE, positions=positions)), tiny()
        torch.save(state, tmp_path / "image.pth")
        report = load(model, tmp_path / "image.pth", inflate=inflate)
        assert report.new == []
        assert report.resized["backbone.patch_embed.weight"] == "(8, 3, 1, 7, 7) -> (8, 3, 3, 7, 7)"
        assert report.resized["backbone.layers.0.attn.pool_k.conv.weight"] == "(8, 1, 1, 3, 3) -> (8, 1, 3, 3, 3)"
        assert report.resized["backbone.pos.temporal"] == "nothing in a file of images -> (1, 2, 8) of zeros"
        kernel = model.backbone.patch_embed.weight
        image = state["patch_embed.proj.weight"]
        assert torch.equal(kernel[:, :, 1], image)
        assert torch.equal(kernel[:, :, 0], torch.zeros_like(image) if inflate == "center" else image)
        assert torch.equal(model.backbone.pos.temporal, torch.zeros(1, 2, 8))

    @torch.no_grad()
    def test_a_still_clip_is_embedded_like_its_picture(self):
        state, model, image = random_state(IMAGE), tiny(), tiny(IMAGE)
        load_tensors(model, state, "image")
        load_tensors(image, state, "image")
        x = clips_of(IMAGE)
        video, picture = model.backbone.embed(x.expand(-1, -1, 4, -1, -1))[0], image.backbone.embed(x)[0]
        assert_close(video[:, 1:].unflatten(1, (2, 64)), picture[:, 1:].unsqueeze(1).expand(-1, 2, -1, -1))
        assert_close(video[:, 0], picture[:, 0])


@pytest.mark.parametrize(
    ("damage", "names"),
    [
        (lambda s: s.update({"layer1.0.conv1.weight": torch.zeros(3)}), "layer1.0.conv1.weight"),
        (lambda s: s.pop("blocks.1.mlp.fc2.bias"), "it has no backbone.layers.1.mlp.fc2.bias"),
        (lambda s: s.pop("blocks.1.attn.pool_v.weight"), "it has no backbone.layers.1.attn.pool_v.conv.weight"),
        (lambda s: s.update({"blocks.0.norm1.weight": torch.zeros(9)}), "backbone.layers.0.norm1.weight has shape (9,)"),
        (lambda s: s["norm.weight"].fill_(float("nan")), "backbone.norm.weight holds values that are not finite"),
        (lambda s: s.update({"pos_embed_spatial": torch.zeros(1, 65, 8)}), "backbone.pos.spatial has shape (1, 65, 8)"),
        (lambda s: s.update({"pos_embed_temporal": torch.zeros(1, 2, 9)}), "backbone.pos.temporal has shape (1, 2, 9)"),
        (lambda s: s.update({"cls_token": torch.zeros(1, 1, 9)}), "backbone.cls_token has shape (1, 1, 9)"),
        (lambda s: s.update({"patch_embed.proj.weight": torch.zeros(8, 3, 3, 5, 5)}), "has shape (8, 3, 3, 5, 5) in the file"),
        (lambda s: s.update({"blocks.0.attn.pool_q.weight": torch.zeros(8, 1, 3, 3, 3)}), "no backbone.layers.0.attn.pool_q"),
        (lambda s: s.update({"blocks.0.attn.qkv.weight": torch.zeros(())}), "backbone.layers.0.attn.qkv.weight has shape ()"),
    ],
)  # fmt: skip
def test_damaged_files_are_named_and_leave_the_model_as_it_was(damage, names):
    state = random_state(V1)
    damage(state)
    model = tiny()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(WeightsError) as caught:
        load_tensors(model, state, "some/file.pyth")
    assert names in str(caught.value)
    assert "\n" not in str(caught.value)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_separate_projections_must_all_be_there_and_fit():
    state = separate(random_state(V1))
    missing = {key: value for key, value in state.items() if key != "blocks.1.attn.k.weight"}
    with pytest.raises(WeightsError, match=r"lacks the k part of backbone\.layers\.1\.attn\.qkv\.weight"):
        load_tensors(tiny(), missing, "file")
    for shape in ((16, 9), ()):
        with pytest.raises(WeightsError, match=r"blocks\.1\.attn\.v\.weight has shape .*but .*q\.weight beside it \(16, 16\)"):
            load_tensors(tiny(), {**state, "blocks.1.attn.v.weight": torch.zeros(shape)}, "file")


def test_damaged_positions_of_images():
    state = random_state(IMAGE)
    for table in (torch.zeros(()), torch.zeros(1, 66, 8), torch.zeros(1, 65, 9)):
        with pytest.raises(WeightsError, match=r"backbone\.pos\.table has shape"):
            load_tensors(tiny(IMAGE), {**state, "pos_embed": table}, "image")
        with pytest.raises(WeightsError, match=r"backbone\.pos\."):
            load_tensors(tiny(), {**state, "pos_embed": table}, "image")


def test_another_models_checkpoint_is_refused_with_its_keys(tmp_path):
    torch.save({"state_dict": {"conv1.weight": torch.zeros(1), "fc.bias": torch.zeros(1)}}, tmp_path / "resnet.pth")
    with pytest.raises(WeightsError, match=r"its 2 keys begin with conv1\.weight, fc\.bias"):
        zoo.load_weights(tiny(), tmp_path / "resnet.pth")


@pytest.mark.parametrize("detection", [False, True])
def test_own_files_make_the_same_model_again(detection, tmp_path):
    model = tiny(replace(V1, q_strides=((1, 2, 2), (1, 1, 1))), 1, detection=detection)
    path = zoo.save_weights(model, tmp_path / "model.safetensors", {"classes": list("abcde")})
    again, metadata = zoo.load_model(path)
    assert metadata["classes"] == list("abcde")
    assert again.backbone.config == model.backbone.config
    for key, value in model.state_dict().items():
        assert torch.equal(value, again.state_dict()[key]), key
