"""Boxes keep what belongs together, and overlap as drawn on paper."""

from __future__ import annotations

import numpy as np
import pytest

from vidmodels.core.errors import DataError
from vidmodels.core.structures import Boxes, pairwise_iou


def test_boxes_move_together():
    boxes = Boxes([[0, 0, 4, 8], [2, 2, 6, 6]], [0.5, 0.9], ["anna", None], [[1], [0, 2]])
    picked = boxes.take([1, 0])
    assert picked.xyxy.tolist() == [[2, 2, 6, 6], [0, 0, 4, 8]]
    assert picked.scores.tolist() == [0.9, 0.5]
    assert picked.persons == (None, "anna")
    assert picked.targets(3).tolist() == [[1, 0, 1], [0, 1, 0]]
    assert boxes.scaled(2, 0.5).xyxy.tolist() == [[0, 0, 8, 4], [4, 1, 12, 3]]
    assert boxes.scaled(2, 0.5).labels == boxes.labels
    assert boxes.clipped(5, 5).xyxy.tolist() == [[0, 0, 4, 5], [2, 2, 5, 5]]


def test_no_boxes_are_boxes():
    empty = Boxes([])
    assert len(empty) == 0
    assert empty.xyxy.shape == (0, 4)
    assert empty.targets(3).shape == (0, 3)
    assert len(Boxes([[0, 0, 1, 1]]).take([])) == 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Boxes([[0, 0, 1]]), "boxes of shape"),
        (lambda: Boxes([0, 0, 1, 1]), "boxes of shape"),
        (lambda: Boxes([[0, 0, 1, 1]], [1, 2]), "2 scores do not fit 1 boxes"),
        (lambda: Boxes([[0, 0, 1, 1]], persons=[]), "0 persons"),
        (lambda: Boxes([[0, 0, 1, 1]], labels=[[], []]), "2 labels"),
    ],
)
def test_what_does_not_fit(make, message):
    with pytest.raises(DataError, match=message):
        make()


def test_overlap():
    boxes = np.array([[0, 0, 10, 10], [5, 5, 15, 15]], float)
    others = np.array([[0, 0, 10, 10], [0, 0, 10, 5], [20, 20, 30, 30], [3, 3, 3, 3]], float)
    expected = [[1, 0.5, 0, 0], [25 / 175, 0, 0, 0]]
    np.testing.assert_allclose(pairwise_iou(boxes, others), expected)
    assert pairwise_iou(np.zeros((0, 4)), others).shape == (0, 4)
    assert pairwise_iou(others[3:], others[3:]).tolist() == [[0]]  # two empty boxes
