"""Published files of X3D: every format loads into the model that it was saved from and its siblings; others are refused."""

from __future__ import annotations

import json
import pickle
import re
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from tests.systems.x3d.parts import clips, efficient_of, pyslowfast_of, pytorchvideo_of, tiny
from vidmodels import zoo
from vidmodels.backbones.x3d_weights import load_tensors
from vidmodels.core.errors import WeightsError

CASES = Path(__file__).parents[2] / "conformance" / "cases" / "x3d"


@pytest.mark.parametrize(
    ("written", "name", "wrap"),
    [
        (pyslowfast_of, "PySlowFast", {"model_state": 0, "epoch": 3, "cfg": "TRAIN:\n  ENABLE: true"}),
        (pytorchvideo_of, "PyTorchVideo", {"model_state": 0}),
        (efficient_of, "EfficientX3D", None),
    ],
)
def test_files_come_back_exactly(written, name, wrap, tmp_path):
    saved, other = tiny(seed=1), tiny(seed=2)
    state = written(saved)
    torch.save(state if wrap is None else {**wrap, "model_state": state}, tmp_path / "a.pyth")
    report = zoo.load_weights(other, tmp_path / "a.pyth")
    assert (report.format, report.new, report.dropped, report.resized) == (name, [], {}, {})
    for key, value in saved.state_dict().items():
        assert torch.equal(other.state_dict()[key], value), key


def test_own_files_come_back_with_their_name(tmp_path):
    saved = tiny(seed=1)
    zoo.save_weights(saved, tmp_path / "a.safetensors")
    other, metadata = zoo.load_model(tmp_path / "a.safetensors")
    assert metadata["name"] == "x3d_m"
    assert_close(other.eval()(clips()), saved(clips()), rtol=0, atol=0)


def test_caffe2_files_come_back_exactly(tmp_path):
    """Our state written under Caffe2's names, which one case has for X3D-S, as a pickle of arrays."""
    names = json.loads((CASES / "caffe2_names_x3d_s" / "case.json").read_text())["config"]["map"]
    saved, other = (zoo.create_model("x3d_s", num_classes=3, head_dim=16, width_factor=1.0) for _ in range(2))
    ours = pyslowfast_of(saved)
    blobs = {blob: ours[key].numpy() for blob, key in names.items()}
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"blobs": {**blobs, "lr": blobs["pred_b"][:1]}}, protocol=2))
    report = zoo.load_weights(other, tmp_path / "a.pkl")
    assert report.format == "Caffe2"
    assert list(report.dropped) == ["lr"]
    assert all(key.endswith("num_batches_tracked") for key in report.new)
    for key, value in saved.state_dict().items():
        assert key.endswith("num_batches_tracked") or torch.equal(other.state_dict()[key], value), key


def test_the_names_of_the_stem_are_swapped_in_pytorchvideo():
    """Both kernels have other shapes, so that a mistake would not load; this shows what goes where."""
    state = pytorchvideo_of(tiny())
    assert state["blocks.0.conv.conv_t.weight"].shape[2:] == (1, 3, 3)
    assert state["blocks.0.conv.conv_xy.weight"].shape[2:] == (5, 1, 1)


def test_a_file_of_pytorchvideo_has_no_norm_on_the_shortcut_of_res2():
    saved, whole, hub = tiny(seed=1, res2_shortcut_norm=False), tiny(seed=2), tiny(seed=3, res2_shortcut_norm=False)
    state = pytorchvideo_of(saved)
    assert "blocks.1.res_blocks.0.branch1_norm.weight" not in state
    assert "blocks.2.res_blocks.0.branch1_norm.weight" in state
    report = load_tensors(hub, state, "the file")
    assert (report.new, report.resized) == ([], {})
    assert_close(hub(clips()), saved(clips()), rtol=0, atol=0)
    report = load_tensors(whole, state, "the file")
    added = {f"backbone.res2.0.shortcut.norm.{part}" for part in ("weight", "bias", "running_mean", "running_var")}
    assert report.resized.keys() == added
    assert not added & {*report.loaded, *report.new}
    norm = whole.backbone.res2[0].shortcut.norm
    assert_close(norm.running_var, torch.full_like(norm.running_var, 1 - norm.eps), rtol=0, atol=0)
    assert_close(whole(clips()), saved(clips()), rtol=1e-5, atol=1e-6)


