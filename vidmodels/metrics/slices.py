"""Accuracy by slices: is a model worse on short, slow, small or fast-moving videos than on others?

V videos, F facts of each.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FACTS = ("duration", "fps", "short side", "motion")
"""What is known of an evaluated video: seconds, frames per second, pixels, and the mean change of a pixel from one frame
of its clip to the next, as a share of full brightness."""


@dataclass(frozen=True)
class SliceRow:
    """Videos whose `fact` lies in `low` <= value <= `high`: how many they are, and the share that was recognised."""

    fact: str
    low: float
    high: float
    videos: int
    accuracy: float


def slice_tables(facts: np.ndarray, right: np.ndarray, parts: int = 4) -> list[SliceRow]:
    """For each fact the accuracy in up to `parts` groups of about as many videos; equal values stay in one group.

    facts: [V, F] in the order of FACTS; right: bool [V]. A fact that is the same for all videos gives one row.
    """
    rows = []
    for name, values in zip(FACTS, np.asarray(facts, np.float64).T):
        # an edge belongs to the group above it, so that equal values are never parted
        edges = np.unique(np.quantile(values, np.linspace(0, 1, parts + 1)[1:-1], method="nearest"))
        groups = np.searchsorted(edges, values, side="right")
        for group in np.unique(groups):
            mine = groups == group
            chosen = values[mine]
            rows.append(SliceRow(name, float(chosen.min()), float(chosen.max()), int(mine.sum()), float(right[mine].mean())))
    return rows
