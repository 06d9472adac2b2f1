"""Links the boxes of frames over time: which box of this moment is which person of the moments before.

R boxes of a frame, P persons seen so far.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from vidmodels.core.errors import DataError
from vidmodels.core.structures import Boxes, pairwise_iou


class Linker:
    """Gives each box the number of its person, frame by frame as they come.

    A box goes to the person whose newest box it overlaps, so that the sum of overlaps is the largest; an overlap below
    `min_overlap` is none. A person who was not seen for more than `max_gap` seconds is forgotten, and a box without a
    person is a new one. Boxes that say who is inside need no overlap: the same name is the same person.
    """

    def __init__(self, min_overlap: float = 0.3, max_gap: float = 2.5) -> None:
        self.min_overlap, self.max_gap = min_overlap, max_gap
        self._seen: dict[int, tuple[float, np.ndarray]] = {}
        self._named: dict[str, int] = {}
        self._count = 0
        self._time = -np.inf

    def add(self, time: float, boxes: Boxes) -> list[int]:
        """Numbers, from 1, of the persons in the boxes of a frame. Raises DataError for a time before the last one."""
        if time < self._time:
            raise DataError(f"boxes at {time:g} s come after those at {self._time:g} s: give them in the order of time")
        self._time = time
        self._seen = {who: last for who, last in self._seen.items() if time - last[0] <= self.max_gap + 1e-6}
        numbers = [0] * len(boxes)
        unnamed = [row for row, name in enumerate(boxes.persons) if name is None]
        for row, who in self._matched(boxes.xyxy[unnamed]):
            numbers[unnamed[row]] = who
        for row, name in enumerate(boxes.persons):
            if name is not None:
                numbers[row] = self._named.setdefault(name, self._count + 1)
            elif not numbers[row]:
                numbers[row] = self._count + 1
            self._count = max(self._count, numbers[row])
            if name is None:
                self._seen[numbers[row]] = (time, boxes.xyxy[row])
        return numbers

    def _matched(self, xyxy: np.ndarray) -> list[tuple[int, int]]:
        """Pairs of a row and a person."""
        known = list(self._seen)
        if not known or not len(xyxy):
            return []
        overlap = pairwise_iou(xyxy, np.stack([self._seen[who][1] for who in known]))
        return [(row, known[column]) for row, column in assign(overlap, self.min_overlap)]


def assign(overlap: np.ndarray, least: float) -> list[tuple[int, int]]:
    """Pairs of rows and columns of `overlap` [R, P], each in one pair at most, all of at least `least` (above 0).

    The sum over the pairs is the largest that there is.
    """
    usable = np.where(overlap >= least, overlap, 0.0)
    rows, columns = linear_sum_assignment(usable, maximize=True)
    return [(int(row), int(column)) for row, column in zip(rows, columns) if usable[row, column] > 0]
