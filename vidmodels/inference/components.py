"""The two directions in which the embeddings of a file differ most: its videos as points of a plane.

V videos, D width of an embedding.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from vidmodels.core.errors import DataError
from vidmodels.inference.feature_file import FeatureFile


@dataclass(frozen=True)
class Plane:
    """Videos by their first two principal components.

    ids, uris, labels (None: none): V; spans: [V, 2], seconds; places: float64 [V, 2]; shares: of the variance.
    """

    ids: list[str]
    uris: list[str]
    spans: np.ndarray
    labels: list[str | None]
    places: np.ndarray
    shares: tuple[float, float]


def principal_plane(file: FeatureFile, label: str | None = None) -> Plane:
    """Principal components of the embeddings at length 1, the geometry that `search` compares in.

    label: a column, or `feature_file.FOLDER`. Two passes over the file, one part in memory at a time. Of a component's two
    directions that is taken in which its largest value is positive. Raises DataError for fewer than three videos, equal ones,
    and as `FeatureFile.videos` does.
    """
    count, total = 0, np.zeros(file.dim)
    products = np.zeros((file.dim, file.dim))
    for videos in file.videos():
        unit = videos.unit().astype(np.float64)
        count, total, products = count + len(unit), total + unit.sum(0), products + unit.T @ unit
    if count < 3:
        raise DataError(f"{file.path} holds {count} videos: a map needs three or more")
    mean = total / count
    values, vectors = torch.linalg.eigh(torch.from_numpy(products / count - np.outer(mean, mean)))
    variance = float(values.clamp(min=0).sum())
    if variance < 1e-12 or file.dim < 2:
        raise DataError(f"the features of all {count} videos of {file.path} are the same: there is nothing to map")
    axes = vectors[:, [-1, -2]].numpy()
    axes = axes * np.sign(axes[np.abs(axes).argmax(0), [0, 1]])
    ids, uris, labels = [], [], []
    spans, places = [], []
    for videos in file.videos(label):
        ids += videos.ids
        uris += videos.uris
        labels += videos.labels or [None] * len(videos.ids)
        spans.append(videos.spans)
        places.append((videos.unit() - mean) @ axes)
    shares = values[[-1, -2]].clamp(min=0) / variance
    return Plane(ids, uris, np.concatenate(spans), labels, np.concatenate(places), (float(shares[0]), float(shares[1])))
