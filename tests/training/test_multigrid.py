"""Multigrid schedules against the paper's shapes and against what the published program makes of its recipes."""

from __future__ import annotations

import pytest

from vidmodels.core.recipe import ClassifyRecipe, ClipSection, DataSection, MultigridSection, OptimSection, ScheduleSection
from vidmodels.data.course import Shape
from vidmodels.training.multigrid import long_cycle, short_cycle
from vidmodels.training.plan import make_plan

BOTH = MultigridSection(long_cycle=True, short_cycle=True)
CLIP = ClipSection(num_frames=32, frame_stride=2, size=224, crop="random_short_side")
KINETICS = ClassifyRecipe(
    data=DataSection(clip=CLIP),
    optim=OptimSection(name="sgd", lr=0.1, lr_batch=64),
    schedule=ScheduleSection(epochs=239, batch_size=64, warmup_epochs=34, start_lr=0.01, milestones=(94.0, 154.0, 196.0)),
    multigrid=BOTH,
)
VIDEOS = 240_000


def plan_of(recipe: ClassifyRecipe, videos: int = VIDEOS, world: int = 1):
    return make_plan(recipe, videos, world, recipe.multigrid)


def test_the_long_cycle_has_the_shapes_of_the_paper():
    """8B x T/4 x (S/sqrt 2)^2, 4B x T/2 x (S/sqrt 2)^2, 2B x T/2 x S^2, B x T x S^2."""
    assert long_cycle(BOTH, CLIP, 64) == [Shape(512, 8, 158), Shape(256, 16, 158), Shape(128, 16, 224), Shape(64, 32, 224)]
    slow = CLIP.replace(num_frames=8, frame_stride=8)
    assert [(s.videos, s.num_frames) for s in long_cycle(BOTH, slow, 8)] == [(64, 2), (32, 4), (16, 4), (8, 8)]


def test_the_short_cycle_keeps_the_volume_and_no_crop_exceeds_the_phase():
    assert short_cycle(BOTH, CLIP, Shape(64, 32, 224)) == (Shape(256, 32, 112), Shape(128, 32, 158), Shape(64, 32, 224))
    assert short_cycle(BOTH, CLIP, Shape(512, 8, 158)) == (Shape(1024, 8, 112), Shape(512, 8, 158), Shape(512, 8, 158))
    assert short_cycle(MultigridSection(), CLIP, Shape(64, 32, 224)) == (Shape(64, 32, 224),)


def test_each_step_of_the_rate_goes_through_the_long_cycle_and_the_last_tunes_at_full_shape():
    phases = plan_of(KINETICS).course.phases
    assert [phase.shape.num_frames for phase in phases] == [8, 16, 16, 32] * 3 + [32, 32]
    assert [phase.shape.size for phase in phases] == [158, 158, 224, 224] * 3 + [224, 224]
    rates = [8, 4, 2, 1, 0.8, 0.4, 0.2, 0.1, 0.08, 0.04, 0.02, 0.01, 0.01, 0.001]
    assert [phase.rate for phase in phases] == pytest.approx(rates)


def test_epochs_of_the_published_recipe():
    """The published program gives 358 epochs in these parts: equally many steps in each shape, epochs as batches are large."""
    plan = plan_of(KINETICS)
    course = plan.course
    ends = [0.0]
    for phase in course.phases:
        ends.append(ends[-1] + phase.samples(phase.steps) / VIDEOS)
    wanted = [73, 110, 142, 158, 205, 228, 248, 259, 291, 308, 322, 329]
    assert [round(end) for end in ends[1:13]] == wanted
    assert ends[-1] == pytest.approx(239 * 1.5, abs=0.02)
    steps = [phase.steps for phase in course.phases[:4]]
    assert max(steps) - min(steps) <= 1
    baseline = make_plan(KINETICS, VIDEOS, 1)
    assert baseline.total_steps / plan.total_steps == pytest.approx(3.42, abs=0.01)


def test_the_short_cycle_alone_stretches_any_schedule():
    recipe = KINETICS.replace(multigrid=MultigridSection(short_cycle=True))
    plan = plan_of(recipe)
    assert [phase.rate for phase in plan.course.phases] == pytest.approx([1, 0.1, 0.01, 0.001])
    assert plan.epoch(plan.total_steps) == pytest.approx(358.5, abs=0.01)
    assert plan.epoch(plan.course.phases[0].steps) == pytest.approx(94 * 1.5, abs=0.01)
    cosine = plan_of(recipe.replace(schedule=recipe.schedule.replace(milestones=())))
    assert [phase.rate for phase in cosine.course.phases] == [1.0]
    assert cosine.total_steps == plan.total_steps


def test_the_plan_counts_samples_clips_and_epochs():
    plan = plan_of(KINETICS, world=8)
    assert [plan.clips(step) for step in range(4)] == [1024, 512, 512, 1024]
    assert [plan.norm_clips(step) for step in (0, 1, plan.total_steps - 1)] == [64, 64, 8], "of a worker, in the phase's shape"
    assert len(plan.micro_batches()[0]) == 128
    assert plan.samples(3) == 2048
    assert plan.epoch(plan.warmup_steps) == pytest.approx(34, abs=0.01)
    assert plan.epoch(plan.steps(100)) == pytest.approx(100, abs=0.01)


def test_without_multigrid_a_plan_is_what_it_was():
    plan = make_plan(KINETICS, 1000, 2)
    assert (plan.total_steps, plan.warmup_steps, plan.micro, plan.bn_base_size) == (3734, 531, 32, None)
    changes = [step for step in range(1, 3734) if plan.course.phase(step) is not plan.course.phase(step - 1)]
    assert changes == [1469, 2406, 3062]
    assert plan.total_samples == 3734 * 64
