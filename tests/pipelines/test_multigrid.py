"""Multigrid training through the program: several shapes, stopped within a phase, and what cannot be."""

from __future__ import annotations

import csv

import pytest
import torch

from tests.pipelines.programs import BARE, sentence, sigterm_half_way
from vidmodels import zoo
from vidmodels.core.recipe import ClassifyRecipe
from vidmodels.training.plan import make_plan

TINY = "slowfast_tiny_multigrid"
# phases of four steps: the first has 4, the second 8 frames, and both change the crop within three steps
LENGTH = ("--schedule.epochs", "20", "--schedule.milestones", "12", "16", "--schedule.max-steps", "6")


def losses_of(run) -> dict[str, str]:
    with open(run / "metrics.csv", newline="") as stream:
        return {row["step"]: row["loss"] for row in csv.DictReader(stream) if row["loss"]}


def test_stopped_within_a_phase_it_goes_on_to_the_same_losses(programs):
    words = (*BARE, *LENGTH)
    calm = programs.classify(*words, "--run.name", "calm", recipe=TINY)
    assert calm.code == 0, calm.err
    with sigterm_half_way():
        stopped = programs.classify(*words, "--run.name", "stopped", recipe=TINY)
    assert stopped.code == 143
    assert "stopped at step 2 with a checkpoint" in stopped.err
    resumed = programs.classify(*words, "--run.name", "stopped", recipe=TINY)
    assert resumed.code == 0, resumed.err
    assert losses_of(programs.home / "stopped") == losses_of(programs.home / "calm")
    wanted, about = zoo.load_model(programs.home / "calm" / "model" / "model.safetensors")
    found, _ = zoo.load_model(programs.home / "stopped" / "model" / "model.safetensors")
    assert all(torch.equal(a, b) for a, b in zip(wanted.state_dict().values(), found.state_dict().values()))
    assert about["clip"]["num_frames"] == 16, "the weights name the whole clip"


def test_these_steps_have_several_shapes_and_the_stop_lies_within_a_phase():
    recipe = zoo.recipes(ClassifyRecipe)[TINY]()
    schedule = recipe.schedule.replace(epochs=20, milestones=(12.0, 16.0), batch_size=4)
    course = make_plan(recipe.replace(schedule=schedule), 20, 1, recipe.multigrid).course
    shapes = [(shape.videos, shape.num_frames, shape.size) for shape in map(course.shape, range(6))]
    assert shapes == [(64, 4, 16), (32, 4, 23), (32, 4, 23), (64, 4, 16), (32, 8, 16), (16, 8, 23)]


def test_a_dry_run_takes_the_first_shape(programs):
    said = programs.classify("--dry-run", recipe=TINY)
    assert said.code == 0, said.err
    assert "(20, 1, 4, 16, 16, 3)" in said.out, "64 videos a step, of which there are 20"


def test_statistics_anew_before_an_evaluation(programs):
    said = programs.classify(*BARE, *LENGTH, "--schedule.max-steps", "1", "--train.precise-bn", "3", recipe=TINY)
    assert said.code == 0, said.err
    (run,) = programs.runs("train_classifier")
    model, _ = zoo.load_model(run / "model" / "model.safetensors")
    assert 0 < model.backbone.slow.stem.norm.running_var.mean() < 10


# ---- what cannot be: one sentence each


CYCLE = ("--multigrid.short-cycle", "True")


def test_a_model_of_fixed_geometry(programs):
    sentence(
        programs.classify(*BARE, *CYCLE, recipe="mae_st_tiny_classifier"),
        "model.name 'mae_st_vit_tiny' does not take the clips of", "of 23 x 23 pixels that multigrid makes of its own",
        "choose a convolutional model",
    )  # fmt: skip


def test_frames_that_alpha_does_not_divide(programs):
    words = ("--data.clip.num-frames", "24", "--multigrid.long-cycle", "True", "--schedule.milestones", "4")
    sentence(programs.classify(*BARE, *words, recipe="slowfast_tiny"), "does not take the clips of 6 frames")


def test_a_model_that_hears(programs):
    sentence(
        programs.classify(*BARE, *CYCLE, recipe="avslowfast_tiny"),
        "multigrid is for models of pictures", "'avslowfast_tiny' hears", "leave out the settings multigrid.*",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (
            ("--multigrid.long-cycle", "True"),
            ("needs steps of the learning rate within the 8 epochs", "schedule.milestones is ()"),
        ),
        (("--train.sync-bn", "True", *CYCLE), ("train.sync_bn and multigrid exclude each other", "multigrid.bn_base_size")),
        (
            ("--multigrid.long-cycle", "True", "--schedule.milestones", "4", "--data.clip.num-frames", "10"),
            ("data.clip.num_frames 10 has no share of 0.25 in whole frames",),
        ),
        (("--multigrid.short-cycle-factors", "0.5", "1.5"), ("multigrid factor of 1.5 is not a share of the clip",)),
        (("--multigrid.epoch-factor", "0"), ("multigrid.epoch_factor", "0")),
    ],
)
def test_settings_that_do_not_fit(programs, words, parts):
    sentence(programs.classify(*BARE, *words, recipe="slowfast_tiny"), *parts)
    assert programs.runs("train_classifier") == []


def test_a_long_cycle_that_does_not_end_with_the_whole_clip():
    with pytest.raises(ValueError, match=r"\(\(0\.5, 1\.0\),\) must end with the whole clip, \(1, 1\)"):
        zoo.recipes(ClassifyRecipe)[TINY]().multigrid.replace(long_cycle_factors=((0.5, 1.0),))
