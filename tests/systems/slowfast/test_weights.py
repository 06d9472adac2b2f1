"""Published files of the SlowFast family: every format loads into the model it was saved from, and says so otherwise."""

from __future__ import annotations

import json
import pickle
import re
from pathlib import Path

import pytest
import torch
import torchvision
from torch.testing import assert_close

from tests.systems.slowfast.parts import clips, tiny
from vidmodels import zoo
from vidmodels.core.errors import WeightsError
from vidmodels.systems.slowfast.weights import load_tensors

CASES = Path(__file__).parents[2] / "conformance" / "cases" / "slowfast"


def pyslowfast_of(model) -> dict[str, torch.Tensor]:
    """A model's state under PySlowFast's names, written here apart from the tables under test."""
    found = {}
    for key, value in model.state_dict().items():
        path = "pathway1" if ".fast." in key else "pathway0"
        key = key.removeprefix("backbone.").removeprefix("slow.").removeprefix("fast.")
        key = re.sub(r"^stem\.", f"s1.{path}_stem.", key).replace("_stem.norm.", "_stem.bn.")
        key = re.sub(r"^res(\d)\.blocks\.(\d+)\.shortcut\.conv", rf"s\1.{path}_res\2.branch1", key)
        key = re.sub(r"^res(\d)\.blocks\.(\d+)\.shortcut\.norm", rf"s\1.{path}_res\2.branch1_bn", key)
        key = re.sub(r"^res(\d)\.blocks\.(\d+)\.conv_([abc])", rf"s\1.{path}_res\2.branch2.\3", key)
        key = re.sub(r"^res(\d)\.blocks\.(\d+)\.norm_([abc])", rf"s\1.{path}_res\2.branch2.\3_bn", key)
        key = re.sub(r"^res(\d)\.non_local\.(\d+)\.(conv_\w+)", rf"s\1.{path}_nonlocal\2.\3", key)
        key = re.sub(r"^res(\d)\.non_local\.(\d+)\.norm", rf"s\1.{path}_nonlocal\2.bn", key)
        key = re.sub(r"^laterals\.(\d)\.", lambda m: f"s{int(m[1]) + 1}_fuse.", key)
        if "_fuse." in key:
            key = key.replace(".conv.", ".conv_f2s.").replace(".norm.", ".bn.")
        found[key] = value.clone()
    return found


def caffe2_names(case: str) -> dict[str, str]:
    return json.loads((CASES / case / "case.json").read_text())["config"]["map"]


@pytest.mark.parametrize("name", ["slowfast_r50_8x8", "slow_r50_8x8", "i3d_nln_r50_8x8", "slowfast_r50_8x8_ava"])
def test_pyslowfast_files_come_back_exactly(name, tmp_path):
    settings = {"non_local_after": ((), (1,), (), ())} if "nln" in name else {}
    saved, other = tiny(name, seed=1, **settings), tiny(name, seed=2, **settings)
    torch.save({"epoch": 3, "model_state": pyslowfast_of(saved), "cfg": "TRAIN:\n  ENABLE: true"}, tmp_path / "a.pyth")
    report = zoo.load_weights(other, tmp_path / "a.pyth")
    assert (report.format, report.new, report.dropped, report.resized) == ("PySlowFast", [], {}, {})
    for key, value in saved.state_dict().items():
        assert torch.equal(other.state_dict()[key], value), key


