"""Published files of channel-separated and R(2+1)D networks: they load into their model, and are refused by others."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from tests.systems.pytorchvideo.parts import NAMES, clips, pytorchvideo_of, tiny
from vidmodels import zoo
from vidmodels.core.errors import WeightsError
from vidmodels.systems.pytorchvideo.weights import load_tensors


@pytest.mark.parametrize("name", NAMES)
def test_published_files_come_back_exactly(name, tmp_path):
    saved, other = tiny(name, seed=1), tiny(name, seed=2)
    torch.save({"model_state": pytorchvideo_of(saved)}, tmp_path / "a.pyth")
    report = zoo.load_weights(other, tmp_path / "a.pyth")
    assert (report.format, report.new, report.dropped, report.resized) == ("PyTorchVideo", [], {}, {})
    assert len(report.loaded) == len(saved.state_dict())
    assert_close(other(clips()), saved(clips()), rtol=0, atol=0)


@pytest.mark.parametrize("name", NAMES)
def test_own_files_come_back_exactly(name, tmp_path):
    saved, other = tiny(name, seed=1), tiny(name, seed=2)
    zoo.save_weights(saved, tmp_path / "a.safetensors")
    assert zoo.load_weights(other, tmp_path / "a.safetensors").format == "vidmodels"
    assert_close(other(clips()), saved(clips()), rtol=0, atol=0)
    again, metadata = zoo.load_model(tmp_path / "a.safetensors")
    assert metadata["name"] == name
    assert_close(again.eval()(clips()), saved(clips()), rtol=0, atol=0)


def test_settings_of_the_laptop_models_come_back(tmp_path):
    model = zoo.create_model("r2plus1d_tiny").eval()
    zoo.save_weights(model, tmp_path / "a.safetensors")
    again, _ = zoo.load_model(tmp_path / "a.safetensors")
    assert again.backbone.config == model.backbone.config
    assert_close(again.eval()(clips(1, 16, 32)), model(clips(1, 16, 32)), rtol=0, atol=0)


def test_other_classes_are_an_error_unless_the_head_may_be_new():
    state, model = pytorchvideo_of(tiny("csn_r101", seed=1)), tiny("csn_r101", seed=2, num_classes=7)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(
        WeightsError, match=r"head\.projection\.weight has shape \(5, 256\) in the file and \(7, 256\) in the model"
    ):
        load_tensors(model, state, "the file")
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    report = load_tensors(model, state, "the file", allow=("head.*",))
    assert set(report.new) == {"head.projection.weight", "head.projection.bias"}
    assert torch.equal(model.backbone.stem.conv.weight, state["blocks.0.conv.weight"])


FAULTS = {
    "unknown": lambda state: {**state, "blocks.7.extra": torch.zeros(1)},
    "missing": lambda state: {key: value for key, value in state.items() if not key.endswith("norm_a.bias")},
    "another": lambda state: {f"x.{key}": value for key, value in state.items()},
    "damaged": lambda state: {**state, "blocks.0.conv.weight": state["blocks.0.conv.weight"] / 0},
}


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("unknown", r"looks like PyTorchVideo, but has keys .* 'blocks\.7\.extra'"),
        ("missing", r"it has no backbone\.res2\.blocks\.0\.norm_a\.bias"),
        ("another", r"in none of the formats that the model reads \(vidmodels, PyTorchVideo\)"),
        ("damaged", "values that are not finite"),
    ],
)
def test_files_that_do_not_fit(fault, message):
    with pytest.raises(WeightsError, match=message):
        load_tensors(tiny("csn_r101"), FAULTS[fault](pytorchvideo_of(tiny("csn_r101"))), "the file")


@pytest.mark.parametrize(
    ("saved", "into", "message"),
    [
        (
            "csn_r101",
            "r2plus1d_r50",
            r"backbone\.stem\.conv\.weight has shape \(8, 3, 3, 7, 7\) in the file and \(8, 3, 1, 7, 7\)",
        ),
        ("r2plus1d_r50", "csn_r101", r"backbone\.stem\.conv\.weight has shape \(8, 3, 1, 7, 7\) in the file"),
        ("slow_r50", "r2plus1d_r50", r"the model has no backbone\.res2\.blocks\.0\.conv_b\.weight"),
    ],
)
def test_a_sibling_s_file_is_refused(saved, into, message):
    with pytest.raises(WeightsError, match=message):
        load_tensors(tiny(into), pytorchvideo_of(tiny(saved)), "the file")
