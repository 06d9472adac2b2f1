"""Which span of a video's sound goes with a clip, and which one does not: times only. Free of torch.

All times are seconds on the clock of the frames, so that sound and pictures stay together where their streams differ.
"""

from __future__ import annotations

import numpy as np

Span = tuple[float, float]


def misaligned_span(
    aligned: Span, duration: float, rng: np.random.Generator, gap: float = 0.512, step: float = 0.016
) -> Span | None:
    """A span as long as `aligned` that starts at least `gap` seconds from it, or None where the video has no room.

    Drawn evenly from all starts 0, step, 2 step ... that leave the span inside the video of `duration` seconds; it may
    overlap the aligned one, or lie far from it (AVSlowFast's public code: a gap of 32 steps of 16 ms).
    """
    start, end = aligned
    length = end - start
    last = int((duration - length) / step + 1e-6)
    starts = np.arange(last + 1) * step if last >= 0 else np.empty(0)
    allowed = starts[np.abs(starts - start) >= gap - 1e-6]
    if not len(allowed):
        return None
    chosen = float(allowed[rng.integers(len(allowed))])
    return chosen, chosen + length
