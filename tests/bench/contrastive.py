"""Benchmarks of persistent contrastive learning: what two more clips of a video cost in time and memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.bench.harness import Ratio, alternate, ratio, shown

ROOT = Path(__file__).parents[2]
VIDEOS, SIDE = 2, 112
FEW, MANY = 2, 4


def rho(rounds: int = 3) -> list[Ratio]:
    """A step of MoCo and BYOL on Slow R50 (two videos, clips of 8 x 112 x 112): four clips of each video / two.

    Each measurement is a process of its own, because memory is that of a process: its peak above what it had before the
    model was made. Time is that of the second step.
    """
    found = []
    for framework in ("moco", "byol"):
        memory: dict[int, list[float]] = {FEW: [], MANY: []}

        def side(clips: int, framework: str = framework, memory: dict[int, list[float]] = memory) -> float:
            seconds, peak = _measured(framework, clips)
            memory[clips].append(peak)
            return seconds

        many, few = alternate(lambda: side(MANY), lambda: side(FEW), rounds)
        for label, values in ((f"{MANY} clips", many), (f"{FEW} clips", few)):
            shown(f"{framework}, {label}", values)
        for clips in (MANY, FEW):
            shown(f"{framework}, {clips} clips, peak memory", memory[clips], "MB")
        found += [
            ratio(f"rho_{framework}", many, few, "<= 2.2"),
            ratio(f"rho_{framework}_memory", memory[MANY], memory[FEW], "<= 1.15"),
        ]
    return found


def _measured(framework: str, clips: int) -> tuple[float, float]:
    """Seconds of a step and megabytes of the peak, in a process of its own."""
    code = f"from tests.bench.contrastive import measure; measure({framework!r}, {clips})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    answer = json.loads(done.stdout.strip().splitlines()[-1])
    return answer["seconds"], answer["megabytes"]


def measure(framework: str, clips: int) -> None:
    """Two steps of optimisation; prints the second one's seconds and the peak of memory as JSON."""
    import time

    import torch

    from vidmodels import zoo
    from vidmodels.core.batch import Batch
    from vidmodels.core.recipe import AugmentSection, ContrastiveTaskSection
    from vidmodels.tasks.base import StepContext
    from vidmodels.tasks.pretrain_contrastive import PretrainContrastive

    torch.set_num_threads(1)
    before = _peak()
    model = zoo.create_model(f"rho_{framework}_slow_r50", queue=1024).train()
    settings = ContrastiveTaskSection(temperature=0.5 if framework == "byol" else 0.1)
    task = PretrainContrastive(settings, model.input, AugmentSection(), model, 10)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.01, momentum=0.9)
    pixels = torch.randint(0, 256, (VIDEOS, clips, 8, SIDE, SIDE, 3), dtype=torch.uint8)
    batch = Batch(pixels, torch.ones(VIDEOS, dtype=torch.bool), torch.arange(VIDEOS), ["a"] * VIDEOS)
    seconds = 0.0
    for step in (1000, 1001):  # the queue of MoCo is full
        start = time.perf_counter()
        for values in task.step(model, batch, StepContext(step, 2000, torch.Generator().manual_seed(0))):
            values["loss"].backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "megabytes": _peak() - before}))


def _peak() -> float:
    """Megabytes that this process has had at most."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
