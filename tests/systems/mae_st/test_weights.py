"""Published and own files of MAE-ST: all forms load, and the report says what happened."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch.testing import assert_close

from tests.systems.mae_st.parts import clips, tiny_classifier, tiny_masked
from tests.systems.mae_st.plain import Shape, classify, pretrain, random_state
from vidmodels import zoo
from vidmodels.core.errors import WeightsError
from vidmodels.systems.mae_st.weights import load_tensors

GEOMETRY: dict[str, Any] = {
    "dim": 48,
    "depth": 2,
    "heads": 4,
    "frames": 8,
    "size": 32,
    "patch": (2, 8, 8),
    "dec_dim": 32,
    "dec_heads": 4,
}
OWN = Shape(**GEOMETRY)
PSF = Shape(True, **GEOMETRY, fused=True, dec_sep=False)
CLASSES = Shape(**GEOMETRY, classes=5)
PSF_CLASSES = Shape(True, **GEOMETRY, fused=True, classes=5, projection=True)


def in_containers(state):
    """A state dict in every wrapping in which such files are published."""
    namespace = argparse.Namespace(lr=1e-3, model="vit")
    return {
        "model": {
            "model": state,
            "optimizer": {"state": {}, "param_groups": [{"lr": 0.1}]},
            "epoch": 3,
            "args": namespace,
        },
        "model_state": {"model_state": state, "epoch": 7, "cfg": "TRAIN:\n  ENABLE: true"},
        "state_dict": {"state_dict": state},
        "raw": state,
        "prefixed": {"model": {f"module.{key}": value for key, value in state.items()}},
    }


@pytest.mark.parametrize("container", ["model", "model_state", "state_dict", "raw", "prefixed"])
@pytest.mark.parametrize("s", [CLASSES, PSF_CLASSES, replace(CLASSES, projection=True)], ids=["own", "psf", "own, projection"])
@torch.no_grad()
def test_published_classifiers_answer_as_published(s, container, tmp_path):
    state = random_state(s)
    torch.save(in_containers(state)[container], tmp_path / "checkpoint.pth")
    model = tiny_classifier()
    report = zoo.load_weights(model, tmp_path / "checkpoint.pth")
    assert (report.new, report.dropped, report.resized) == ([], {}, {})
    assert len(report.loaded) == len(model.state_dict())
    assert_close(model(clips()), classify(state, s, clips())["logits"], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("s", [OWN, PSF, replace(OWN, sep=False)], ids=["own", "psf", "own, joint"])
@torch.no_grad()
def test_published_autoencoders_answer_as_published(s, tmp_path):
    state = random_state(s)
    torch.save({"model": state}, tmp_path / "checkpoint.pyth")
    model = tiny_masked(form="pyslowfast" if s.pyslowfast else "mae_st", separable=s.sep)
    if not s.sep:
        # the named models have separable decoders, as published; a joint one is refused with its key
        with pytest.raises(WeightsError, match=r"decoder\.pos\.table"):
            zoo.load_weights(model, tmp_path / "checkpoint.pyth")
        return
    report = zoo.load_weights(model, tmp_path / "checkpoint.pyth")
    assert (report.format, report.new, report.dropped) == ("pyslowfast" if s.pyslowfast else "mae_st", [], {})
    noise = torch.rand(2, 64, generator=torch.Generator().manual_seed(0))
    ours, theirs = model(clips(), noise=noise), pretrain(state, s, clips(), noise, 6, normalise=True)
    assert_close(ours.prediction, theirs["prediction"], rtol=1e-5, atol=1e-5)
    assert ours.loss.item() == pytest.approx(theirs["loss"].item(), rel=1e-6)


@pytest.mark.parametrize("s", [OWN, PSF, CLASSES, PSF_CLASSES], ids=["own", "psf", "own classes", "psf classes"])
@torch.no_grad()
def test_fused_and_separate_files_give_equal_outputs(s):
    fused = random_state(replace(s, fused=True))
    separate: dict[str, torch.Tensor] = {}
    for key, value in fused.items():
        if ".qkv." in key:
            separate |= {key.replace("qkv", part): rows for part, rows in zip("qkv", value.chunk(3))}
        else:
            separate[key] = value
    assert len(separate) > len(fused)
    make = tiny_classifier if s.classes else lambda seed: tiny_masked(seed, form="pyslowfast" if s.pyslowfast else "mae_st")
    one, other = make(1), make(2)
    load_tensors(one, fused, "fused")
    load_tensors(other, separate, "separate")
    for key, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[key]), key


@pytest.mark.parametrize(("s", "form"), [(OWN, "pyslowfast"), (PSF, "mae_st")])
def test_decoder_of_the_other_form_is_dropped_with_its_reason(s, form):
    state, model = random_state(s), tiny_masked(form=form)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    report = load_tensors(model, state, "file")
    own = model.state_dict()
    decoder = {key for key in own if key.startswith("decoder.")}
    assert set(report.new) == decoder
    assert set(report.loaded) == own.keys() - decoder
    assert report.dropped
    assert all("only the encoder is loaded" in reason for reason in report.dropped.values())
    assert all(torch.equal(own[key], before[key]) for key in decoder)
    assert_close(own["encoder.patch_embed.weight"], state["patch_embed.proj.weight"])
    assert "only the encoder is loaded" in str(report)


def test_fine_tuning_starts_with_a_new_head_and_without_decoder():
    model = tiny_classifier()
    head = model.head.weight.clone()
    report = load_tensors(model, random_state(OWN), "file")
    assert sorted(report.new) == ["head.bias", "head.weight"]
    assert torch.equal(model.head.weight, head)
    assert all(key.startswith("decoder.") for key in report.dropped)
    assert "2 new" in str(report)


def test_head_of_another_number_of_classes_is_new():
    model = tiny_classifier(num_classes=9)
    report = load_tensors(model, random_state(CLASSES), "file")
    assert sorted(report.new) == ["head.bias", "head.weight"]
    assert report.dropped["head.weight"] == "shape (5, 48) in the file, (9, 48) in the model"
    assert len(report.loaded) == len(model.state_dict()) - 2


def test_autoencoder_takes_a_classifiers_encoder():
    model = tiny_masked()
    report = load_tensors(model, random_state(CLASSES), "file")
    assert set(report.dropped) == {"head.weight", "head.bias"}
    assert all(key.startswith("decoder.") for key in report.new)


def test_longer_clips_and_another_crop_are_reported_as_resized():
    state = random_state(CLASSES)
    model = tiny_classifier(num_frames=16, size=48)
    report = load_tensors(model, state, "file")
    assert report.resized == {
        "encoder.pos.spatial": "(1, 16, 48) -> (1, 36, 48)",
        "encoder.pos.temporal": "(1, 4, 48) -> (1, 8, 48)",
    }
    assert not report.new
    line = torch.nn.functional.interpolate(state["pos_embed_temporal"].transpose(1, 2), size=8, mode="linear")
    assert_close(model.encoder.pos.temporal.data, line.transpose(1, 2))
    assert model(clips(1, 16, 48)).shape == (1, 5)


@torch.no_grad()
def test_joint_positions_are_resized_with_the_class_position_as_it_is():
    state = random_state(replace(CLASSES, sep=False))
    model = tiny_classifier(num_frames=16, size=48, separable=False)
    report = load_tensors(model, state, "file")
    assert report.resized == {"encoder.pos.table": "(1, 65, 48) -> (1, 289, 48)"}
    assert torch.equal(model.state_dict()["encoder.pos.table"][:, :1], state["pos_embed"][:, :1])


@torch.no_grad()
def test_kernel_of_an_image_model_is_spread_over_time():
    """A still clip gives the same embedding as the image: a 2-D start of the kernel."""
    image = Shape(True, **{**GEOMETRY, "frames": 1, "patch": (1, 8, 8)}, classes=5)
    state = random_state(image)
    state["patch_embed.proj.weight"] = state["patch_embed.proj.weight"].squeeze(2)
    model = tiny_classifier()
    report = load_tensors(model, state, "image")
    assert report.resized["encoder.patch_embed.weight"] == "(48, 3, 8, 8) -> (48, 3, 2, 8, 8)"
    still = clips(1, 1).expand(-1, -1, 8, -1, -1)
    kernel, bias = state["patch_embed.proj.weight"], state["patch_embed.proj.bias"]
    expected = torch.nn.functional.conv2d(still[:, :, 0], kernel, bias, 8).flatten(2).transpose(1, 2)
    positions = model.encoder.pos.tokens((4, 4, 4))
    assert_close(model.encoder.embed(still)[:, 1:] - positions, expected.repeat(1, 4, 1), rtol=1e-4, atol=1e-4)


def test_kernel_of_another_patch_is_refused():
    with pytest.raises(
        WeightsError, match=r"patch_embed\.weight has shape \(48, 3, 2, 8, 8\) in the file and \(48, 3, 2, 4, 4\)"
    ):
        load_tensors(tiny_classifier(patch=(2, 4, 4)), random_state(CLASSES), "file")
    with pytest.raises(WeightsError, match=r"patch_embed\.weight"):
        load_tensors(tiny_classifier(patch=(4, 8, 8)), random_state(CLASSES), "file")


@pytest.mark.parametrize(
    ("damage", "names"),
    [
        (lambda s: s.update({"layer1.0.conv1.weight": torch.zeros(3)}), "layer1.0.conv1.weight"),
        (lambda s: s.pop("blocks.1.mlp.fc2.bias"), "encoder.blocks.1.mlp.fc2.bias"),
        (lambda s: s.pop("blocks.1.attn.k.weight"), "the k part of encoder.blocks.1.attn.qkv.weight"),
        (lambda s: s.update({"blocks.2.norm1.weight": torch.zeros(48)}), "no encoder.blocks.2.norm1.weight"),
        (lambda s: s.update({"blocks.0.norm1.weight": torch.zeros(40)}), "encoder.blocks.0.norm1.weight has shape (40,)"),
        (lambda s: s["blocks.0.norm1.weight"].fill_(float("nan")), "encoder.blocks.0.norm1.weight holds values"),
        (lambda s: s["head.bias"].fill_(float("inf")), "head.bias holds values that are not finite"),
        (lambda s: s.update({"pos_embed_temporal": torch.full((1, 8, 48), float("nan"))}), "encoder.pos.temporal holds values"),
        (lambda s: s.update({"pos_embed_spatial": torch.zeros(1, 17, 48)}), "encoder.pos.spatial has shape (1, 17, 48)"),
        (lambda s: s.update({"blocks.0.norm1.weight": torch.zeros(1, 48)}), "encoder.blocks.0.norm1.weight has shape (1, 48)"),
        (lambda s: s.update({"cls_token": torch.zeros(48)}), "encoder.cls_token has shape (48,)"),
        (lambda s: s.update({"pos_embed_temporal": torch.zeros(4)}), "encoder.pos.temporal has shape (4,)"),
        (lambda s: s.update({"pos_embed_temporal": torch.zeros(1, 4, 40)}), "encoder.pos.temporal has shape (1, 4, 40)"),
        (lambda s: s.update({"pos_embed_spatial": torch.zeros(())}), "encoder.pos.spatial has shape ()"),
        (lambda s: s.update({"patch_embed.proj.weight": torch.zeros(48)}), "encoder.patch_embed.weight has shape (48,)"),
        (lambda s: s.update({"blocks.0.attn.q.weight": torch.zeros(())}), "blocks.0.attn.k.weight has shape"),
        (lambda s: s.update({"blocks.0.attn.q.weight": torch.zeros(48, 40)}), "but blocks.0.attn.q.weight beside it (48, 40)"),
    ],
)  # fmt: skip
def test_refused_files_are_named_and_leave_the_model_as_it_was(damage, names):
    state = random_state(CLASSES)
    damage(state)
    model = tiny_classifier()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(WeightsError) as caught:
        load_tensors(model, state, "some/file.pth")
    assert names in str(caught.value)
    assert "\n" not in str(caught.value)
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key]), key


def test_another_models_checkpoint_is_refused_with_its_keys(tmp_path):
    torch.save({"state_dict": {"conv1.weight": torch.zeros(1), "fc.bias": torch.zeros(1)}}, tmp_path / "resnet.pth")
    with pytest.raises(WeightsError, match=r"its 2 keys begin with conv1\.weight, fc\.bias"):
        zoo.load_weights(tiny_classifier(), tmp_path / "resnet.pth")


def test_a_maskfeat_like_file_is_not_taken_for_an_autoencoder():
    """Mask token of the encoder's width, no decoder: another method in PySlowFast."""
    state = random_state(replace(PSF, dec_dim=32))
    state = {key: value for key, value in state.items() if not key.startswith(("decoder_", "pred_head.transforms"))}
    state |= {"mask_token": torch.zeros(1, 1, 48)}
    with pytest.raises(WeightsError, match="does not fit"):
        load_tensors(tiny_masked(form="pyslowfast"), state, "maskfeat")


