"""The learning rate as a pure function of the step: linear warm-up, then half a cosine, or steps down."""

from __future__ import annotations

import math
from collections.abc import Callable


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


def stepped_rate(step: int, warmup_steps: int, scheduled: Callable[[int], float], start: float = 0.0) -> float:
    """Learning rate of optimiser step `step`: what is `scheduled` for it, a constant between two steps of the rate.

    The warm-up is linear from `start` to what the schedule has at its end (Goyal et al. 2017, section 2.2).
    """
    if step < warmup_steps:
        return start + (scheduled(warmup_steps) - start) * step / warmup_steps
    return scheduled(step)
