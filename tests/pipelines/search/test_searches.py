"""The search programs from the command line to the study's folder, on the shared cluster with trials of a few steps."""

from __future__ import annotations

import csv
import json
import os
import signal
import threading
from pathlib import Path

import pytest

from pipelines.common.program import parse
from tests.pipelines.programs import BARE, sentence
from vidmodels.core.recipe import ClassifyRecipe

pytestmark = pytest.mark.ray

GRID = ("--space", "optim.lr=1e-3,1e-2 optim.weight_decay=0.05", "--search.metric", "loss", "--search.scheduler", "none")
SMALL = ("--search.target-gmacs", "0.0016", "--search.axes", "fast,spatial")


def state_of(study: Path) -> dict:
    return json.loads((study / "study.json").read_text())


def test_a_sweep_leaves_table_picture_report_and_children_in_mlflow_and_is_not_trained_twice(ray_cluster, programs):
    said = programs.tune(*GRID)
    assert said.code == 0, said.err
    (study,) = programs.runs("tune_recipe")
    for name in ("trials.csv", "sweep.png", "report.html", "finished.json", "recipe.json"):
        assert (study / name).stat().st_size > 0, name
    trials = state_of(study)["trials"]
    assert sorted(each["settings"]["optim.lr"] for each in trials.values()) == [1e-3, 1e-2]
    assert {each["state"] for each in trials.values()} == {"finished"}
    with open(study / "trials.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [float(row["loss"]) for row in rows] == sorted(each["metrics"]["loss"] for each in trials.values())
    assert all((study / name / "model" / "model.safetensors").exists() for name in trials)
    _check_lineage(programs.home / "mlflow.db", study.name, set(trials), rows[0]["trial"])
    before = {path: path.stat().st_mtime_ns for path in study.glob("trial-*/checkpoints/*")}
    again = programs.tune(*GRID)
    assert again.code == 0, again.err
    assert "2 trials, 2 of them ended before" in again.err
    assert {path: path.stat().st_mtime_ns for path in study.glob("trial-*/checkpoints/*")} == before
    assert state_of(study)["trials"] == trials


def _check_lineage(store: Path, study: str, trials: set[str], best: str) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{store}")
    runs = client.search_runs([client.get_experiment_by_name("vidmodels").experiment_id])
    (parent,) = [run for run in runs if run.info.run_name == study]
    children = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert {run.info.run_name for run in children} == trials
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert parent.data.params["best.trial"] == best
    assert parent.data.metrics["best.loss"] == min(run.data.metrics["loss"] for run in children)
    assert {each.path for each in client.list_artifacts(parent.info.run_id)} >= {"trials.csv", "sweep.png", "report.html"}
    assert not client.search_registered_models(), "no alias goes to whichever trial ends last"


def test_a_trial_that_fails_is_told_and_the_others_go_on(ray_cluster, programs):
    space = ("--space", "optim.lr=1e-3,1e30", *GRID[2:], "--train.max-bad-steps", "1", "--optim.clip-norm", "None")
    said = programs.tune(*space, *BARE)
    assert said.code == 0, said.err
    (study,) = programs.runs("tune_recipe")
    found = {each["settings"]["optim.lr"]: each for each in state_of(study)["trials"].values()}
    assert (found[1e-3]["state"], found[1e30]["state"]) == ("finished", "failed")
    assert "not finite" in found[1e30]["error"] or "non-finite" in found[1e30]["error"]
    assert found[1e30]["error"] in said.err


@pytest.mark.slow
def test_the_trials_of_a_stopped_sweep_go_on_from_their_checkpoints(ray_cluster, programs):
    words = (*GRID, *BARE, "--search.concurrent", "1", "--schedule.max-steps", "40", "--train.checkpoint-every", "2")
    timer = threading.Thread(target=_interrupt_after_first_checkpoint, args=(programs.home,), daemon=True)
    timer.start()
    stopped = programs.tune(*words)
    assert stopped.code == 143, stopped.err
    assert "the same command goes on" in stopped.err
    (study,) = programs.runs("tune_recipe")
    (begun,) = study.glob("trial-*")
    assert not (begun / "finished.json").exists()
    assert list(begun.glob("checkpoints/step_*"))
    resumed = programs.tune(*words)
    assert resumed.code == 0, resumed.err
    with open(begun / "metrics.csv", newline="") as stream:
        steps = [int(row["step"]) for row in csv.DictReader(stream)]
    assert steps == sorted(set(steps)) == list(range(2, 41, 2))
    assert {each["step"] for each in state_of(study)["trials"].values()} == {40}


def _interrupt_after_first_checkpoint(home: Path) -> None:
    import time

    while not list(home.glob("tune_recipe-*/trial-*/checkpoints/step_*")):
        time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGTERM)