@pytest.mark.parametrize("form", ["mae_st", "pyslowfast"])
def test_own_files_round_trip(form, tmp_path):
    model = tiny_masked(1, form=form)
    path = zoo.save_weights(model, tmp_path / "deep" / "model.safetensors", {"classes": ["a", "b"]})
    assert [p.name for p in path.parent.iterdir()] == ["model.safetensors"]
    other = tiny_masked(2, form=form)
    report = zoo.load_weights(other, path)
    assert report.format == "vidmodels"
    assert len(report.loaded) == len(model.state_dict())
    assert report.metadata["classes"] == ["a", "b"]
    assert report.metadata["name"] == "mae_st_vit_tiny_pretrain"
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), other.state_dict().values()))


def test_load_model_makes_the_same_model_again(tmp_path):
    model = tiny_classifier(1)
    path = zoo.save_weights(model, tmp_path / "model.safetensors")
    for given in (path, tmp_path):
        again, metadata = zoo.load_model(given)
        assert metadata["settings"]["patch"] == [2, 8, 8]
        assert torch.equal(again.eval()(clips()), model(clips()))
    save_file({"x": torch.zeros(1)}, tmp_path / "foreign.safetensors")
    with pytest.raises(WeightsError, match="does not say which model it is"):
        zoo.load_model(tmp_path / "foreign.safetensors")
    with pytest.raises(WeightsError, match="no weights"):
        zoo.load_model(tmp_path / "nowhere")


