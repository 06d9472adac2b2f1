"""Exported files as models: answers, batches, and files that are none."""

from __future__ import annotations

import pytest
import torch

import vidmodels
from tests.cli.conftest import frames
from vidmodels.core.errors import ConfigError, WeightsError
from vidmodels.data.synthetic.encode import encode_mp4
from vidmodels.inference.export import open_exported
from vidmodels.inference.predictor import Predictor


@pytest.mark.parametrize("count", [1, 2, 5])
def test_answers_are_those_of_the_eager_model(exported, slow, count):
    clips = torch.randn(count, 3, 4, 32, 32, generator=torch.Generator().manual_seed(count))
    with torch.inference_mode():
        torch.testing.assert_close(open_exported(exported.path)(clips), slow(clips), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_fixed_batch_is_filled(onnx_file, slow, count):
    opened = open_exported(onnx_file)
    assert opened.batch == 2
    clips = torch.randn(count, 3, 4, 32, 32, generator=torch.Generator().manual_seed(count))
    with torch.inference_mode():
        torch.testing.assert_close(opened(clips), slow(clips), rtol=1e-4, atol=1e-5)


def test_predictor_takes_the_file_with_its_names(exported, slow, tmp_path):
    video = tmp_path / "v.mp4"
    video.write_bytes(encode_mp4(frames(40), 8))
    predictor = vidmodels.Predictor(str(exported.path))
    ours, theirs = predictor.predict(video, 3), Predictor(slow, device="cpu").predict(video, 3)
    assert ours.classes == ("run", "jump", "sit")
    assert (ours.model, ours.weights) == ("slow_tiny", str(exported.path))
    assert ours.scores == pytest.approx(theirs.scores, abs=1e-5)
    assert max(abs(ours.scores - 1 / 3)) > 0.05  # an answer that says something


def test_no_other_settings_for_a_file(exported):
    with pytest.raises(ConfigError, match="is exported with its weights and settings"):
        vidmodels.Predictor(str(exported.path), num_classes=4)
    with pytest.raises(ConfigError, match="is exported with its weights and settings"):
        vidmodels.Predictor(str(exported.path), weights="w.pyth")


def test_another_device(exported):
    with pytest.raises(ConfigError, match="runs on the CPU only, not on cuda"):
        vidmodels.Predictor(str(exported.path), device="cuda")


def test_another_precision(exported):
    with pytest.raises(ConfigError, match="in the arithmetic that it was exported in, not in bf16"):
        vidmodels.Predictor(str(exported.path), precision="bf16")


def test_wrong_number_of_names(exported):
    with pytest.raises(ConfigError, match="2 class names were given for the 3 classes of slow_tiny"):
        vidmodels.Predictor(str(exported.path), classes=["a", "b"])


def test_clips_of_another_size(exported):
    with pytest.raises(ConfigError, match=r"clips of shape \(1, 3, 4, 40, 32\) do not fit .*: it takes clips float32"):
        open_exported(exported.path)(torch.zeros(1, 3, 4, 40, 32))


def test_file_that_is_not_there(tmp_path):
    with pytest.raises(WeightsError, match=r"there is no exported model at .*none\.onnx: check the path"):
        vidmodels.Predictor(str(tmp_path / "none.onnx"))


@pytest.mark.parametrize(
    ("name", "message"),
    [("m.onnx", "is no ONNX model that ONNX Runtime opens"), ("m.pt2", r"is no whole torch\.export program")],
)
def test_damaged_file(tmp_path, name, message):
    (tmp_path / name).write_bytes(b"nothing of the kind" * 100)
    with pytest.raises(WeightsError, match=message):
        open_exported(tmp_path / name)


def test_onnx_file_of_others(tmp_path, onnx_file):
    import onnx

    model = onnx.load(onnx_file)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "foreign.onnx")
    with pytest.raises(
        WeightsError, match=r"foreign\.onnx does not say which model it holds .* make it with `vidmodels export`"
    ):
        open_exported(tmp_path / "foreign.onnx")
