"""Accuracy, confusion and average precision, against values counted by hand or by scikit-learn."""

from __future__ import annotations

import csv
import functools
import math

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from vidmodels.core.errors import DataError
from vidmodels.metrics.classification import (
    action_ranks,
    confusion_matrix,
    mean_average_precision,
    per_class_table,
    per_label_table,
    save_rows,
    topk_accuracy,
)

SCORES = [[0.7, 0.2, 0.1], [0.1, 0.5, 0.4], [0.3, 0.3, 0.4], [0.6, 0.3, 0.1]]


def test_topk_counts_the_right_class_among_the_best():
    assert topk_accuracy(SCORES, [0, 2, 2, 1], (1, 2, 3)) == {"top1": 0.5, "top2": 1.0, "top3": 1.0}
    assert topk_accuracy(SCORES, [0, -1, -1, 1], (1,)) == {"top1": 0.5}  # without a label: left out


def test_a_constant_answer_is_no_better_than_chance_and_nan_is_wrong():
    assert topk_accuracy(np.zeros((4, 4)), [0, 1, 2, 3], (1,)) == {"top1": 0.25}
    assert topk_accuracy([[math.nan, 1.0]], [1], (1,)) == {"top1": 0.0}


def test_confusion_has_true_classes_in_rows():
    matrix = confusion_matrix([0, 1, 1, 0], [0, 1, 0, -1], 2)
    assert matrix.tolist() == [[1, 1], [0, 1]]
    first, second = per_class_table(matrix, ["run", "jump"])
    assert (first.support, first.accuracy, first.precision, first.confused_with, first.confused) == (2, 0.5, 1.0, "jump", 1)
    assert (second.accuracy, second.precision, second.f1) == (1.0, 0.5, pytest.approx(2 / 3))


def test_average_precision_is_scikit_learn_s():
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 20, (60, 5)) / 20  # with equal scores
    targets = rng.random((60, 5)) < 0.3
    targets[:, 4] = False
    mean, each = mean_average_precision(scores, targets)
    wanted = [average_precision_score(targets[:, k], scores[:, k]) for k in range(4)]
    assert each[:4] == pytest.approx(wanted)
    assert math.isnan(each[4])
    assert mean == pytest.approx(np.mean(wanted))


def test_tables_are_written_with_their_fields_as_columns(tmp_path):
    rows = per_label_table([[1, 0], [1, 1]], [0.5, 1.0], ["run", "jump"])
    with save_rows(rows, tmp_path / "deep" / "table.csv").open() as file:
        assert list(csv.DictReader(file)) == [
            {"name": "run", "support": "2", "average_precision": "0.5"},
            {"name": "jump", "support": "1", "average_precision": "1.0"},
        ]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: topk_accuracy([[0.1, 0.9]], [2]), "label 2 is outside the 2 classes"),
        (lambda: topk_accuracy([0.1, 0.9], [1]), "give [N, K] and [N]"),
        (lambda: confusion_matrix([5], [0], 2), "prediction 5 is outside the 2 classes"),
        (lambda: confusion_matrix([0.5], [0], 2), "must be class numbers"),
        (lambda: per_class_table([[1]], ["a", "b"]), "does not belong to 2 classes"),
        (lambda: mean_average_precision([[math.nan]], [[1]]), "look for nan in the model's output"),
    ],
)
def test_what_cannot_be_measured(call, message):
    with pytest.raises(DataError) as error:
        call()
    assert message in str(error.value)


@pytest.mark.parametrize("sizes", [(3, 2), (7, 9), (4, 3, 6)])
def test_ranks_of_actions_are_those_among_all_combinations(sizes):
    rng = np.random.default_rng(0)
    scores = [rng.integers(0, 5, (40, size)) / 4 for size in sizes]  # many are equal
    labels = np.stack([rng.integers(0, size, 40) for size in sizes], axis=1)
    ranks = action_ranks(scores, labels)
    for row in range(40):
        products = functools.reduce(np.multiply.outer, [part[row] for part in scores]).ravel()
        own = np.ravel_multi_index(labels[row], sizes)
        ahead = (products > products[own]).sum() + (products[:own] == products[own]).sum()
        assert ranks[row] == min(ahead, 5)


def test_a_rank_of_what_is_no_number_is_the_last():
    assert action_ranks([np.array([[np.nan, 1.0]]), np.array([[1.0]])], np.array([[1, 0]])).tolist() == [5]
