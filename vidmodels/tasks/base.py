"""What a task is: how a model turns a batch into losses while it learns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from vidmodels.core.batch import Batch


@dataclass(frozen=True)
class StepContext:
    """Where the run stands: optimiser step, total steps, and the generator of all random choices of this step."""

    step: int
    total_steps: int
    generator: torch.Generator


class Task(Protocol):
    """One kind of problem. `step` yields the losses of a micro-batch; each yield is back-propagated on its own.

    A yielded dict has the scalar `loss` that is back-propagated and any other scalars to be logged.
    """

    def step(self, model: nn.Module, batch: Batch, context: StepContext) -> Iterator[dict[str, Tensor]]:
        """Losses of one micro-batch that lies on the model's device, uint8 as decoded."""

    def describe(self) -> dict[str, Any]:
        """What must travel with the weights (class names and the like)."""
