"""What an export writes and reports, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from tests.inference.export.conftest import small
from vidmodels import zoo
from vidmodels.core.entry import InputSpec
from vidmodels.core.errors import ConfigError, MissingExtraError, RunError
from vidmodels.inference.export import export_model, open_exported
from vidmodels.inference.export import files as export_files
from vidmodels.inference.export.report import largest_error, medians_of
from vidmodels.inference.export.signature import example_of, inputs_of
from vidmodels.weights.files import tensors_sha256

SPEC = InputSpec(num_frames=2, frame_stride=1, size=16)
INPUTS = inputs_of(SPEC)


class Counting(nn.Module):
    """A classifier of two classes whose program depends on the values that it sees."""

    num_classes = 2

    def forward(self, clips: Tensor) -> Tensor:
        mean = clips.mean((1, 2, 3, 4))
        return torch.stack([mean, -mean] if mean.sum() > 0 else [-mean, mean], dim=1)


class Drifting(nn.Module):
    """A classifier that answers a little more with each call, so no file answers as it does."""

    num_classes = 2

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, clips: Tensor) -> Tensor:
        self.calls += not torch.compiler.is_compiling()
        return clips.flatten(1)[:, :2] + 0.01 * self.calls


def test_report_names_what_was_written(exported, slow):
    assert exported.path.is_file()
    assert exported.batch is None
    assert exported.note == ""
    assert 0 < exported.error < 1e-5
    eager, last = exported.forms
    assert (eager.name, last.name) == ("eager", exported.format)
    assert eager.size == sum(value.numel() * value.element_size() for value in slow.state_dict().values())
    assert last.size == exported.path.stat().st_size
    assert 0.9 < last.size / eager.size < 1.3
    assert min(eager.seconds, last.seconds) > 0
    assert (exported.timed_batch, exported.rounds) == (1, 3)
    assert exported.threads == torch.get_num_threads()
    assert [str(each) for each in exported.inputs] == ["clips float32 [batch, 3, 4, 32, 32]"]
    assert list(exported.path.parent.iterdir()) == [exported.path]  # nothing half-written beside it


def test_file_says_what_it_holds(exported, slow):
    about = open_exported(exported.path).about
    assert (about["name"], about["classes"], about["activation"]) == ("slow_tiny", ["run", "jump", "sit"], "softmax")
    assert about["input"]["mean"] == [0.45, 0.45, 0.45]
    assert about["tensors_sha256"] == tensors_sha256(slow.state_dict())
    assert about["weights"] == {"file": "w.pyth"}
    assert (about["format"], about["int8"], about["deployed"], about["batch"]) == (exported.format, False, False, None)


def test_other_weights_have_another_hash(slow):
    assert tensors_sha256(small(num_classes=3).state_dict()) == tensors_sha256(slow.state_dict())
    other = small(num_classes=3)
    with torch.no_grad():
        next(other.parameters()).add_(1e-6)
    assert tensors_sha256(other.state_dict()) != tensors_sha256(slow.state_dict())


def test_the_model_stays_as_it_was(tmp_path):
    model = small(num_classes=3)
    before = {name: (value.clone(), value.stride()) for name, value in model.state_dict().items()}
    export_model(model, tmp_path / "m.pt2", "torch-export", rounds=1)
    assert all(parameter.requires_grad for parameter in model.parameters())
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name][0])
        assert value.stride() == before[name][1]


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("i3d_tiny", {"non_local_after": ((), (1,), (), ())}),
        ("mvitv2_tiny_video", {"depth": 2, "stage_starts": (1,)}),
        ("mae_st_vit_tiny", {"depth": 1}),
        ("x3d_tiny", {"num_frames": 4, "depth_factor": 0.4}),
        ("slowfast_tiny", {}),
    ],
)
def test_families_take_any_batch(name, settings, tmp_path):
    report = export_model(small(name, **settings), tmp_path / "m.pt2", "torch-export", rounds=1)
    assert (report.batch, report.note) == (None, "")
    assert report.error < 1e-5


def test_detector_takes_boxes(tmp_path):
    model = small("slow_r50_4x16_ava", depth=(1, 1, 1, 1), width=16, num_classes=5)
    model.input = replace(model.input, size=32, test_size=None)
    report = export_model(model, tmp_path / "d.pt2", "torch-export", rounds=1)
    assert [str(each) for each in report.inputs][1] == "boxes float32 [boxes, 5]"
    example = example_of(report.inputs, 3, seed=5)
    answer = open_exported(report.path)(*example.values())
    assert answer.shape == (6, 5)
    with torch.inference_mode():
        torch.testing.assert_close(answer, model(*example.values()), rtol=1e-4, atol=1e-5)


def test_model_that_hears_takes_sound_and_who_has_one(tmp_path):
    model = small("avslowfast_tiny")
    report = export_model(model, tmp_path / "h.pt2", "torch-export", batch=2, rounds=1)
    assert [each.name for each in report.inputs] == ["clips", "audio", "has_audio"]
    clips, audio, _ = example_of(report.inputs, 2).values()
    opened = open_exported(report.path)
    with torch.inference_mode():
        silent, heard = model(clips), model(clips, audio)
        assert (silent - heard).abs().max() > 1e-3
        torch.testing.assert_close(opened(clips), silent, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(opened(clips, audio, torch.ones(2, dtype=torch.bool)), heard, rtol=1e-4, atol=1e-5)


def test_deployed_form_is_for_one_batch(tmp_path):
    report = export_model(
        small("x3d_tiny", num_frames=4, depth_factor=0.4), tmp_path / "x.onnx", "onnx", deployed=True, rounds=1
    )
    assert report.batch == 1
    assert [form.name for form in report.forms] == ["eager", "deployed", "onnx"]
    assert report.error < 1e-4
    assert open_exported(report.path).about["deployed"] is True


def test_unknown_format(tmp_path, slow):
    with pytest.raises(ConfigError, match=r"no format 'onx' \(did you mean 'onnx'\?\): choose one of onnx, torch-export"):
        export_model(slow, tmp_path / "m.onnx", "onx")


def test_missing_extra(tmp_path, slow, monkeypatch):
    monkeypatch.setattr(export_files, "EXTRA", ("module_that_is_not_there",))
    monkeypatch.setattr("vidmodels.inference.export.exporting.EXTRA", ("module_that_is_not_there",))
    with pytest.raises(MissingExtraError, match=r"is not installed: pip install 'vidmodels\[export\]'"):
        export_model(slow, tmp_path / "m.onnx", "onnx")


def test_missing_folder(tmp_path, slow):
    with pytest.raises(RunError, match=r"there is no folder .*nowhere to write m\.pt2 to: make it"):
        export_model(slow, tmp_path / "nowhere" / "m.pt2", "torch-export")


def test_model_without_classes(tmp_path):
    model = zoo.create_model("mae_st_vit_tiny_pretrain").eval()
    with pytest.raises(ConfigError, match="mae_st_vit_tiny_pretrain names no classes: only classifiers and detectors"):
        export_model(model, tmp_path / "m.pt2", "torch-export")


def test_cause_of_what_cannot_be_traced(tmp_path):
    with pytest.raises(ConfigError, match=r"Counting cannot be exported, its operations do not form a fixed program: .+"):
        export_model(Counting().eval(), tmp_path / "m.pt2", "torch-export", SPEC)
    assert list(tmp_path.iterdir()) == []


def test_no_file_stays_where_answers_differ(tmp_path):
    path = tmp_path / "m.pt2"
    path.write_bytes(b"an older export")
    with pytest.raises(
        RunError, match=r"answers differ by \S+ of the largest from the eager model's, more than 1e-04: nothing"
    ):
        export_model(Drifting().eval(), path, "torch-export", SPEC)
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"an older export"]


def test_model_in_training(tmp_path):
    with pytest.raises(ConfigError, match=r"slow_tiny is being trained: set it to evaluation with model\.eval\(\)"):
        export_model(small().train(), tmp_path / "m.pt2", "torch-export")


def test_weights_of_a_large_model_lie_beside_it(tmp_path, slow, monkeypatch):
    monkeypatch.setattr(export_files, "MESSAGE_LIMIT", 1_000)
    report = export_model(slow, tmp_path / "m.onnx", "onnx", rounds=1)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["m.onnx", "m.onnx.data"]
    assert (tmp_path / "m.onnx").stat().st_size < 1_000_000 < (tmp_path / "m.onnx.data").stat().st_size
    assert report.forms[-1].size == sum(file.stat().st_size for file in tmp_path.iterdir())
    clips = torch.randn(2, 3, 4, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(open_exported(report.path)(clips), slow(clips), rtol=1e-4, atol=1e-5)


def test_batch_below_one(tmp_path, slow):
    with pytest.raises(ConfigError, match="a batch of 0 clips cannot be exported"):
        export_model(slow, tmp_path / "m.pt2", "torch-export", batch=0)


def test_input_that_is_not_known(tmp_path):
    with pytest.raises(ConfigError, match=r"the input of Counting is not known: give spec=InputSpec"):
        export_model(Counting().eval(), tmp_path / "m.pt2", "torch-export")


def test_largest_error_is_relative_to_the_largest_answer():
    ones = lambda inputs: torch.ones(len(inputs["clips"]), 2)  # noqa: E731
    assert largest_error(lambda x: ones(x) * 4.2, lambda x: ones(x) * 4, INPUTS, (1, 3)) == pytest.approx(0.05, rel=1e-5)
    assert largest_error(lambda x: ones(x)[:1], ones, INPUTS, (1, 3)) == float("inf")
    assert largest_error(lambda x: ones(x) * float("nan"), ones, INPUTS, (1,)) == float("inf")


def test_sides_take_turns():
    order: list[str] = []
    sides = {name: (lambda x, name=name: order.append(name) or torch.zeros(1)) for name in ("a", "b")}
    assert set(medians_of(sides, INPUTS, 1, 3)) == {"a", "b"}
    assert order == ["a", "b", "a", "b", "b", "a", "a", "b"]
