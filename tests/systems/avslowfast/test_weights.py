"""Files of audiovisual SlowFasts, and of SlowFasts as their start: what loads, what stays new, what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from tests.systems.avslowfast.parts import authors_state, clips, pytorchvideo_state, sounds, tiny
from tests.systems.slowfast.parts import tiny as tiny_slowfast
from tests.systems.slowfast.test_weights import pyslowfast_of
from vidmodels import zoo
from vidmodels.core.errors import WeightsError
from vidmodels.systems.avslowfast.weights import load_tensors

CASES = Path(__file__).parents[2] / "conformance" / "cases" / "avslowfast"
ALL = {"fast_at": (True,) * 4, "audio_at": (True,) * 4}
VARIANTS = {
    "as published": {},
    "v2": {"audio_forms": ("narrow", "narrow", "joint", "joint")},
    "v1 throughout": {"audio_forms": ("wide",) * 4},
    "joined everywhere": {**ALL, "sync": ("stem", "res2", "res3", "res4", "res5")},
    "one convolution": {**ALL, "audio_convs": 1},
    "three convolutions": {"audio_convs": 3, "audio_width": 0.5},
    "no synchronisation": {"sync": ()},
}


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
@torch.no_grad()
def test_the_authors_files_come_back_exactly(changes, tmp_path):
    saved, other = tiny(seed=1, **changes), tiny(seed=2, **changes)
    torch.save({"epoch": 3, "model_state": authors_state(saved), "cfg": "TRAIN:\n  ENABLE: true"}, tmp_path / "a.pyth")
    report = zoo.load_weights(other, tmp_path / "a.pyth")
    assert (report.format, report.new, report.dropped, report.resized) == ("AVSlowFast (PySlowFast)", [], {}, {})
    for key, value in saved.state_dict().items():
        assert torch.equal(other.state_dict()[key], value), key


def test_the_names_are_those_of_the_reference():
    """The keys that the tests write are the ones of a whole model of the authors', and of PyTorchVideo's."""
    for case, name, names in (
        ("avslowfast_4x16_r50", "avslowfast_r50_4x16", authors_state),
        ("audio_visual_slowfast_r50_pytorchvideo", "avslowfast_r50_8x8_ptv", pytorchvideo_state),
    ):
        state = json.loads((CASES / case / "case.json").read_text())["state"]
        with torch.device("meta"):
            ours = names(zoo.create_model(name))
        assert {key: list(value.shape) for key, value in ours.items()} == {k: v["shape"] for k, v in state.items()}


@torch.no_grad()
def test_pytorchvideo_s_files_come_back_exactly():
    saved, other = (tiny("avslowfast_r50_8x8_ptv", seed=seed) for seed in (1, 2))
    report = load_tensors(other, pytorchvideo_state(saved), "the file")
    assert (report.format, report.new, report.dropped, report.resized) == ("AVSlowFast (PyTorchVideo)", [], {}, {})
    assert_close(other(clips(), sounds()), saved(clips(), sounds()), rtol=0, atol=0)


@torch.no_grad()
def test_own_files_round_trip(tmp_path):
    saved, other = tiny(seed=1), tiny(seed=2)
    path = zoo.save_weights(saved, tmp_path / "a.safetensors")
    assert zoo.load_weights(other, path).new == []
    again, _ = zoo.load_model(path)
    for model in (other, again.eval()):
        assert_close(model(clips(), sounds()), saved(clips(), sounds()), rtol=0, atol=0)


@pytest.mark.parametrize("form", ["vidmodels", "PySlowFast"])
def test_the_pathways_that_see_start_from_a_slowfast(form):
    """Slow's res2 and res3 have other inputs, since Fast does not join it before them; all that hears is new."""
    visual = tiny_slowfast("slowfast_r50_4x16", depth=(1, 2, 1, 1))
    model = tiny()
    state = visual.state_dict() if form == "vidmodels" else pyslowfast_of(visual)
    report = load_tensors(model, state, "the file")
    assert report.format == f"SlowFast ({form})"
    own = model.state_dict()
    seen = {k for k in own if k.startswith(("backbone.slow.", "backbone.fast.", "backbone.laterals."))}
    other_inputs = {
        f"backbone.slow.{stage}.blocks.0.{part}.weight" for stage in ("res2", "res3") for part in ("conv_a", "shortcut.conv")
    }
    assert set(report.new) == own.keys() - (seen - other_inputs)
    for key in seen - other_inputs:
        assert torch.equal(own[key], visual.state_dict()[key]), key
    assert "the head of a network without Audio" in str(report)
    early = "backbone.laterals.0.conv.weight"
    assert report.dropped[early] == "the model has no such part"
    assert report.dropped["backbone.slow.res2.blocks.0.conv_a.weight"].startswith("shape (8, 12, 1, 1, 1) in the file")


