"""Mean average precision of actions in boxes, as AVA measures it.

R boxes that were found, G true ones, K classes.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from vidmodels.core.errors import DataError
from vidmodels.core.structures import pairwise_iou

ROUNDING = 1e-9
"""An overlap that is the limit on paper may come out this much smaller."""


@dataclass(frozen=True)
class ActionPrecision:
    """What a detector of actions reaches.

    mean: of the average precision over the evaluated classes that have a true box (nan without any); per_class: float64
    [K], nan for the others; support: int64 [K], true boxes of each class; boxes: how many were scored.
    """

    mean: float
    per_class: np.ndarray
    support: np.ndarray
    boxes: int


class ActionMeter:
    """Gathers scored boxes and true ones, key frame by key frame, for the mean average precision at an overlap.

    Every box counts for every class. Of the boxes of a frame, in the order of their scores, each goes to the true box of
    the class that it overlaps most: right where that is `min_overlap` or more and nothing went to it before, wrong else.
    evaluated: the classes of the mean, default all.
    """

    def __init__(self, num_classes: int, evaluated: Collection[int] | None = None, min_overlap: float = 0.5) -> None:
        self.num_classes, self.min_overlap = num_classes, min_overlap
        chosen = range(num_classes) if evaluated is None else sorted(evaluated)
        if outside := [number for number in chosen if not 0 <= number < num_classes]:
            raise DataError(f"the evaluated class {outside[0]} is outside the {num_classes} classes")
        self._evaluated = np.zeros(num_classes, bool)
        self._evaluated[list(chosen)] = True
        self._scores: list[np.ndarray] = []
        self._right: list[np.ndarray] = []
        self._support = np.zeros(num_classes, np.int64)

    def add(self, boxes: ArrayLike, scores: ArrayLike, true_boxes: ArrayLike, targets: ArrayLike) -> None:
        """One key frame: boxes [R, 4] with scores [R, K], true boxes [G, 4] with targets [G, K], true where they do it.

        All boxes in the same units: those of the annotations, not of a resized picture. Raises DataError.
        """
        found, true = _boxes(boxes), _boxes(true_boxes)
        values, truth = np.asarray(scores, np.float64), np.asarray(targets, bool)
        values = values.reshape(-1, self.num_classes) if not values.size else values
        truth = truth.reshape(-1, self.num_classes) if not truth.size else truth
        for array, rows, what in ((values, found, "scores"), (truth, true, "targets")):
            if array.shape != (len(rows), self.num_classes):
                raise DataError(f"{what} of shape {array.shape} do not fit {len(rows)} boxes and {self.num_classes} classes")
        if np.isnan(values).any():
            raise DataError("precision of scores that are not numbers is not defined: look for nan in the model's output")
        self._scores.append(values)
        self._right.append(self._matched(pairwise_iou(found, true), values, truth))
        self._support += truth.sum(0)

    def result(self) -> ActionPrecision:
        """The precision of all key frames so far."""
        scores = np.concatenate([np.zeros((0, self.num_classes)), *self._scores])
        right = np.concatenate([np.zeros((0, self.num_classes), bool), *self._right])
        counts = self._evaluated & (self._support > 0)
        each = np.full(self.num_classes, np.nan)
        for k in np.flatnonzero(counts):
            each[k] = average_precision(scores[:, k], right[:, k], int(self._support[k]))
        mean = float(each[counts].mean()) if counts.any() else float("nan")
        return ActionPrecision(mean, each, self._support.copy(), len(scores))

    def _matched(self, overlap: np.ndarray, scores: np.ndarray, truth: np.ndarray) -> np.ndarray:
        """Which boxes are right for which classes, bool [R, K]."""
        right = np.zeros(scores.shape, bool)
        if not overlap.size:
            return right
        for k in np.flatnonzero(truth.any(0) & self._evaluated):
            of_class = np.where(truth[:, k], overlap, -1.0)
            nearest = of_class.argmax(1)
            near = of_class.max(1) >= self.min_overlap - ROUNDING
            order = np.argsort(-scores[:, k], kind="stable")
            order = order[near[order]]
            _, first = np.unique(nearest[order], return_index=True)
            right[order[first], k] = True
        return right


def average_precision(scores: np.ndarray, right: np.ndarray, num_true: int) -> float:
    """The area under precision over recall, of which precision is made falling (Pascal VOC 2010, all points).

    scores: [R]; right: bool [R]; num_true: true boxes, found or not. Boxes of equal score enter together, so that their
    order does not count.
    """
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(right[order])
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)[: len(order)]
    precision = np.maximum.accumulate((hits[ends] / (ends + 1))[::-1])[::-1]
    return float(np.sum(np.diff(hits[ends] / num_true, prepend=0.0) * precision))


Truth = Mapping[Hashable, tuple[ArrayLike, ArrayLike]]
"""Key frame, say (video, time) -> boxes [R, 4] and their targets or scores [R, K]."""


def action_precision(
    truth: Truth,
    found: Truth,
    num_classes: int,
    evaluated: Sequence[int] | None = None,
    excluded: Collection[Hashable] = (),
    min_overlap: float = 0.5,
) -> ActionPrecision:
    """ActionMeter over the key frames of `truth` (boxes, targets) and of `found` (boxes, scores), without the excluded.

    Boxes in a key frame without truth are wrong. Raises DataError.
    """
    meter = ActionMeter(num_classes, evaluated, min_overlap)
    nothing = (np.zeros((0, 4)), np.zeros((0, num_classes)))
    for frame in dict.fromkeys([*truth, *found]):
        if frame not in excluded:
            meter.add(*found.get(frame, nothing), *truth.get(frame, nothing))
    return meter.result()


def _boxes(boxes: ArrayLike) -> np.ndarray:
    array = np.asarray(boxes, np.float64)
    array = array.reshape(-1, 4) if not array.size else array
    if array.ndim != 2 or array.shape[1] != 4:
        raise DataError(f"boxes of shape {array.shape} cannot be measured: give [R, 4], rows of x1, y1, x2, y2")
    return array
