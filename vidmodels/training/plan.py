"""The length of a run and the shape of its steps, as arithmetic on a recipe."""

from __future__ import annotations

from dataclasses import dataclass

from vidmodels.core.errors import ConfigError
from vidmodels.core.recipe import Recipe


@dataclass(frozen=True)
class Plan:
    """How many steps there are and what each of them takes.

    batch_size: videos of an optimiser step over all workers; micro: videos of one worker's micro-batch;
    accumulate: micro-batches of a step; repeats: clips of each video; epoch_length: videos of an epoch.
    """

    total_steps: int
    warmup_steps: int
    batch_size: int
    micro: int
    accumulate: int
    repeats: int
    epoch_length: int
    peak_lr: float

    @property
    def batch_clips(self) -> int:
        return self.batch_size * self.repeats

    @property
    def total_samples(self) -> int:
        return self.total_steps * self.batch_size

    def epoch(self, step: int) -> float:
        """Passes over the data after `step` steps."""
        return step * self.batch_size / self.epoch_length

    def steps(self, epochs: float) -> int:
        """Steps in so many epochs, at least one."""
        return max(1, round(epochs * self.epoch_length / self.batch_size))


def make_plan(recipe: Recipe, epoch_length: int, world_size: int) -> Plan:
    """The plan of a recipe. Raises ConfigError where the batch cannot be shared out evenly."""
    schedule, optim = recipe.schedule, recipe.optim
    shares = world_size * schedule.accumulate
    if schedule.batch_size % shares:
        raise ConfigError(
            f"schedule.batch_size {schedule.batch_size} is not a multiple of {world_size} workers x "
            f"{schedule.accumulate} accumulated micro-batches"
        )
    total = max(1, int(schedule.epochs * epoch_length / schedule.batch_size))
    if schedule.max_steps is not None:
        total = min(total, schedule.max_steps)
    batch_clips = schedule.batch_size * recipe.data.clip.repeats
    return Plan(
        total_steps=total,
        warmup_steps=min(round(schedule.warmup_epochs * epoch_length / schedule.batch_size), total),
        batch_size=schedule.batch_size,
        micro=schedule.batch_size // shares,
        accumulate=schedule.accumulate,
        repeats=recipe.data.clip.repeats,
        epoch_length=epoch_length,
        peak_lr=optim.lr if optim.lr_batch is None else optim.lr * batch_clips / optim.lr_batch,
    )
