"""The pipeline under Ray against the bare loop on batches in memory: what the cluster costs a training step."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.harness import Ratio, alternate, ratio, shown

if TYPE_CHECKING:
    from pipelines.common.job import TrainJob
    from vidmodels.core.batch import Batch

STEP_S = 2.2
"""Wanted length of a step: the batch is chosen for it."""
LEFT_OUT = 5
"""First steps of a part, in which processes warm up."""


@dataclass
class Clock:
    """A listener that keeps the length of each step."""

    steps: list[float] = field(default_factory=list)

    def on_metrics(self, step, metrics, clips, wait_s, step_s) -> None:
        self.steps.append(step_s)

    def on_checkpoint(self, step, uri) -> None:
        pass

    def mean(self) -> float:
        counted = self.steps[LEFT_OUT:]
        return sum(counted) / len(counted)


def overhead(steps: int = 100, parts: int = 4) -> list[Ratio]:
    """Seconds of a step on batches in memory / under Ray, one thread each; start-ups excluded, in alternating parts.

    The synthetic world is decoded beside the training under Ray; checkpoints come at the end of a part.
    """
    import torch

    from pipelines.common import ray_backend
    from pipelines.common.job import TrainJob
    from pipelines.common.sources import load_sources
    from vidmodels.core.recipe import RunSection
    from vidmodels.systems.mae_st.recipes import mae_st_tiny
    from vidmodels.training.distributed import World

    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    base = mae_st_tiny()
    run = RunSection(decoders=1, log_every=1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = base.data.replace(synthetic=base.data.synthetic.replace(num_videos=512))
        sources = load_sources(data, name)
        count = iter(range(10_000))

        def job(batch: int, total: int) -> TrainJob:
            recipe = base.replace(
                data=data,
                schedule=base.schedule.replace(epochs=10_000, max_steps=total, batch_size=batch),
                train=base.train.replace(checkpoint_every=total),
            )
            return TrainJob("bench", recipe, run, sources, str(folder / str(next(count)) / "checkpoints"))

        def bare(batch: int, total: int) -> float:
            clock, work = Clock(), job(batch, total)
            trainer = work.make_trainer(World(), (clock,))
            trainer.run(in_memory(work, trainer.plan.micro, trainer.plan.total_steps))
            return clock.mean()

        def under_ray(batch: int, total: int) -> float:
            clock = Clock()
            ray_backend.train(job(batch, total), (clock,), lambda: False)
            return clock.mean()

        batch = max(8, round(STEP_S / bare(16, LEFT_OUT + 10) * 16))
        total = LEFT_OUT + steps // parts
        print(f"  {batch} videos x {base.data.clip.repeats} clips a step, {parts} parts of {steps // parts} steps each")
        a, b = alternate(lambda: bare(batch, total), lambda: under_ray(batch, total), parts)
    shown("bare loop, batches in memory, a step", a)
    shown("under Ray, a step", b)
    return [ratio("overhead", a, b, ">= 0.93")]


def in_memory(job: TrainJob, micro: int, steps: int) -> Iterator[Batch]:
    """The same decoded batch again and again, under the numbers that the loop expects."""
    import torch

    from vidmodels.data.collate import to_batch

    batch = to_batch(job.reader().read_batch(range(micro)))
    for step in range(steps):
        yield replace(batch, numbers=torch.arange(step * micro, (step + 1) * micro))
