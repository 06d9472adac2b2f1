"""The pipeline under Ray against the bare loop on batches in memory: what the cluster costs a training step."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

from tests.bench.harness import Ratio, shown


def overhead(steps: int = 100) -> list[Ratio]:
    """Seconds of a step on batches in memory / under Ray, one thread each, start-up excluded.

    A step is made to last about 2 s by its batch; the synthetic world is decoded beside it.
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
    recipe = mae_st_tiny()
    batch = int(os.environ.get("VIDMODELS_BENCH_BATCH", "64"))
    recipe = recipe.replace(
        data=recipe.data.replace(synthetic=recipe.data.synthetic.replace(num_videos=256)),
        schedule=recipe.schedule.replace(epochs=10_000, max_steps=steps, batch_size=batch),
        train=recipe.train.replace(checkpoint_every=10 * steps),
    )

    class Clock:
        def __init__(self) -> None:
            self.steps: list[tuple[int, float]] = []

        def on_metrics(self, step, metrics, clips, wait_s, step_s) -> None:
            self.steps.append((step, step_s))

        def on_checkpoint(self, step, uri) -> None:
            pass

        def mean(self) -> list[float]:
            return [s for step, s in self.steps if step > 10]

    with tempfile.TemporaryDirectory() as folder:
        sources = load_sources(recipe.data, folder)
        under_ray, bare = Clock(), Clock()
        job = TrainJob("bench", recipe, RunSection(decoders=1), sources, f"{Path(folder)}/ray/checkpoints")
        ray_backend.train(job, (under_ray,), lambda: False)
        job = TrainJob("bench", recipe, RunSection(), sources, f"{Path(folder)}/bare/checkpoints")
        trainer = job.make_trainer(World(), (bare,))
        trainer.run(_in_memory(job, trainer.plan))
    a, b = bare.mean(), under_ray.mean()
    shown("bare loop, batches in memory", a)
    shown("under Ray", b)
    value = sum(a) / len(a) / (sum(b) / len(b))
    return [Ratio("overhead", value, min(a) / max(b), max(a) / min(b), ">= 0.93")]


def _in_memory(job, plan):
    from dataclasses import replace

    import torch

    from vidmodels.data.collate import to_batch

    batch = to_batch(job.reader().read_batch(range(plan.micro)))
    for step in range(plan.total_steps):
        yield replace(batch, numbers=torch.arange(step * plan.micro, (step + 1) * plan.micro))
        time.sleep(0)
