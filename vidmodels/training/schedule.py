"""The learning rate as a pure function of the step: linear warm-up, then half a cosine, or steps down."""

from __future__ import annotations

import math
from collections.abc import Sequence


def learning_rate(step: int, total_steps: int, warmup_steps: int, peak: float, start: float = 0.0, end: float = 0.0) -> float:
    """Learning rate of optimiser step `step` (0 is the first).

    Linear from `start` at step 0 to `peak` at `warmup_steps`, then the half cosine that would reach `end` at
    `total_steps` (Loshchilov and Hutter 2017, eq. 5, one period). Steps beyond the end give `end`.
    """
    if step < warmup_steps:
        return start + (peak - start) * step / warmup_steps
    if step >= total_steps:
        return end
    done = (step - warmup_steps) / (total_steps - warmup_steps)
    return end + (peak - end) * 0.5 * (1.0 + math.cos(math.pi * done))


def stepped_rate(
    step: int, warmup_steps: int, peak: float, milestones: Sequence[int], gamma: float = 0.1, start: float = 0.0
) -> float:
    """Learning rate of optimiser step `step`: `peak` times `gamma` for each milestone (in steps) that is reached.

    The warm-up is linear from `start` to what the schedule has at its end (Goyal et al. 2017, section 2.2).
    """

    def scheduled(at: int) -> float:
        return peak * gamma ** sum(at >= milestone for milestone in milestones)

    if step < warmup_steps:
        return start + (scheduled(warmup_steps) - start) * step / warmup_steps
    return scheduled(step)