def test_a_norm_on_the_shortcut_of_res2_has_no_place_in_the_form_of_pytorchvideo():
    with pytest.raises(WeightsError, match=r"has a norm on the shortcut of res2, .* create it with res2_shortcut_norm=True"):
        load_tensors(tiny(res2_shortcut_norm=False), pyslowfast_of(tiny()), "the file")


def test_other_classes_are_said_and_may_be_new():
    state = pyslowfast_of(tiny(seed=1))
    other = tiny(seed=2, num_classes=7)
    with pytest.raises(WeightsError, match=r"^the file names 5 classes, the model 7: create it with num_classes=5, or allow"):
        load_tensors(other, state, "the file")
    report = load_tensors(other, state, "the file", allow=("head.*",))
    assert set(report.new) == {"head.projection.weight", "head.projection.bias"}
    assert torch.equal(other.head.lin_5.weight, state["head.lin_5.weight"].flatten(1))


def test_a_detector_starts_from_a_classifier():
    classifier, detector = tiny(seed=1), tiny("x3d_m_ava", seed=2, num_classes=7)
    report = load_tensors(detector, pyslowfast_of(classifier), "the file", allow=("head.*",))
    assert set(report.new) == {"head.projection.weight", "head.projection.bias"}
    assert torch.equal(detector.head.conv_5.weight, classifier.head.conv_5.weight)


def test_sub_batch_norms_load_as_plain_ones():
    saved, other = tiny(seed=1), tiny(seed=2)
    nested = {}
    for key, value in pyslowfast_of(saved).items():
        nested[re.sub(r"bn\.(running_\w+|num_batches_tracked)$", r"bn.bn.\1", key)] = value
        if "running" in key:
            nested[re.sub(r"bn\.(running_\w+)$", r"bn.split_bn.\1", key)] = value.repeat(2)
    report = load_tensors(other, nested, "the file")
    assert report.new == []
    assert all("split" in key for key in report.dropped)
    assert_close(other(clips()), saved(clips()), rtol=0, atol=0)


def test_an_unknown_key_is_named():
    state = {**pyslowfast_of(tiny()), "s6.pathway0_extra.weight": torch.zeros(2)}
    with pytest.raises(WeightsError, match=r"looks like PySlowFast, but has keys .* 's6\.pathway0_extra\.weight'"):
        load_tensors(tiny(), state, "the file")


def test_a_deeper_sibling_s_file_is_refused_and_changes_nothing():
    model = tiny(seed=2)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(WeightsError, match=r"the model has no backbone\.res2\.3\.conv_a\.weight"):
        load_tensors(model, pyslowfast_of(tiny(base_depths=(4, 1, 2, 1))), "the file")
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_a_file_cut_short_is_refused():
    state = pyslowfast_of(tiny())
    del state["s3.pathway0_res0.branch2.b.weight"]
    with pytest.raises(WeightsError, match=r"it has no backbone\.res3\.0\.conv_b\.weight"):
        load_tensors(tiny(), state, "the file")


def test_another_network_s_file_is_in_no_format():
    state = {"s1.pathway0_stem.conv.weight": torch.zeros(1), "s2.pathway0_res0.branch1.weight": torch.zeros(1)}
    with pytest.raises(WeightsError, match=r"in none of the formats .*PySlowFast, PyTorchVideo, EfficientX3D, Caffe2"):
        load_tensors(tiny(), state, "SLOW.pyth")
