"""The length of a run and the shape of its steps, as arithmetic on a recipe."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from vidmodels.core.errors import ConfigError
from vidmodels.core.recipe import MultigridSection, Recipe, ScheduleSection
from vidmodels.data.course import Course, MicroBatches, Phase, Shape
from vidmodels.training.multigrid import multigrid_phases, short_cycle


@dataclass(frozen=True)
class Plan:
    """How many steps there are and what each of them takes.

    course: the samples of each step, and the shape of their clips; batch_size: videos of an optimiser step over all workers
    at the recipe's own shape; shares: micro-batches of a step over all workers; accumulate: those of one worker; repeats:
    clips of each video; epoch_length: videos of an epoch; bn_base_size: clips of the statistics of batch norms, None where
    they are those of the micro-batch.
    """

    course: Course
    total_steps: int
    warmup_steps: int
    batch_size: int
    shares: int
    accumulate: int
    repeats: int
    epoch_length: int
    peak_lr: float
    bn_base_size: int | None = None

    @property
    def micro(self) -> int:
        """Videos of one worker's micro-batch at the recipe's own shape."""
        return self.batch_size // self.shares

    @property
    def total_samples(self) -> int:
        return self.samples(self.total_steps)

    def samples(self, step: int) -> int:
        """Videos that `step` steps took, which is the number of the next one."""
        return self.course.first(step)

    def clips(self, step: int) -> int:
        """Clips of a step over all workers."""
        return self.course.shape(step).videos * self.repeats

    def norm_clips(self, step: int) -> int:
        """Clips of a worker's micro-batch in the phase's own shape: a short cycle leaves batch norms as they are."""
        return self.course.phase(step).shape.videos // self.shares * self.repeats

    def micro_batches(self, start: int = 0) -> MicroBatches:
        """The sample numbers of the micro-batches of all workers from step `start` to the end of the run."""
        return MicroBatches(self.course, self.shares, start, self.total_steps)

    def refreshing(self, step: int, limit: int, rank: int) -> Iterator[range]:
        """The sample numbers of the micro-batches from which a worker computes batch norms anew: those that come after `step`.

        At most `limit` of them, and no more than show each video once: of a few videos there is nothing else to be learned.
        """
        workers = self.shares // self.accumulate
        once = math.ceil(self.epoch_length / (self.micro * workers))
        for number in range(min(limit, once)):
            first = self.samples(step) + (number * workers + rank) * self.micro
            yield range(first, first + self.micro)

    def epoch(self, step: int) -> float:
        """Passes over the data after `step` steps."""
        return self.samples(step) / self.epoch_length

    def steps(self, epochs: float) -> int:
        """Steps in so many epochs, at least one."""
        return max(1, self.course.steps_in(epochs * self.epoch_length))


def make_plan(recipe: Recipe, epoch_length: int, world_size: int, multigrid: MultigridSection | None = None) -> Plan:
    """The plan of a recipe. Raises ConfigError where the batch cannot be shared out evenly."""
    schedule, optim, clip = recipe.schedule, recipe.optim, recipe.data.clip
    grid = multigrid or MultigridSection()
    shares = world_size * schedule.accumulate
    if schedule.batch_size % shares:
        raise ConfigError(
            f"schedule.batch_size {schedule.batch_size} is not a multiple of {world_size} workers x "
            f"{schedule.accumulate} accumulated micro-batches"
        )
    if grid.long_cycle:
        course = Course(multigrid_phases(schedule, clip, grid, epoch_length))
    else:
        cycle = short_cycle(grid, clip, Shape(schedule.batch_size, clip.num_frames, clip.size))
        course = Course(stepwise_phases(schedule, cycle, epoch_length * grid.passes))
    total = max(1, course.steps if schedule.max_steps is None else min(course.steps, schedule.max_steps))
    batch_clips = schedule.batch_size * clip.repeats
    return Plan(
        course=course,
        total_steps=total,
        warmup_steps=min(course.steps_in(schedule.warmup_epochs * epoch_length), total),
        batch_size=schedule.batch_size,
        shares=shares,
        accumulate=schedule.accumulate,
        repeats=clip.repeats,
        epoch_length=epoch_length,
        peak_lr=optim.lr if optim.lr_batch is None else optim.lr * batch_clips / optim.lr_batch,
        bn_base_size=grid.bn_base_size if grid.on else None,
    )


def stepwise_phases(schedule: ScheduleSection, cycle: tuple[Shape, ...], epoch_length: float) -> list[Phase]:
    """A phase for each step of the learning rate, one where the rate is a half cosine; all go round the same shapes."""
    mean = Phase(1, cycle).mean_videos
    total = int(schedule.epochs * epoch_length / mean)
    ends = [min(max(1, round(milestone * epoch_length / mean)), total) for milestone in schedule.milestones] + [total]
    return [Phase(end - start, cycle, schedule.gamma**number) for number, (start, end) in enumerate(zip([0, *ends], ends))]
