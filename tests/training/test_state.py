"""What a checkpoint brings back: bit-equal learning, refusals of what does not fit, and no code."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.training.parts import TinyNet, one_step
from vidmodels.core.errors import CheckpointError
from vidmodels.core.recipe import OptimSection
from vidmodels.training.checkpoint import Checkpointer
from vidmodels.training.distributed import World
from vidmodels.training.ema import Ema
from vidmodels.training.files import load_pickled, save_pickled
from vidmodels.training.optim import build_optimizer, freeze
from vidmodels.training.state import TrainState, load_state, newest_for_all, save_state

ALONE = World()


def trained(steps: int, dropout: float = 0.0) -> tuple[nn.Module, torch.optim.Optimizer, Ema]:
    model = TinyNet(dropout=dropout)
    optimizer = build_optimizer(model, OptimSection(lr=0.01, layer_decay=0.8))
    ema = Ema(model, 0.9)
    for step in range(steps):
        one_step(model, optimizer, step)
        ema.update(model)
    return model, optimizer, ema


def test_a_resumed_run_is_bit_equal_to_an_uninterrupted_one(tmp_path):
    model, optimizer, ema = trained(3)
    target = Checkpointer(tmp_path)
    state = TrainState(3, 24, "abc", metrics={"loss": 1.5}, bad_samples={"x": "bad"}, metadata={"model": "tiny"})
    save_state(target, state, model, optimizer, ema, ALONE)
    other, other_optimizer, other_ema = trained(0)
    with torch.no_grad():
        for p in other.parameters():
            p.add_(1.0)
    assert load_state(newest_for_all(target, ALONE), other, other_optimizer, other_ema, ALONE) == state
    for step in range(3, 8):
        assert torch.equal(one_step(model, optimizer, step), one_step(other, other_optimizer, step))
        ema.update(model)
        other_ema.update(other)
    for name, value in ema.average.items():
        assert torch.equal(value, other_ema.average[name])
    scales = [(g["lr_scale"], g["weight_decay"], g["lr"]) for g in optimizer.param_groups]
    assert scales == [(g["lr_scale"], g["weight_decay"], g["lr"]) for g in other_optimizer.param_groups]


def test_a_checkpoint_of_another_model_or_freezing_is_refused(tmp_path):
    model, optimizer, _ = trained(1)
    target = Checkpointer(tmp_path)
    save_state(target, TrainState(1), model, optimizer, None, ALONE)
    found = target.newest()
    wide = TinyNet()
    wide.head = nn.Linear(8, 4)
    with pytest.raises(CheckpointError, match=r"'head.weight' has shape \(3, 8\) there and \(4, 8\) in the model"):
        load_state(found, wide, build_optimizer(wide, OptimSection()), None, ALONE)
    more = TinyNet()
    more.extra = nn.Linear(2, 2)
    with pytest.raises(CheckpointError, match=r"'extra.bias' is missing in the checkpoint"):
        load_state(found, more, build_optimizer(more, OptimSection()), None, ALONE)
    with pytest.raises(CheckpointError, match="holds no averaged weights"):
        load_state(found, model, optimizer, Ema(model, 0.9), ALONE)
    frozen = TinyNet()
    freeze(frozen, ["body.*"])
    partly = build_optimizer(frozen, OptimSection())
    save_state(target, TrainState(2), frozen, partly, None, ALONE)
    with pytest.raises(CheckpointError, match=r"knows no parameter 'body.0.norm.weight': was it frozen then"):
        load_state(target.newest(), model, optimizer, None, ALONE)


class Hostile:
    """Runs a command when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self):
        return os.system, (f"touch {self.canary}",)


@pytest.mark.parametrize("form", ["torch", "pickle"])
def test_a_hostile_optimizer_file_runs_nothing_though_its_hash_is_right(tmp_path, form):
    model, optimizer, _ = trained(1)
    target = Checkpointer(tmp_path / "run")
    save_state(target, TrainState(1), model, optimizer, None, ALONE)
    with target.newest().local("model.safetensors") as path:
        weights = path.read_bytes()
    bad = tmp_path / "bad.pt"
    payload = {"state": Hostile(tmp_path / "canary"), "param_groups": []}
    torch.save(payload, bad) if form == "torch" else bad.write_bytes(pickle.dumps(payload))
    target.save(2, {"model.safetensors": weights, "optimizer.pt": bad}, {"step": 2})
    with pytest.raises(CheckpointError, match=r"optimizer.pt is"):
        load_state(target.newest(), model, optimizer, None, ALONE)
    assert not (tmp_path / "canary").exists()