@pytest.mark.parametrize("kind", ["safetensors", "torch"])
def test_shards_and_safetensors_of_published_keys(kind, tmp_path):
    state = random_state(CLASSES)
    keys = sorted(state)
    for i in range(3):
        part = {key: state[key] for key in keys[i::3]}
        if kind == "safetensors":
            save_file(part, tmp_path / f"model-{i}-of-3.safetensors")
        else:
            torch.save(part, tmp_path / f"model-{i}-of-3.bin")
    model = tiny_classifier()
    report = zoo.load_weights(model, tmp_path)
    assert (report.new, report.dropped) == ([], {})
    assert_close(model(clips()), classify(state, CLASSES, clips())["logits"], rtol=1e-5, atol=1e-5)


def test_user_may_allow_what_is_missing():
    state = random_state(CLASSES)
    del state["blocks.1.mlp.fc2.bias"]
    report = load_tensors(tiny_classifier(), state, "file", allow=("encoder.blocks.1.*",))
    assert report.new == ["encoder.blocks.1.mlp.fc2.bias"]


def test_half_precision_files_load_as_floats():
    state = {key: value.half() for key, value in random_state(CLASSES).items()}
    model = tiny_classifier()
    load_tensors(model, state, "file")
    assert model.head.weight.dtype == torch.float32
    assert torch.equal(model.head.weight, state["head.weight"].float())
