"""A reader, a task and a job so small that tests of the cluster measure the cluster."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from vidmodels.core.errors import RunError
from vidmodels.core.recipe import Recipe, RunSection, ScheduleSection, TrainSection
from vidmodels.data.reader import ViewReader, to_columns
from vidmodels.training.checkpoint import Checkpointer
from vidmodels.training.loop import Trainer
from vidmodels.training.plan import make_plan


@dataclass(frozen=True)
class TinyReader:
    """`videos` pretended videos in their order. broken: ids that give an error; deadly: ids that kill their process."""

    videos: int = 50
    shape: tuple[int, ...] = (1, 2, 4, 4, 3)
    broken: frozenset[str] = frozenset()
    deadly: frozenset[str] = frozenset()
    seconds: float = 0.0

    def read_batch(self, numbers, ledger=None):
        ids = [f"v{number % self.videos}" for number in numbers]
        suspects = ledger.begin(ids)
        rows = [self._row(number, key, key in suspects) for number, key in zip(numbers, ids)]
        ledger.done(ids)
        return to_columns(rows)

    def _row(self, number: int, key: str, apart: bool):
        time.sleep(self.seconds)
        if key in self.deadly and not apart:
            os.kill(os.getpid(), signal.SIGKILL)
        error = f"{key} is broken" if key in self.broken | self.deadly else ""
        seed = int.from_bytes(hashlib.sha256(str(number).encode()).digest()[:4], "big")
        clips = np.random.default_rng(seed).integers(0, 256, self.shape, dtype=np.uint8)
        return {"clips": clips * (not error), "number": number, "id": key, "label": number % 3, "repeated": 0,
                "error": error}  # fmt: skip


class DeadlyViews(ViewReader):
    """A reader of views whose second video kills its process."""

    def read_batch(self, indices):
        if 1 in indices:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().read_batch(indices)


class TinyTask:
    """Classes of pixels' means; may die or fail at a step, the first time that the step is reached."""

    def __init__(self, job: TinyJob, rank: int) -> None:
        self.job, self.rank = job, rank

    def step(self, model: nn.Module, batch, context) -> Iterator[dict[str, Tensor]]:
        time.sleep(self.job.step_s)
        self._disturb(context.step)
        logits = model(batch.clips.flatten(1).float() / 255)
        yield {"loss": nn.functional.cross_entropy(logits, batch.labels)}

    def _disturb(self, step: int) -> None:
        if step == self.job.fail_at and self.rank == self.job.fail_rank:
            _mark(self.job, "failed")
            raise RunError(f"step {step} is not to be")
        if step == self.job.die_at and self.rank == 0 and _mark(self.job, "died") == 1:
            os.kill(os.getpid(), signal.SIGKILL)

    def describe(self):
        return {"task": "tiny"}


def _mark(job: TinyJob, what: str) -> int:
    """Write down that something happened; how often it has."""
    path = Path(job.checkpoints).parent / what
    with path.open("a") as stream:
        stream.write("x")
    return path.stat().st_size


@dataclass(frozen=True)
class TinyJob:
    """Stands in for TrainJob."""

    checkpoints: str
    run: RunSection
    reader_: TinyReader
    steps: int = 12
    checkpoint_every: int = 4
    step_s: float = 0.0
    die_at: int = -1
    fail_at: int = -1
    fail_rank: int = 0
    recipe: Recipe = field(init=False)

    def __post_init__(self) -> None:
        recipe = Recipe(
            schedule=ScheduleSection(batch_size=8, max_steps=self.steps, epochs=100, warmup_epochs=0),
            train=TrainSection(checkpoint_every=self.checkpoint_every, precision="float32"),
        )
        object.__setattr__(self, "recipe", recipe)

    def plan(self, world_size: int):
        return make_plan(self.recipe, self.reader_.videos, world_size)

    def reader(self) -> TinyReader:
        return self.reader_

    def make_trainer(self, world, listeners, should_stop) -> Trainer:
        torch.manual_seed(0)
        model = nn.Linear(int(np.prod(self.reader_.shape)), 3)
        return Trainer(model, TinyTask(self, world.rank), self.recipe, self.plan(world.size), world,
                       Checkpointer(self.checkpoints), listeners, self.run.log_every, should_stop)  # fmt: skip


@dataclass
class Heard:
    """A listener that keeps what it hears."""

    losses: dict[int, list[float]] = field(default_factory=dict)
    checkpoints: list[int] = field(default_factory=list)
    bad: list[float] = field(default_factory=list)

    def on_metrics(self, step, metrics, clips, wait_s, step_s) -> None:
        self.losses.setdefault(step, []).append(metrics["loss"])
        self.bad.append(metrics["bad_samples"])

    def on_checkpoint(self, step, uri) -> None:
        self.checkpoints.append(step)
