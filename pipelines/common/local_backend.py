"""Training without Ray: in this process, or in the processes that torchrun started."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.common.job import TrainJob
from vidmodels.data.ledger import FileLedger
from vidmodels.data.loader import LocalLoader

if TYPE_CHECKING:
    from vidmodels.training.distributed import World
    from vidmodels.training.loop import Listener, Outcome


def train(
    job: TrainJob,
    world: World,
    listeners: tuple[Listener, ...],
    should_stop: Callable[[], bool],
    scratch: Path,
) -> Outcome:
    """Train to the end or until asked to stop; `scratch` keeps the decoding ledger. Raises RunError."""
    trainer = job.make_trainer(world, listeners, should_stop)
    start = trainer.resume()
    numbers = trainer.plan.micro_batches(start)[world.rank :: world.size]
    loader = LocalLoader(job.reader(), FileLedger(scratch / "ledger"), job.run.decoders)
    return trainer.run(loader.batches(numbers))
