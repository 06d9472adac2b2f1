"""Measures of classification: accuracy, confusion, one row per class, average precision.

N samples, K classes.
"""

from __future__ import annotations

import csv
import functools
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from vidmodels.core.errors import DataError, RunError

Values = Tensor | ArrayLike
"""A tensor, an array, or a list of numbers."""


def topk_accuracy(scores: Values, labels: Values, ks: Sequence[int] = (1, 5)) -> dict[str, float]:
    """Share of samples whose class is among the k best scores, as `{"top1": ..., "top5": ...}`.

    scores: [N, K]; labels: [N], -1 where there is none (left out; nan where none is left). Of equal scores the lower
    class comes first, so that a constant answer is no better than chance; a row with a nan is wrong. Raises DataError.
    """
    values, truth = _scores_and_labels(scores, labels)
    kept = truth >= 0
    values, truth = values[kept], truth[kept]
    own = values.gather(1, truth[:, None])
    classes = torch.arange(values.shape[1])
    ahead = (values > own) | ((values == own) & (classes < truth[:, None]))
    rank = ahead.sum(1).masked_fill(values.isnan().any(1), values.shape[1])
    return {f"top{k}": (rank < k).double().mean().item() for k in ks}


def action_ranks(scores: Sequence[np.ndarray], labels: ArrayLike, k: int = 5) -> np.ndarray:
    """Place int64 [N] of the true action among all actions, 0 the best; `k` stands for `k` or more.

    An action is a class of each of S sets, its score the product of theirs. scores: [N, K] of each set; labels: [N, S]. Of
    equal scores the action of lower classes comes first, so that a constant answer is no better than chance; a row with a nan
    has the place `k`.
    """
    truth = np.asarray(labels)
    ranks = np.full(len(truth), k, np.int64)
    for row, own in enumerate(truth):
        each = [np.asarray(part[row], np.float64) for part in scores]
        # an action of the best k has a class of the best k in each set: any of the k before it would make a better action
        best = [np.sort(np.argsort(-part, kind="stable")[:k]) for part in each]
        if any(np.isnan(part).any() for part in each) or any(label not in some for label, some in zip(own, best)):
            continue
        products = functools.reduce(np.multiply.outer, (part[some] for part, some in zip(each, best)))
        place = np.ravel_multi_index([int(np.searchsorted(some, label)) for label, some in zip(own, best)], products.shape)
        order = np.argsort(-products, axis=None, kind="stable")
        ranks[row] = min(int(np.flatnonzero(order == place)[0]), k)
    return ranks


def confusion_matrix(predictions: Values, labels: Values, num_classes: int) -> np.ndarray:
    """Counts int64 [K, K]: row = true class, column = predicted class.

    predictions: [N] classes; labels: [N], -1 where there is none (left out). Raises DataError for a class outside 0..K-1.
    """
    guess, truth = _integers(predictions, "predictions"), _integers(labels, "labels")
    if guess.shape != truth.shape or guess.ndim != 1:
        raise DataError(f"predictions of shape {tuple(guess.shape)} and labels of {tuple(truth.shape)}: both must be [N]")
    kept = truth >= 0
    guess, truth = guess[kept], truth[kept]
    for values, what in ((guess, "prediction"), (truth, "label")):
        outside = (values < 0) | (values >= num_classes)
        if outside.any():
            raise DataError(f"{what} {int(values[outside][0])} is outside the {num_classes} classes")
    return torch.bincount(truth * num_classes + guess, minlength=num_classes**2).reshape(num_classes, -1).numpy()


@dataclass(frozen=True)
class ClassRow:
    """One class of a confusion matrix; shares of one, nan where there is nothing to divide by.

    support: samples of the class; accuracy: share of them that were recognised (recall); precision: share of the answers
    with this class that were right; f1: their harmonic mean; confused_with: the most frequent wrong answer, and its count.
    """

    name: str
    support: int
    accuracy: float
    precision: float
    f1: float
    confused_with: str
    confused: int


