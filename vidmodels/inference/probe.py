"""What frozen features tell of labels: nearest neighbours and a linear layer, from stored embeddings to scores.

V videos, D width of an embedding, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from vidmodels.core.errors import ConfigError, DataError
from vidmodels.inference.feature_file import FeatureFile
from vidmodels.inference.linear import DEFAULT_WEIGHT_DECAY, chosen_weight_decay, fit_linear
from vidmodels.inference.nearest import class_weights

COLDEST = 0.002  # exp(1 / temperature) must be a number
CHUNK = 256


@dataclass(frozen=True)
class Labelled:
    """The videos of a file that have a label. vectors: float32 [V, D]; unlabelled: how many were left out."""

    ids: list[str]
    vectors: np.ndarray
    labels: list[str]
    unlabelled: int = 0

    def numbers(self, classes: tuple[str, ...]) -> np.ndarray:
        """The labels by their places among the classes, int64 [V]."""
        places = {name: number for number, name in enumerate(classes)}
        return np.array([places[label] for label in self.labels], np.int64)


def read_labelled(file: FeatureFile, label: str) -> Labelled:
    """All labelled videos of a file. label: a column, or `feature_file.FOLDER`. Raises DataError where there are none."""
    ids, vectors, labels, count = [], [], [], 0
    for videos in file.videos(label):
        assert videos.labels is not None
        known = [row for row, name in enumerate(videos.labels) if name]
        ids += [videos.ids[row] for row in known]
        labels += [str(videos.labels[row]) for row in known]
        vectors.append(videos.vectors[known])
        count += len(videos.ids)
    if not labels:
        raise DataError(f"none of the {count} videos of {file.path} has a label in {label!r}: make it of labelled videos")
    return Labelled(ids, np.concatenate(vectors), labels, count - len(labels))


def classes_of_both(train: Labelled, val: Labelled, path: str) -> tuple[str, ...]:
    """The classes of both files by their names. path: of the training features, for the DataError where they have but one."""
    if len(set(train.labels)) < 2:
        raise DataError(
            f"all {len(train.ids)} labelled videos of {path} are of the class {train.labels[0]!r}: give two or more"
        )
    return tuple(sorted({*train.labels, *val.labels}))


def nearest_scores(train: Labelled, val: Labelled, classes: tuple[str, ...], nearest: int, temperature: float) -> np.ndarray:
    """Scores [V, K]: of the `nearest` training videos the sums of exp(cosine / temperature) for each class.

    Raises ConfigError for a temperature that is too low for numbers.
    """
    if temperature < COLDEST:
        raise ConfigError(f"exp(1 / {temperature:g}) is no number: give a temperature of {COLDEST:g} or more")
    memory, queries = _unit(train.vectors), _unit(val.vectors)
    labels = torch.from_numpy(train.numbers(classes))
    parts = [class_weights(part, memory, labels, len(classes), nearest, temperature) for part in queries.split(CHUNK)]
    return torch.cat(parts).numpy()


def linear_scores(
    train: Labelled, val: Labelled, classes: tuple[str, ...], seed: int, device: Any = "cpu"
) -> tuple[np.ndarray, float | None]:
    """Logits [V, K] of a linear layer, and the weight decay that was chosen for it on a part of the training videos.

    None where there were too few to choose, and DEFAULT_WEIGHT_DECAY was taken.
    """
    x = torch.from_numpy(train.vectors).to(device)
    y = torch.from_numpy(train.numbers(classes)).to(device)
    chosen = chosen_weight_decay(x, y, len(classes), seed)
    layer = fit_linear(x, y, len(classes), DEFAULT_WEIGHT_DECAY if chosen is None else chosen)
    return layer(torch.from_numpy(val.vectors).to(device)).cpu().numpy(), chosen


def _unit(vectors: np.ndarray) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.from_numpy(vectors).double(), dim=1)