def test_a_cluster_that_is_too_small_is_one_sentence(ray_cluster, programs):
    sentence(programs.tune(*GRID, *BARE, "--run.cpus-per-worker", "9"), "a trial needs 9 CPU", "have 4 and 0")


@pytest.mark.slow
def test_an_expansion_ends_with_a_recipe_that_the_trainer_takes(ray_cluster, programs):
    said = programs.expand(*SMALL, "--run.pictures", "False")
    assert said.code == 0, said.err
    (study,) = programs.runs("expand_x3d")
    generations = state_of(study)["notes"]["generations"]
    axes = [{each["axis"] for each in part["candidates"]} for part in generations]
    assert axes[:2] == [{"base"}, {"fast", "spatial"}]
    final = next(each for each in generations[-1]["candidates"] if each["axis"] == generations[-1]["chosen"])
    for name in ("expansion.png", "trials.csv", "report.html"):
        assert (study / name).stat().st_size > 0, name
    report = (study / "report.html").read_text()
    assert report.count(">chosen<") == 1
    assert report.rindex("trial-", 0, report.index(">chosen<")) == report.index(final["trial"])
    recipe = parse(("--recipe", str(study / "expanded" / "recipe.json")), "program", ClassifyRecipe, "x2d_tiny").recipe
    clip, point = recipe.data.clip, final["point"]
    assert (clip.num_frames, clip.frame_stride, clip.size) == (point["frames"], point["stride"], point["size"])
    trained = programs.classify_file(study / "expanded" / "recipe.json", "--dry-run")
    assert trained.code == 0, trained.err
    assert "one step went through" in trained.out


def test_an_expansion_of_which_each_step_is_chosen_by_latency(ray_cluster, programs):
    said = programs.expand(
        "--search.target-gmacs", "0.0013", "--search.axes", "spatial", "fast", *BARE, "--search.goodness", "latency"
    )
    assert said.code == 0, said.err
    (study,) = programs.runs("expand_x3d")
    state = state_of(study)
    times = {name: each["metrics"]["latency_ms"] for name, each in state["trials"].items()}
    assert all(value > 0 for value in times.values())
    for part in state["notes"]["generations"]:
        chosen = next(each for each in part["candidates"] if each["axis"] == part["chosen"])
        assert times[chosen["trial"]] == min(times[each["trial"]] for each in part["candidates"])


# ---- what cannot be is said before anything is trained


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--search.target-gmacs", "0.0001"), "is not above the base network, which has 8.371e+05"),
        (("--search.target-gmacs", "9", "--search.axes", "fast", "temporal"), "cannot be reached along fast, temporal"),
        (("--search.target-mparams", "1"), "search.cost 'macs' needs --search.target-gmacs"),
        (("--search.target-gmacs", "1", "--search.rate", "1"), "search.rate = 1.0 is not possible"),
        (("--search.target-gmacs", "1", "--model.name", "slowfast_tiny"), "is not of X3D"),
        (("--search.target-gmacs", "1", "--data.clip.frame-stride", "99"), "are longer than videos of 16 frames"),
    ],
)
def test_expansions_that_cannot_be(programs, words, said):
    sentence(programs.expand(*words), said)
    assert programs.runs("expand_x3d") == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--space", "optim.lrr=1,2"), "did you mean 'optim.lr'"),
        (("--space", "optim.lr=0"), "optim.lr = 0 is not possible"),
        (("--space", "data.clip.size=32,4"), "data.clip.size = 4 is not possible"),
        (("--space", "model.settings.width_facter=1.0"), "did you mean 'width_factor'"),
        (("--space", "schedule.accumulate=1,3"), "schedule.batch_size 4 is not a multiple"),
        ((), "the search space is empty"),
    ],
)
def test_sweeps_that_cannot_be(programs, words, said):
    sentence(programs.tune(*words), said)
    assert programs.runs("tune_recipe") == []
