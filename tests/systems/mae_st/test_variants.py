"""The adapter builds variants that no case of ours has, and they agree with the plain implementation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from tests.conformance.__main__ import main, run_case
from tests.conformance.adapters import mae_st as adapter
from tests.conformance.conformance import inputs_of, relative_error, save_case, state_of
from tests.systems.mae_st.plain import Shape, classify, config_of, manifest, pretrain
from vidmodels.systems.mae_st import weights

OWN = Shape(classes=None)
PSF = Shape(pyslowfast=True, fused=True, dec_sep=False)
RATIO = 0.75

PRETRAIN = {
    "own": OWN,
    "no class token": replace(OWN, cls=False),
    "joint positions": replace(OWN, sep=False),
    "joint positions, no class token": replace(OWN, sep=False, cls=False),
    "whole patches": replace(OWN, frames=16, pred=16),
    "four frames a patch": replace(OWN, frames=16, patch=(4, 16, 16), pred=8),
    "crop 64, patch 8": replace(OWN, size=64, patch=(2, 8, 8)),
    "no qkv bias": replace(OWN, bias=False),
    "deep narrow decoder": replace(OWN, dec_dim=16, dec_depth=3, dec_heads=2),
    "fused qkv": replace(OWN, fused=True),
    "pyslowfast": PSF,
    "pyslowfast, separable decoder": replace(PSF, dec_sep=True),
    "pyslowfast, no class token": replace(PSF, cls=False),
    "pyslowfast, no class token, separable decoder": replace(PSF, cls=False, dec_sep=True),
    "pyslowfast, joint encoder": replace(PSF, sep=False),
    "pyslowfast, whole patches": replace(PSF, pred=8),
    "pyslowfast, separate qkv": replace(PSF, fused=False),
    "pyslowfast, four frames a patch": replace(PSF, frames=16, patch=(4, 16, 16), pred=4),
}
CLASSIFIERS: dict[str, tuple[Shape, str, dict[str, Any]]] = {
    "own": (Shape(classes=7), "mean", {}),
    "own, joint": (Shape(classes=7, sep=False), "mean", {}),
    # that code cuts off the first token even where there is no class token
    "own, no class token": (Shape(classes=7, cls=False), "rest", {}),
    "own, head.projection": (Shape(classes=7, projection=True), "mean", {}),
    "own, huge by name, patch 16 by shape": (Shape(classes=7), "mean", {"model": "vit_huge_patch14"}),
    "pyslowfast": (Shape(True, fused=True, classes=5, projection=True), "mean", {}),
    "pyslowfast, class token pooled": (
        Shape(True, fused=True, classes=5, projection=True), "class", {"use_mean_pooling": False},
    ),
    "pyslowfast, no class token": (Shape(True, fused=True, cls=False, classes=5, projection=True), "mean", {}),
    "pyslowfast, no class token, norm first": (
        Shape(True, fused=True, cls=False, classes=5, projection=True), "norm_mean", {"use_mean_pooling": False},
    ),
    "pyslowfast, image size 64": (Shape(True, fused=True, size=64, classes=5, projection=True), "mean", {}),
}  # fmt: skip


def make_case(s: Shape, outputs: dict[str, str], name: str, **config) -> dict:
    video = {"kind": "normal", "name": name, "shape": [2, 3, s.frames, s.size, s.size]}
    noise = {"kind": "uniform", "name": f"{name}/noise", "shape": [2, s.length]}
    return {
        "system": "mae_st", "config": config_of(s, **config), "tolerance": 1e-4, "outputs": outputs,
        "inputs": {"video": video} if s.classes else {"video": video, "noise": noise},
        "state": {key: {"shape": list(shape), "dtype": "float32"} for key, shape in manifest(s).items()},
        "params": sum(int(np.prod(shape)) for shape in manifest(s).values()),
    }  # fmt: skip


def tensors(values) -> dict[str, torch.Tensor]:
    return {key: torch.from_numpy(np.asarray(value)) for key, value in values.items()}


@pytest.fixture
def reports(monkeypatch):
    """The reports of all loads of the adapter."""
    seen = []
    monkeypatch.setattr(adapter, "load_tensors", lambda *args: seen.append(weights.load_tensors(*args)))
    return seen


def assert_every_key_used(reports, case) -> None:
    (report,) = reports
    joined = 2 * sum(key.endswith(("attn.k.weight", "attn.k.bias")) for key in case["state"])
    assert not report.new
    assert not report.dropped
    assert not report.resized
    assert len(report.loaded) == len(case["state"]) - joined


@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize("name", PRETRAIN)
def test_pretraining(name, normalise, reports):
    s = PRETRAIN[name]
    key = "norm_pred_pixel" if s.pyslowfast else "norm_pix_loss"
    whole = dict.fromkeys(("latent", "prediction", "target", "mask", "loss"), "whole")
    case = make_case(s, whole, name, mask_ratio=RATIO, **{key: normalise})
    answers = adapter.run(case)
    assert_every_key_used(reports, case)
    made = tensors(inputs_of(case))
    expected = pretrain(tensors(state_of(case)), s, made["video"], made["noise"], int(s.length * (1 - RATIO)), normalise)
    if s.pyslowfast:
        dropped = expected["mask"].bool()
        expected |= {"prediction": expected["prediction"][dropped], "target": expected["target"][dropped]}
    else:
        expected["latent"] = expected["latent"][:, int(s.cls) :]
    for key, value in expected.items():
        assert relative_error(answers[key], value.numpy()) < 1e-5, key


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifiers(name, reports):
    s, pool, config = CLASSIFIERS[name]
    case = make_case(s, {"last_tokens": "slice [:, ::2, 1:9]"}, name, **config)
    answers = adapter.run(case)
    assert_every_key_used(reports, case)
    expected = classify(tensors(state_of(case)), s, tensors(inputs_of(case))["video"], pool)
    assert relative_error(answers["logits"], expected["logits"].numpy()) < 1e-5
    # the slice is the one that the case's text names
    assert relative_error(answers["last_tokens"], expected["last_tokens"][:, ::2, 1:9].numpy()) < 1e-5
    assert answers["block_0_mean"].shape == (2, s.length + int(s.cls))


def test_number_of_decoder_heads_comes_from_the_configuration():
    """Equal shapes, another function: the heads of the other code are a wrong answer."""
    case = make_case(PSF, {"prediction": "whole"}, "heads", mask_ratio=RATIO)
    right = adapter.run(case)["prediction"]
    case["config"]["decoder_heads"] = 2 * PSF.dec_heads
    assert relative_error(adapter.run(case)["prediction"], right) > 1e-3


def test_model_without_positions_is_refused_in_a_sentence(tmp_path):
    case = make_case(PSF, {}, "none", mask_ratio=RATIO)
    case["state"] = {key: value for key, value in case["state"].items() if "pos_embed" not in key}
    save_case(tmp_path / "case", case, {"loss": np.zeros(())})
    passed, line = run_case(tmp_path / "case")
    assert not passed
    assert "no pos_embed" in line


class TestProgram:
    """`python -m tests.conformance FOLDER`"""

    @pytest.fixture
    def folder(self, tmp_path):
        case = make_case(Shape(classes=7), {}, "program", num_heads=6)
        expected = classify(tensors(state_of(case)), Shape(classes=7), tensors(inputs_of(case))["video"])
        save_case(tmp_path / "deep" / "case", case, {"logits": expected["logits"].numpy()})
        return tmp_path, case, expected["logits"].numpy()

    def test_good_case_exits_0(self, folder, capsys):
        assert main([folder[0]]) == 0
        assert capsys.readouterr().out.startswith("ok   mae_st/case: ")

    def test_damaged_outputs_exit_1(self, folder, capsys):
        path, case, logits = folder
        damaged = logits.copy()
        damaged[1, 3] += 2e-4 * np.abs(logits).max()
        save_case(path / "deep" / "case", case, {"logits": damaged})
        assert main([path]) == 1
        line = capsys.readouterr().out
        assert line.startswith("FAIL mae_st/case: 2.0")
        assert "(logits)" in line

    def test_one_failure_among_passes_exits_1(self, folder, capsys):
        path, case, logits = folder
        save_case(path / "other", case, {"logits": -logits})
        assert main([path / "deep", path / "other"]) == 1
        assert [line[:4] for line in capsys.readouterr().out.splitlines()] == ["ok  ", "FAIL"]

    def test_unknown_output_is_named_as_missing(self, folder, capsys):
        path, case, logits = folder
        save_case(path / "deep" / "case", case, {"logits": logits, "rainbow": logits})
        assert main([path]) == 1
        assert "does not know the output rainbow" in capsys.readouterr().out

    def test_unknown_system_is_named(self, folder, capsys):
        path, case, logits = folder
        save_case(path / "deep" / "case", {**case, "system": "mae_tz"}, {"logits": logits})
        assert main([path]) == 1
        assert "no adapter for the system 'mae_tz'" in capsys.readouterr().out

    def test_wrong_parameter_count_fails(self, folder, capsys):
        path, case, logits = folder
        save_case(path / "deep" / "case", {**case, "params": case["params"] + 1}, {"logits": logits})
        assert main([path]) == 1
        assert f"{case['params']} parameters" in capsys.readouterr().out

    def test_not_finite_answer_never_passes(self, folder, capsys):
        path, case, logits = folder
        save_case(path / "deep" / "case", {**case, "scale_after_fill": {"head.weight": float("inf")}}, {"logits": logits})
        assert main([path]) == 1
        assert "not finite" in capsys.readouterr().out

    @pytest.mark.parametrize("missing", ["nowhere", "empty"])
    def test_no_case_exits_2(self, tmp_path, capsys, missing):
        (tmp_path / "empty").mkdir()
        assert main([tmp_path / missing]) == 2
        assert missing in capsys.readouterr().err
