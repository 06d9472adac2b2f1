"""Mean average precision of actions: cases worked out by hand, and a second implementation by the book."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vidmodels.core.errors import DataError
from vidmodels.core.structures import pairwise_iou
from vidmodels.metrics.detection import ActionMeter, action_precision, average_precision

LEFT, RIGHT, FAR = [0.0, 0.0, 0.4, 1.0], [0.5, 0.0, 0.9, 1.0], [0.9, 0.0, 1.0, 0.1]


def one(boxes, scores, true_boxes, targets, num_classes=1, **settings):
    meter = ActionMeter(num_classes, **settings)
    meter.add(boxes, scores, true_boxes, targets)
    return meter.result()


def test_right_first_is_perfect_and_wrong_first_costs():
    assert one([LEFT, FAR], [[0.9], [0.1]], [LEFT], [[1]]).mean == 1
    assert one([LEFT, FAR], [[0.1], [0.9]], [LEFT], [[1]]).mean == 0.5
    assert one([FAR], [[0.9]], [LEFT], [[1]]).mean == 0
    assert one([], [], [LEFT], [[1]]).mean == 0


def test_precision_is_made_falling():
    # right, wrong, wrong, right, right of four true: (1 + 3/5 + 3/5) / 4
    right = np.array([True, False, False, True, True])
    assert average_precision(np.arange(5, 0, -1.0), right, 4) == pytest.approx((1 + 0.6 + 0.6) / 4)


def test_a_true_box_is_found_once():
    result = one([LEFT, LEFT, RIGHT], [[0.9], [0.8], [0.7]], [LEFT, RIGHT], [[1], [1]])
    assert result.mean == pytest.approx((1 + 2 / 3) / 2)


def test_a_box_goes_to_what_it_overlaps_most():
    # both are nearest to the first true box: the second box is a repetition, though the other true box lies under it too
    true = [[0, 0, 10, 10], [0, 2, 10, 12]]
    found = [[0, 0, 10, 10], [0, 0.5, 10, 10.5]]
    assert pairwise_iou(np.array(found), np.array(true, float))[1, 1] > 0.5
    assert one(found, [[0.9], [0.8]], true, [[1], [1]]).mean == 0.5


def test_the_limit_itself_counts():
    half = [0.0, 0.0, 0.4, 0.5]
    assert one([half], [[1]], [LEFT], [[1]]).mean == 1
    assert one([half], [[1]], [LEFT], [[1]], min_overlap=0.51).mean == 0


def test_every_box_counts_for_every_class():
    # two people, two classes: each is right in one class and a false alarm, low in score, in the other
    result = one([LEFT, RIGHT], [[0.9, 0.2], [0.1, 0.8]], [LEFT, RIGHT], [[1, 0], [0, 1]], 2)
    assert result.per_class.tolist() == [1, 1]
    assert result.support.tolist() == [1, 1]
    assert result.boxes == 2
    swapped = one([LEFT, RIGHT], [[0.1, 0.8], [0.9, 0.2]], [LEFT, RIGHT], [[1, 0], [0, 1]], 2)
    assert swapped.mean == 0.5


def test_the_mean_is_over_evaluated_classes_with_a_true_box():
    scores, targets = [[0.9, 0.9, 0.9, 0.9]], [[1, 1, 0, 0]]
    result = one([LEFT], scores, [LEFT], targets, 4, evaluated=[0, 3])
    assert result.mean == 1
    assert [math.isnan(value) for value in result.per_class] == [False, True, True, True]
    assert math.isnan(one([LEFT], scores, [LEFT], [[0, 0, 0, 0]], 4).mean)
    assert math.isnan(ActionMeter(2).result().mean)


def test_equal_scores_enter_together():
    many = [LEFT] + [FAR] * 9
    for order in (many, many[::-1]):
        assert one(order, [[0.5]] * 10, [LEFT], [[1]]).mean == pytest.approx(0.1)


def test_excluded_moments_and_moments_without_truth():
    truth = {("a", 902): ([LEFT], [[1]]), ("a", 903): ([LEFT], [[1]])}
    found = {("a", 902): ([LEFT], [[0.8]]), ("a", 903): ([FAR], [[0.9]]), ("b", 902): ([LEFT], [[0.95]])}
    assert action_precision(truth, found, 1).mean == pytest.approx(0.5 / 3)
    assert action_precision(truth, found, 1, excluded={("a", 903)}).mean == 0.5  # b's false alarm comes first
    assert action_precision(truth, found, 1, excluded={("a", 903), ("b", 902)}).mean == 1


def by_the_book(frames, num_classes, limit=0.5):
    """Pascal VOC in its slowest form: one class after the other, one box after the other."""
    values = []
    for k in range(num_classes):
        candidates, total = [], 0
        for number, (_, scores, _, targets) in enumerate(frames):
            total += int(sum(row[k] for row in targets))
            candidates += [(scores[r][k], number, r) for r in range(len(scores))]
        if not total:
            continue
        candidates.sort(key=lambda each: -each[0])
        used, points, hits = set(), [], 0
        for rank, (_, number, r) in enumerate(candidates, 1):
            boxes, _, true, targets = frames[number]
            best, nearest = 0.0, None
            for g, other in enumerate(true):
                if targets[g][k]:
                    w = max(min(boxes[r][2], other[2]) - max(boxes[r][0], other[0]), 0)
                    h = max(min(boxes[r][3], other[3]) - max(boxes[r][1], other[1]), 0)
                    area = sum((b[2] - b[0]) * (b[3] - b[1]) for b in (boxes[r], other)) - w * h
                    if w * h / area > best:
                        best, nearest = w * h / area, g
            if best >= limit and (number, nearest) not in used:
                used.add((number, nearest))
                hits += 1
            points.append((hits / total, hits / rank))
        area, before = 0.0, 0.0
        for place, (recall, _) in enumerate(points):
            area += (recall - before) * max(p for _, p in points[place:])
            before = recall
        values.append(area)
    return sum(values) / len(values)


@pytest.mark.parametrize("seed", range(8))
def test_against_the_book(seed):
    rng = np.random.default_rng(seed)
    k, frames = 5, []
    for _ in range(12):
        corners = rng.random((rng.integers(0, 5), 2)) * 0.6
        true = np.concatenate([corners, corners + 0.1 + 0.3 * rng.random(corners.shape)], 1)
        targets = rng.random((len(true), k)) < 0.4
        moved = np.repeat(true, rng.integers(0, 3, len(true)), 0)
        moved = moved + rng.normal(0, 0.02, moved.shape)
        loose = rng.random((rng.integers(0, 3), 2)) * 0.6
        found = np.concatenate([moved, np.concatenate([loose, loose + 0.2], 1)])
        frames.append((found, rng.random((len(found), k)), true, targets))
    meter = ActionMeter(k)
    for frame in frames:
        meter.add(*frame)
    result = meter.result()
    assert 0 < result.mean < 1
    assert result.mean == pytest.approx(by_the_book(frames, k), abs=1e-12)
    # in pixels of any size the answer is the same: overlap is a ratio
    pixels = ActionMeter(k)
    for found, scores, true, targets in frames:
        pixels.add(found * [640, 360, 640, 360], scores, true * [640, 360, 640, 360], targets)
    assert pixels.result().mean == pytest.approx(result.mean, abs=1e-9)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ActionMeter(3, evaluated=[3]), "class 3 is outside the 3 classes"),
        (lambda: one([[0, 0, 1]], [[1]], [], []), r"boxes of shape \(1, 3\)"),
        (lambda: one([LEFT], [[1, 2]], [], []), r"scores of shape \(1, 2\) do not fit 1 boxes and 1 classes"),
        (lambda: one([LEFT], [[1]], [LEFT], [[1], [1]]), r"targets of shape \(2, 1\)"),
        (lambda: one([LEFT], [[float("nan")]], [], []), "look for nan"),
    ],
)
def test_what_does_not_fit(make, message):
    with pytest.raises(DataError, match=message):
        make()