def test_a_compressed_archive_is_refused_before_it_is_unpacked(tmp_path):
    plain, bomb = tmp_path / "plain.pt", tmp_path / "bomb.pt"
    torch.save({"state": torch.zeros(2_000_000), "param_groups": []}, plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as target:
        for entry in source.infolist():
            target.writestr(entry.filename, source.read(entry))
    assert load_pickled(plain)["state"].numel() == 2_000_000
    assert bomb.stat().st_size < 20_000
    with pytest.raises(CheckpointError, match=r"bytes would unpack to 80\d{5}"):
        load_pickled(bomb)


@pytest.mark.parametrize(
    ("saved", "message"),
    [
        ([1, 2], "holds no optimiser state"),
        ({"state": {}, "param_groups": [3]}, "holds no optimiser state"),
        ({"state": {"a": 5}, "param_groups": []}, "holds no optimiser state"),
        ({"state": {}, "param_groups": []}, "knows no parameter"),
    ],
)
def test_an_optimizer_file_of_another_form_is_refused(tmp_path, saved, message):
    model, optimizer, _ = trained(1)
    target = Checkpointer(tmp_path)
    save_state(target, TrainState(1), model, optimizer, None, ALONE)
    with target.newest().local("model.safetensors") as path:
        weights = path.read_bytes()
    target.save(2, {"model.safetensors": weights, "optimizer.pt": lambda p: save_pickled(saved, p)}, {"step": 2})
    with pytest.raises(CheckpointError, match=message):
        load_state(target.newest(), model, optimizer, None, ALONE)


def test_moments_of_another_shape_are_refused(tmp_path):
    model, optimizer, _ = trained(1)
    optimizer.state[model.head.bias]["exp_avg"] = torch.zeros(7)
    target = Checkpointer(tmp_path)
    save_state(target, TrainState(1), model, optimizer, None, ALONE)
    with pytest.raises(CheckpointError, match=r"exp_avg of 'head.bias' has shape \(7,\) there and \(3,\) in the model"):
        load_state(target.newest(), model, optimizer, None, ALONE)


def test_settings_of_the_optimiser_are_the_recipes_not_the_files(tmp_path):
    model, optimizer, _ = trained(2)
    target = Checkpointer(tmp_path)
    save_state(target, TrainState(2), model, optimizer, None, ALONE)
    again = build_optimizer(model, OptimSection(lr=0.5, weight_decay=0.0, layer_decay=0.8))
    load_state(target.newest(), model, again, None, ALONE)
    assert {g["weight_decay"] for g in again.param_groups} == {0.0}
    assert max(g["lr"] for g in again.param_groups) == 0.5
    assert again.state[model.head.bias]["step"].item() == 2


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_truncated_state_is_an_error_in_one_sentence(tmp_path, share):
    path = tmp_path / "optimizer.pt"
    save_pickled({"state": {}, "param_groups": [], "x": torch.zeros(500)}, path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(CheckpointError, match=r"optimizer.pt is"):
        load_pickled(path)


@pytest.mark.parametrize("text", ["[]", "{}", "nonsense", '{"step": "one"}'])
def test_a_state_without_a_step_is_refused(tmp_path, text):
    model, optimizer, _ = trained(0)
    target = Checkpointer(tmp_path)
    target.save(1, {"state.json": text.encode()}, {})
    with pytest.raises(CheckpointError, match=r"state.json"):
        load_state(target.newest(), model, optimizer, None, ALONE)


def test_tied_weights_are_saved_and_loaded(tmp_path):
    model = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    model[1].weight = model[0].weight
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    target = Checkpointer(tmp_path)
    save_state(target, TrainState(1), model, optimizer, None, ALONE)
    before = model[0].weight.detach().clone()
    nn.init.zeros_(model[0].weight)
    load_state(target.newest(), model, optimizer, None, ALONE)
    assert torch.equal(model[1].weight, before)
    assert model[1].weight is model[0].weight
