"""Published and own files of MaskFeat: pre-training, fine-tuning, and from one to the other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from tests.backbones.mvit_parts import clips_of, settings_of, stirred
from tests.backbones.mvit_plain import Shape, blocks, random_state, run
from vidmodels import zoo
from vidmodels.core.errors import WeightsError

FINETUNE = Shape(depth=5, positions="none", space=True, time=True, residual="grid", every_q=True, mean_first=True)
PRETRAIN = replace(FINETUNE, q_strides=((1, 2, 2), (1, 1, 1)))


def pretrained_state() -> dict[str, Tensor]:
    """A file of pre-training, keys as published."""
    state = {key: value for key, value in random_state(PRETRAIN).items() if not key.startswith(("norm.", "head."))}
    width = blocks(PRETRAIN)[-1].out
    extra = {
        "mask_token": (1, 1, PRETRAIN.dim), "pred_head.transforms.0.0.weight": (width,),
        "pred_head.transforms.0.0.bias": (width,), "pred_head.projections.0.weight": (27, width),
        "pred_head.projections.0.bias": (27,), "hogs.0.weight_x": (3, 1, 3, 3), "hogs.0.weight_y": (3, 1, 3, 3),
    }  # fmt: skip
    generator = torch.Generator().manual_seed(9)
    return state | {key: torch.randn(shape, generator=generator) for key, shape in extra.items()}


def predictor(**changes: Any) -> Any:
    settings = settings_of(PRETRAIN)
    settings.pop("num_classes")
    return stirred(zoo.create_model("maskfeat_tiny_pretrain", **settings, init="video", **changes)).eval()


def classifier(s: Shape = FINETUNE) -> Any:
    return stirred(zoo.create_model("maskfeat_tiny", **settings_of(s), init="video")).eval()


def saved(state: dict[str, Tensor], folder) -> Any:
    torch.save({"model_state": state, "epoch": 3, "cfg": "MASK:\n  PRED_HOG: True"}, folder / "checkpoint.pyth")
    return folder / "checkpoint.pyth"


@torch.no_grad()
def test_a_pre_training_file_answers_as_published(tmp_path):
    model, state = predictor(), pretrained_state()
    report = zoo.load_weights(model, saved(state, tmp_path))
    assert report.format == "PySlowFast, pre-training"
    assert (report.new, report.resized, set(report.dropped)) == ([], {}, {"hogs.0.weight_x", "hogs.0.weight_y"})
    assert set(report.loaded) == set(model.state_dict())
    clips = clips_of(PRETRAIN)
    nothing = torch.zeros(len(clips), *model.mask_grid(clips), dtype=torch.bool)
    whole = {**random_state(PRETRAIN), **state}
    tokens = run(whole, PRETRAIN, clips)["last_tokens"][:, 1:]
    at = "pred_head.transforms.0.0"
    normed = torch.nn.functional.layer_norm(tokens, tokens.shape[-1:], state[f"{at}.weight"], state[f"{at}.bias"], 1e-6)
    expected = normed @ state["pred_head.projections.0.weight"].T + state["pred_head.projections.0.bias"]
    assert_close(model(clips, nothing)[0].flatten(1, 3), expected, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_a_fine_tuned_file_answers_as_published(tmp_path):
    state, model = random_state(FINETUNE), classifier()
    report = zoo.load_weights(model, saved(state, tmp_path))
    assert (report.new, report.resized, report.dropped) == ([], {}, {})
    assert_close(model(clips_of(FINETUNE)), run(state, FINETUNE, clips_of(FINETUNE))["logits"], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_a_pre_training_file_starts_a_classifier(tmp_path):
    state, model = pretrained_state(), classifier()
    report = zoo.load_weights(model, saved(state, tmp_path))
    assert set(report.new) == {"head.norm.weight", "head.norm.bias", "head.projection.weight", "head.projection.bias"}
    assert {"mask_token", "heads.0.norm.weight", "heads.0.projection.weight"} <= set(report.dropped)
    assert_close(model.backbone.layers[0].attn.qkv.weight, state["blocks.0.attn.qkv.weight"])
    # the last stage pools again, and tables of its later blocks are shorter
    assert report.resized
    assert all(".layers.4.attn.relative." in key for key in report.resized)


def test_own_files_come_back_whole_and_start_classifiers(tmp_path):
    from safetensors.torch import save_file

    model = predictor()
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    again = predictor()
    torch.nn.init.zeros_(again.mask_token)
    report = zoo.load_weights(again, tmp_path / "model.safetensors")
    assert (report.new, report.resized, report.dropped) == ([], {}, {})
    assert torch.equal(again.mask_token, model.mask_token)
    report = zoo.load_weights(classifier(), tmp_path / "model.safetensors")
    assert set(report.new) == {"head.norm.weight", "head.norm.bias", "head.projection.weight", "head.projection.bias"}


def test_a_fine_tuned_file_starts_a_predictor(tmp_path):
    report = zoo.load_weights(predictor(), saved(random_state(FINETUNE), tmp_path))
    assert {"mask_token", "heads.0.norm.weight", "heads.0.projection.bias"} <= set(report.new)


def test_a_file_with_another_target_says_so(tmp_path):
    with pytest.raises(WeightsError, match=r"heads\.0\.projection\.(weight|bias)"):
        zoo.load_weights(predictor(target="pixel"), saved(pretrained_state(), tmp_path))


def test_a_masked_autoencoder_of_the_same_repository_is_another_model(tmp_path):
    state = pretrained_state() | {"pred_head.transforms.0.0.attn.qkv.weight": torch.zeros(3, 3)}
    with pytest.raises(WeightsError, match="is this a checkpoint of another model"):
        zoo.load_weights(predictor(), saved(state, tmp_path))
