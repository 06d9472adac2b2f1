"""What an export came to: how the file compares with the eager model in answers, size and time."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vidmodels.inference.export.signature import Input, example_of

Answer = Callable[[dict[str, Tensor]], Tensor]


@dataclass(frozen=True)
class Form:
    """One form of the model: bytes of its weights (eager) or file, and median seconds of one run."""

    name: str
    size: int
    seconds: float


@dataclass(frozen=True)
class Int8Report:
    """How the int8 file answers against the float one.

    agreement: share of the calibration clips whose highest class stays; agreement_others: of clips that were not used for
    calibration; error: largest difference of those over the largest logit.
    """

    clips: int
    agreement: float
    others: int
    agreement_others: float
    error: float


@dataclass(frozen=True)
class ExportReport:
    """What was written, and how it compares.

    batch: clips that the file takes at once, None for any number; note: why that is less than was asked for; error: largest
    relative error against the eager model, before int8; forms: timed in turn, the eager model first and the file last;
    timed_batch, threads, rounds: of the timing.
    """

    path: Path
    format: str
    inputs: tuple[Input, ...]
    batch: int | None
    note: str
    error: float
    forms: tuple[Form, ...]
    timed_batch: int
    threads: int
    rounds: int
    int8: Int8Report | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "path": str(self.path)}


def largest_error(ours: Answer, reference: Answer, inputs: Sequence[Input], batches: Sequence[int]) -> float:
    """max |ours - reference| / max |reference| over batches of noise; infinite where a shape differs or not all is finite."""
    worst = 0.0
    for batch in batches:
        example = example_of(inputs, batch, seed=batch)
        answer, expected = ours(example), reference(example)
        if answer.shape != expected.shape or not answer.isfinite().all():
            return float("inf")
        worst = max(worst, float((answer - expected).abs().max() / expected.abs().max().clamp(min=1e-12)))
    return worst


def medians_of(sides: Mapping[str, Answer], inputs: Sequence[Input], batch: int, rounds: int) -> dict[str, float]:
    """Median seconds of each side, in turn, after a run that does not count; who comes first changes with each round."""
    example = example_of(inputs, batch)
    times: dict[str, list[float]] = {name: [] for name in sides}
    for run in sides.values():
        run(example)
    for number in range(rounds):
        for name in list(sides)[:: -1 if number % 2 else 1]:
            start = time.perf_counter()
            sides[name](example)
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def run_of(model: nn.Module) -> Answer:
    """A network as a function of inputs by name."""

    def run(inputs: dict[str, Tensor]) -> Tensor:
        with torch.inference_mode():
            return model(*inputs.values())

    return run
