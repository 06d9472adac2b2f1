"""Contrastive learning on two workers of Ray: the loss falls, and an interrupted run goes on to the last bit."""

from __future__ import annotations

import csv

import pytest
from safetensors.torch import load_file

from tests.pipelines.programs import BARE, sigterm_half_way

pytestmark = [pytest.mark.slow, pytest.mark.ray]

WORDS = (*BARE, "--run.backend", "ray", "--run.num-workers", "2", "--run.decoders", "1", "--schedule.batch-size", "8",
         "--data.synthetic.num-videos", "16", "--schedule.warmup-epochs", "0", "--model.queue", "32")  # fmt: skip


def losses(folder) -> list[float]:
    with open(folder / "metrics.csv", newline="") as stream:
        return [float(row["loss"]) for row in csv.DictReader(stream)]


@pytest.mark.parametrize("framework", ["moco", "byol", "simclr", "swav"])
@pytest.mark.parametrize("rho", [2, 4])
def test_the_loss_falls(ray_cluster, programs, framework, rho):
    words = ("--schedule.max-steps", "60", "--schedule.epochs", "30", "--data.clip.repeats", str(rho), "--run.name", "long")
    said = programs.pretrain_contrastive(*WORDS, *words, recipe=f"rho_{framework}_tiny")
    assert said.code == 0, said.err
    found = losses(programs.home / "long")
    # 10 steps in, when the queue of MoCo is full; the loss of BYOL is negative
    first, last = sum(found[3:6]) / 3, sum(found[-3:]) / 3
    assert last < first - 0.05 * abs(first)


def test_an_interrupted_run_goes_on_to_the_last_bit(ray_cluster, programs):
    words = (
        *WORDS,
        "--schedule.max-steps",
        "80",
        "--schedule.epochs",
        "40",
        "--train.checkpoint-every",
        "20",
        "--run.log-every",
        "1",
    )
    for name in ("whole", "cut"):
        if name == "cut":
            with sigterm_half_way():
                assert programs.pretrain_contrastive(*words, "--run.name", name).code == 143
        said = programs.pretrain_contrastive(*words, "--run.name", name)
        assert said.code == 0, said.err
    assert losses(programs.home / "whole") == losses(programs.home / "cut")
    first, second = (load_file(programs.home / name / "model" / "model.safetensors") for name in ("whole", "cut"))
    assert all((first[key] == second[key]).all() for key in first)