def test_sub_batch_norms_load_as_plain_ones():
    saved, other = tiny("slow_r50_8x8", seed=1), tiny("slow_r50_8x8", seed=2)
    nested = {}
    for key, value in pyslowfast_of(saved).items():
        nested[re.sub(r"bn\.(running_\w+|num_batches_tracked)$", r"bn.bn.\1", key)] = value
        if "running" in key:
            nested[re.sub(r"bn\.(running_\w+)$", r"bn.split_bn.\1", key)] = value.repeat(2)
    report = load_tensors(other, nested, "the file")
    assert all("split" in key for key in report.dropped)
    assert report.new == []
    assert_close(other(clips()), saved(clips()), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("name", "case"),
    [("slowfast_r50_8x8", "caffe2_names_slowfast_8x8_r50"), ("i3d_nln_r50_8x8", "caffe2_names_i3d_nln_8x8_r50")],
)
def test_caffe2_files_come_back_exactly(name, case, tmp_path):
    """Our state written under Caffe2's names, as the pickle of numpy arrays that Caffe2 writes, and read again."""
    shapes = {"width": 8, "num_classes": 5} | ({"beta_inv": 4} if name.startswith("slowfast") else {})
    saved, other = (zoo.create_model(name, **shapes) for _ in range(2))
    ours = pyslowfast_of(saved)
    blobs = {blob: ours[key].numpy() for blob, key in caffe2_names(case).items()}
    blobs |= {"lr": blobs["pred_b"][:1], "conv1_w_momentum": blobs["conv1_w"]}
    for blob, array in blobs.items():
        if array.ndim == 5 and array.shape[2:] == (1, 1, 1) and "branch1" in blob:
            blobs[blob] = array[..., 0, 0, 0]  # Caffe2 writes some 1x1x1 kernels as matrices
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"blobs": blobs}, protocol=2))
    report = zoo.load_weights(other, tmp_path / "a.pkl")
    assert report.format == "Caffe2"
    assert set(report.dropped) == {"lr", "conv1_w_momentum"}
    assert all(key.endswith("num_batches_tracked") for key in report.new)
    for key, value in saved.state_dict().items():
        assert key.endswith("num_batches_tracked") or torch.equal(other.state_dict()[key], value), key


@torch.no_grad()
def test_image_weights_are_inflated_so_that_a_still_clip_answers_as_the_image_did():
    torch.manual_seed(0)
    image = torchvision.models.resnet50(weights=None).eval()
    model = zoo.create_model("i3d_r50_8x8", num_classes=5).eval()
    report = load_tensors(model, image.state_dict(), "the image's file")
    assert set(report.new) == {"head.projection.weight", "head.projection.bias"}
    picture = torch.randn(1, 3, 64, 64)
    features = torch.nn.Sequential(image.conv1, image.bn1, image.relu, image.maxpool, image.layer1)(picture)
    stem = model.backbone.stem(picture.unsqueeze(2).expand(-1, -1, 12, -1, -1))
    # away from the ends of the clip, where the padding with zeros is seen
    assert_close(model.backbone.res2(stem)[:, :, 6], features, rtol=1e-4, atol=1e-5)


def test_a_detector_starts_from_a_classifier():
    classifier, detector = tiny("slowfast_r50_8x8", seed=1), tiny("slowfast_r50_8x8_ava", seed=2, num_classes=7)
    state = pyslowfast_of(classifier)
    with pytest.raises(WeightsError, match=r"head\.projection\.weight has shape \(5, \d+\) in the file and \(7, "):
        load_tensors(detector, state, "the file")
    report = load_tensors(detector, state, "the file", allow=("head.*",))
    assert set(report.new) == {"head.projection.weight", "head.projection.bias"}
    assert torch.equal(detector.backbone.slow.stem.conv.weight, classifier.backbone.slow.stem.conv.weight)


@pytest.mark.parametrize(
    ("saved", "into", "message"),
    [
        ("slowfast_r50_8x8", "slow_r50_8x8", "holds a network of two pathways, the model has one:"),
        ("slow_r50_8x8", "slowfast_r50_8x8", "holds a network of one pathway, the model has two"),
        ("i3d_r50_8x8", "slow_r50_8x8", r"backbone\.stem\.conv\.weight has shape \(8, 3, 5, 7, 7\) in the file"),
    ],
)
def test_a_sibling_s_file_is_refused(saved, into, message):
    with pytest.raises(WeightsError, match=message):
        load_tensors(tiny(into), pyslowfast_of(tiny(saved)), "the file")


def test_an_unknown_key_is_named():
    state = pyslowfast_of(tiny("slow_r50_8x8"))
    state["s6.pathway0_extra.weight"] = torch.zeros(2)
    with pytest.raises(WeightsError, match=r"looks like PySlowFast, but has keys .* 's6\.pathway0_extra\.weight'"):
        load_tensors(tiny("slow_r50_8x8"), state, "the file")


def test_the_flavours_of_r101_do_not_load_into_each_other():
    """101-50-50 and 101-101-101 differ in the temporal kernels of res4 only."""
    few = tiny("slowfast_r50_8x8", depth=(1, 1, 3, 1), temporal_blocks=(1, 1, 1, 1))
    many = tiny("slowfast_r50_8x8", depth=(1, 1, 3, 1))
    with pytest.raises(WeightsError, match=r"backbone\.slow\.res4\.blocks\.1\.conv_a\.weight has shape"):
        load_tensors(many, pyslowfast_of(few), "the file")