def per_class_table(matrix: ArrayLike, classes: Sequence[str]) -> list[ClassRow]:
    """One row per class, in the classes' order.

    matrix: [K, K] counts, row = true class; classes: [K] names. Raises DataError where they do not fit together.
    """
    counts = np.asarray(matrix)
    if counts.shape != (len(classes), len(classes)):
        raise DataError(f"a confusion matrix of shape {counts.shape} does not belong to {len(classes)} classes")
    rows = []
    for number, name in enumerate(classes):
        right, support, answers = counts[number, number], counts[number].sum(), counts[:, number].sum()
        wrong = counts[number].copy()
        wrong[number] = 0
        worst = int(wrong.argmax())
        rows.append(
            ClassRow(
                name=str(name),
                support=int(support),
                accuracy=_share(right, support),
                precision=_share(right, answers),
                f1=_share(2 * right, support + answers),
                confused_with=str(classes[worst]) if wrong[worst] else "",
                confused=int(wrong[worst]),
            )
        )
    return rows


@dataclass(frozen=True)
class LabelRow:
    """One class where videos may have several: the videos that have it, and its average precision (nan without any)."""

    name: str
    support: int
    average_precision: float


def per_label_table(targets: ArrayLike, average_precisions: ArrayLike, classes: Sequence[str]) -> list[LabelRow]:
    """One row per class, in the classes' order; targets: flags [N, K]; average_precisions: [K]."""
    supports = np.asarray(targets).astype(bool).sum(0)
    return [LabelRow(str(n), int(s), float(a)) for n, s, a in zip(classes, supports, np.asarray(average_precisions))]


def save_rows(rows: Sequence[Any], path: str | os.PathLike[str]) -> Path:
    """Write rows of one dataclass as CSV, its fields as columns. Raises RunError where the file cannot be written."""
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, [field.name for field in fields(rows[0])], lineterminator="\n")
            writer.writeheader()
            writer.writerows(asdict(row) for row in rows)
    except OSError as error:
        raise RunError(f"cannot write {target}: {error.strerror or error}; free some space or choose another folder") from None
    return target


def mean_average_precision(scores: Values, targets: Values) -> tuple[float, np.ndarray]:
    """The mean over classes of average precision, and each class's own (float64 [K]).

    scores: [N, K]; targets: [N, K] true where a sample has the class, or [N] one class per sample (-1: none).
    AP = sum over thresholds of (recall step) x precision, without interpolation; samples of equal score enter together.
    A class without a sample is nan and left out of the mean. Raises DataError for shapes that do not fit or nan scores.
    """
    values = _floats(scores)
    truth = torch.as_tensor(targets).detach().cpu()
    if truth.ndim == 1:
        values, labels = _scores_and_labels(scores, targets)
        truth = labels[:, None] == torch.arange(values.shape[1])
    if values.ndim != 2 or values.shape != truth.shape:
        raise DataError(f"scores of shape {tuple(values.shape)} and targets of {tuple(truth.shape)} must both be [N, K]")
    if values.isnan().any():
        raise DataError("average precision of scores that are not numbers is not defined: look for nan in the model's output")
    each = np.array([_average_precision(v, t) for v, t in zip(values.T.numpy(), truth.bool().T.numpy())])
    known = each[~np.isnan(each)]
    return (float(known.mean()) if known.size else float("nan")), each


def _average_precision(scores: np.ndarray, truth: np.ndarray) -> float:
    if not truth.any():
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], np.cumsum(truth[order])
    ends = np.append(np.flatnonzero(np.diff(ranked)), ranked.size - 1)  # the last sample of each group of equal scores
    precision, recall = hits[ends] / (ends + 1), hits[ends] / hits[-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def _scores_and_labels(scores: Values, labels: Values) -> tuple[Tensor, Tensor]:
    values, truth = _floats(scores), _integers(labels, "labels")
    if values.ndim != 2 or truth.shape != values.shape[:1]:
        raise DataError(f"scores of shape {tuple(values.shape)} and labels of {tuple(truth.shape)}: give [N, K] and [N]")
    if truth.numel() and int(truth.max()) >= values.shape[1]:
        raise DataError(f"label {int(truth.max())} is outside the {values.shape[1]} classes of the scores")
    return values, truth


def _floats(values: Values) -> Tensor:
    return torch.as_tensor(values).detach().cpu().double()


def _integers(values: Values, what: str) -> Tensor:
    tensor = torch.as_tensor(values).detach().cpu()
    if tensor.numel() and (tensor.is_floating_point() or tensor.dtype == torch.bool):
        raise DataError(f"{what} must be class numbers, not {tensor.dtype}")
    return tensor.long()


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole else float("nan")
