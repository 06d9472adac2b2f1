"""`pretrain_contrastive.py` from its command line: all frameworks, neighbours, interruptions, what starts from its model."""

from __future__ import annotations

import csv
import json

import pytest
from safetensors.torch import load_file

from tests.data import videos
from tests.pipelines.programs import BARE, sentence, sigterm_half_way

FRAMEWORKS = ("moco", "byol", "simclr", "swav")


def finished(run) -> dict[str, float]:
    return json.loads((run / "finished.json").read_text())["metrics"]


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_framework_with_three_clips_its_neighbours_and_a_classifier_that_starts_from_it(programs, framework):
    said = programs.pretrain_contrastive("--data.clip.repeats", "3", *BARE, recipe=f"rho_{framework}_tiny")
    assert said.code == 0, said.err
    (run,) = programs.runs("pretrain_contrastive")
    metrics = finished(run)
    assert metrics["val_videos"] == 10
    assert 0 <= metrics["val_top1"] <= 1
    model = run / "model" / "model.safetensors"
    state = load_file(model)
    assert len(state["memory"]) == 20
    if framework == "moco":
        assert state["pointer"].item() == 4 * 4 * 3
    said = programs.classify("--init", str(model), *BARE, recipe="i3d_tiny")
    assert said.code == 0, said.err
    assert "head.projection.weight" in said.err


def test_two_crops_of_one_clip_are_rho_one(programs):
    said = programs.pretrain_contrastive("--data.clip.repeat-times", "same", *BARE, recipe="rho_simclr_tiny")
    assert said.code == 0, said.err


@pytest.mark.parametrize("framework", ["moco", "swav"])
def test_an_interrupted_run_goes_on_as_if_it_had_not_been(programs, framework):
    recipe, words = f"rho_{framework}_tiny", (*BARE, "--model.queue", "32")
    whole = programs.pretrain_contrastive(*words, "--run.name", "whole", recipe=recipe)
    assert whole.code == 0, whole.err
    with sigterm_half_way():
        assert programs.pretrain_contrastive(*words, "--run.name", "cut", recipe=recipe).code == 143
    assert programs.pretrain_contrastive(*words, "--run.name", "cut", recipe=recipe).code == 0
    losses = []
    for name in ("whole", "cut"):
        with open(programs.home / name / "metrics.csv", newline="") as stream:
            losses.append([row["loss"] for row in csv.DictReader(stream)])
    assert losses[0] == losses[1]
    first, second = (load_file(programs.home / name / "model" / "model.safetensors") for name in ("whole", "cut"))
    assert all((first[key] == second[key]).all() for key in first)


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("--data.clip.repeats", "1"), ("data.clip.repeats is 1", "choose 2 or more")),
        (("--model.queue", "30"), ("queue of 30 keys is not a multiple of schedule.batch_size 4", "model.queue")),
        (("--data.clip.gap", "0", "1", "--data.clip.repeats", "8"), ("videos are too short", "no room for 8 clips")),
        (("--data.clip.gap", "2", "1"), ("clip.gap", "smallest <= largest")),
        (("--model.name", "mae_st_vit_tiny_pretrain"), ("is made for pretrain_masked, not for pretrain_contrastive",)),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_trained(programs, words, parts):
    said = programs.pretrain_contrastive(*words, *BARE)
    sentence(said, *parts)
    assert not any((run / "checkpoints").exists() for run in programs.runs("pretrain_contrastive"))


def test_one_class_has_no_neighbours_to_tell_apart(programs, tmp_path):
    names = [videos.write(tmp_path / f"{number}.mp4", count=8).name for number in range(10)]
    (tmp_path / "list.csv").write_text("path,label\n" + "".join(f"{name},cats\n" for name in names))
    said = programs.pretrain_contrastive("--data.path", str(tmp_path / "list.csv"), *BARE)
    sentence(said, "all videos are of one class, 'cats'", "labels of several")


def test_more_workers_than_videos_of_a_step(programs, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "8")
    monkeypatch.setenv("RANK", "0")
    said = programs.pretrain_contrastive(*BARE)
    sentence(said, "schedule.batch_size 4 is not a multiple of 8 workers")