def test_a_model_joined_as_slowfast_is_takes_all_of_its_pathways():
    visual = tiny_slowfast("slowfast_r50_4x16", depth=(1, 2, 1, 1))
    model = tiny(fast_at=(True,) * 4)
    report = load_tensors(model, visual.state_dict(), "the file")
    assert not [key for key in report.new if key.startswith(("backbone.slow.", "backbone.fast.", "backbone.laterals."))]


def test_heads_of_synchronisation_may_be_missing_on_either_side():
    whole, without = tiny(seed=1), tiny(seed=2, sync=())
    report = load_tensors(without, authors_state(whole), "the file")
    assert report.new == []
    assert report.dropped
    assert all(key.startswith("sync.") for key in report.dropped)
    report = load_tensors(whole, authors_state(without), "the file")
    assert report.new
    assert all(key.startswith("sync.") for key in report.new)


def test_fine_tuning_starts_from_synchrony_with_a_new_head():
    learned, model = tiny(seed=1, num_classes=0), tiny(seed=2)
    report = load_tensors(model, learned.state_dict(), "the file")
    assert set(report.new) == {"head.projection.weight", "head.projection.bias"}
    assert torch.equal(model.backbone.audio.stem.conv_t.weight, learned.backbone.audio.stem.conv_t.weight)
    report = load_tensors(learned, model.state_dict(), "the file")
    assert set(report.dropped) == {"head.projection.weight", "head.projection.bias"}


def test_other_classes_are_an_error_unless_allowed():
    saved, model = tiny(seed=1), tiny(seed=2, num_classes=7)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(WeightsError, match=r"head\.projection\.weight has shape \(5, \d+\) in the file and \(7, \d+\)"):
        load_tensors(model, authors_state(saved), "the file")
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    report = load_tensors(model, authors_state(saved), "the file", allow=("head.*",))
    assert set(report.new) == {"head.projection.weight", "head.projection.bias"}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda s: s.update({"s6.pathway2_extra.weight": torch.zeros(2)}), r"has keys .* 's6\.pathway2_extra\.weight'"),
        (lambda s: s.pop("s4.pathway2_res0.branch2.b.weight"), r"it has no backbone\.audio\.res4\.0\.b\.conv\.weight"),
        (lambda s: s["head.projection.bias"].fill_(float("nan")), r"head\.projection\.bias holds values that are not finite"),
        (lambda s: s.update({"s2.pathway2_res0.branch2.t.weight": torch.zeros(3)}), r"b\.time\.conv\.weight has shape \(3,\)"),
    ],
)
def test_files_that_do_not_fit_are_refused(damage, message):
    state, model = authors_state(tiny(seed=1)), tiny(seed=2)
    damage(state)
    with pytest.raises(WeightsError, match=message):
        load_tensors(model, state, "the file")


def test_blocks_of_the_other_form_are_refused():
    with pytest.raises(WeightsError, match=r"the model has no backbone\.audio\.res2\.0\.a\.conv\.weight|has shape"):
        load_tensors(tiny(), authors_state(tiny(audio_forms=("narrow", "narrow", "joint", "joint"))), "the file")


def test_another_model_s_file_is_named_with_its_keys():
    with pytest.raises(WeightsError, match=r"is in none of the formats .* begin with fc\.weight"):
        load_tensors(tiny(), {"fc.weight": torch.zeros(2, 2)}, "the file")
