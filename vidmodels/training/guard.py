"""Guards of a run: steps with a non-finite loss or gradient are skipped, named and counted; explosions stop it."""

from __future__ import annotations

import json
import logging
import math
from collections import deque
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from vidmodels.core.errors import RunError
from vidmodels.training.distributed import World

log = logging.getLogger(__name__)


class FiniteGuard:
    """Decides before each optimiser step whether it may be taken, in agreement over all workers.

    max_bad: steps in a row after which the run stops; record: local file to which the first worker appends one
    JSON line for each skipped step (step, ranks with their loss, gradient norm and sample ids).
    """

    def __init__(self, max_bad: int, record: str | Path | None = None) -> None:
        self.max_bad, self.record = max_bad, None if record is None else Path(record)
        self.total = 0
        self.in_a_row = 0
        self.recent: deque[dict[str, Any]] = deque(maxlen=max_bad)

    def check(self, loss: Tensor, grad_norm: Tensor, ids: list[str], step: int, world: World) -> bool:
        """True when loss and gradient norm are finite on every worker.

        loss, grad_norm: scalars on the device; ids: this worker's samples of the step. One host synchronisation.
        Raises RunError with the sample ids after `max_bad` bad steps in a row.
        """
        bad = ~(torch.isfinite(loss.detach()).all() & torch.isfinite(grad_norm.detach()).all())
        flag = bad.to(device=world.device, dtype=torch.float32).reshape(())
        if world.size > 1:
            dist.all_reduce(flag, op=dist.ReduceOp.MAX)
        if flag.item() == 0:
            self.in_a_row = 0
            return True
        self._note(float(loss), float(grad_norm), ids, step, world)
        return False

    def _note(self, loss: float, norm: float, ids: list[str], step: int, world: World) -> None:
        mine = {"rank": world.rank, "loss": repr(loss), "grad_norm": repr(norm), "ids": list(ids)}
        ranks: list[Any] = [mine]
        if world.size > 1:
            ranks = [None] * world.size
            dist.all_gather_object(ranks, mine)
        # a worker with a finite loss is innocent, unless all are: then the backward pass overflowed
        guilty = [r for r in ranks if not math.isfinite(float(r["loss"]))] or ranks
        entry = {"step": step, "ranks": guilty}
        self.total += 1
        self.in_a_row += 1
        self.recent.append(entry)
        named = [i for r in guilty for i in r["ids"]]
        if world.rank == 0:
            log.warning("step %d skipped: loss %s, gradient norm %s, samples %s", step, guilty[0]["loss"],
                        guilty[0]["grad_norm"], ", ".join(named[:8]))  # fmt: skip
            if self.record is not None:
                self.record.parent.mkdir(parents=True, exist_ok=True)
                with self.record.open("a") as file:
                    file.write(json.dumps(entry) + "\n")
        if self.in_a_row >= self.max_bad:
            raise RunError(self._verdict(step))

    def _verdict(self, step: int) -> str:
        ids = list(dict.fromkeys(i for e in self.recent for r in e["ranks"] for i in r["ids"]))
        more = f" and {len(ids) - 20} more" if len(ids) > 20 else ""
        where = f" (all in {self.record})" if self.record is not None else ""
        return (
            f"the loss or the gradient was not finite in {self.in_a_row} steps in a row, the last of them step {step}: "
            f"lower optim.lr or look at the samples {', '.join(ids[:20])}{more}{where}"
        )


class ExplosionGuard:
    """Stops a run whose loss exceeds `factor` times the smallest of its recent means (MAE-ST sheet, section 4)."""

    def __init__(self, factor: float | None, window: int = 20) -> None:
        self.factor = factor
        self.means: deque[float] = deque(maxlen=window)

    def check(self, mean_loss: float, step: int) -> None:
        """Take in the mean loss of an interval, equal on all workers. Raises RunError when it exploded."""
        if self.factor is None or not math.isfinite(mean_loss):
            return  # what is not finite is the other guard's business
        lowest = min(self.means, default=math.inf)
        if lowest > 0 and mean_loss > self.factor * lowest:
            raise RunError(
                f"the loss exploded at step {step}: {mean_loss:.4g} is more than train.explode_factor {self.factor:g} "
                f"times {lowest:.4g}, the smallest recent mean: lower optim.lr, or go on from an older checkpoint"
            )
        self.means.append(mean_loss)
