"""Boxes of people in a frame, with who they are and what they do. Free of torch.

R boxes, G boxes of another set, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from vidmodels.core.errors import DataError


class Boxes:
    """The boxes of one frame, or of many in a row.

    xyxy: float64 [R, 4], left, top, right and bottom, in pixels unless it is said otherwise. scores: float64 [R], how sure
    their detector was (1 where nobody says). persons: R names of who is inside, or None. labels: for each box the numbers
    of its classes. Raises DataError where they do not fit together.
    """

    def __init__(
        self,
        xyxy: ArrayLike,
        scores: ArrayLike | None = None,
        persons: Sequence[str | None] | None = None,
        labels: Sequence[Sequence[int]] | None = None,
    ) -> None:
        self.xyxy = np.asarray(xyxy, np.float64)
        if self.xyxy.size == 0:
            self.xyxy = self.xyxy.reshape(0, 4)
        if self.xyxy.ndim != 2 or self.xyxy.shape[1] != 4:
            raise DataError(f"boxes of shape {self.xyxy.shape} are none: give [R, 4], rows of x1, y1, x2, y2")
        count = len(self.xyxy)
        self.scores = np.ones(count) if scores is None else np.asarray(scores, np.float64)
        self.persons = (None,) * count if persons is None else tuple(persons)
        self.labels = ((),) * count if labels is None else tuple(tuple(row) for row in labels)
        for name, length in (("scores", self.scores.size), ("persons", len(self.persons)), ("labels", len(self.labels))):
            if length != count:
                raise DataError(f"{length} {name} do not fit {count} boxes: give one for each")

    def __len__(self) -> int:
        return len(self.xyxy)

    def take(self, indices: Sequence[int] | np.ndarray) -> Boxes:
        """The boxes of these numbers, in their order."""
        picked = np.asarray(indices, np.int64)
        persons, labels = [self.persons[i] for i in picked], [self.labels[i] for i in picked]
        return Boxes(self.xyxy[picked], self.scores[picked], persons, labels)

    def scaled(self, x: float, y: float) -> Boxes:
        """The boxes of a frame that is resized by these factors."""
        return Boxes(self.xyxy * (x, y, x, y), self.scores, self.persons, self.labels)

    def clipped(self, width: float, height: float) -> Boxes:
        """The parts of the boxes inside a frame of `width` x `height`."""
        return Boxes(self.xyxy.clip(0, (width, height, width, height)), self.scores, self.persons, self.labels)

    def targets(self, num_classes: int) -> np.ndarray:
        """The labels as float32 [R, K], 1 where a box has the class."""
        found = np.zeros((len(self), num_classes), np.float32)
        for row, numbers in enumerate(self.labels):
            found[row, list(numbers)] = 1
        return found


def pairwise_iou(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union, float64 [R, G], of boxes [R, 4] and others [G, 4]; 0 where both are empty."""
    left_top = np.maximum(boxes[:, None, :2], others[None, :, :2])
    right_bottom = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = (right_bottom - left_top).clip(0).prod(2)
    areas = [(each[:, 2:] - each[:, :2]).clip(0).prod(1) for each in (boxes, others)]
    union = areas[0][:, None] + areas[1][None, :] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
