"""Nearest videos in a file of embeddings: exact cosines, one part of the file in memory at a time.

V videos, D width of an embedding.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from vidmodels.core.errors import DataError
from vidmodels.data.storage import is_local, local_path
from vidmodels.inference.feature_file import FeatureFile, Videos


@dataclass(frozen=True)
class Neighbour:
    """A video of a file: its name and address, its cosine with the query, from where to where in seconds its features are."""

    id: str
    uri: str
    similarity: float
    start: float
    end: float
    label: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


def nearest_videos(file: FeatureFile, query: np.ndarray, top: int, but: str | None = None) -> list[Neighbour]:
    """The `top` videos of a file (fewer where it has fewer) with the largest cosines, the best first.

    query: [D], of any length; but: a video that is left out, the query itself. Of equal cosines the earlier in the file comes
    first. Raises DataError for a query of another width or that is not finite, and as `FeatureFile.videos` does.
    """
    if query.shape != (file.dim,) or not np.isfinite(query).all():
        raise DataError(f"a query of shape {query.shape} cannot be compared with the {file.dim} values of {file.path}")
    unit = query.astype(np.float32) / max(float(np.linalg.norm(query)), 1e-12)
    best: list[Neighbour] = []
    for videos in file.videos("label" if "label" in file.columns else None):
        cosines = videos.unit() @ unit
        # one more than is wanted, for the query
        chosen = np.argsort(-cosines, kind="stable")[: top + 1]
        found = [_neighbour(videos, int(row), float(cosines[row])) for row in chosen]
        best += [each for each in found if each.id != but]
        best = sorted(best, key=lambda each: -each.similarity)[:top]
    return best


def find_video(file: FeatureFile, name: str) -> tuple[Neighbour, np.ndarray] | None:
    """A video of the file by its id, its address or another path to it, and its embedding [D]; None where it has none."""
    path = _absolute(name)
    for videos in file.videos():
        for row, (video, uri) in enumerate(zip(videos.ids, videos.uris)):
            if name in (video, uri) or (path is not None and path == _absolute(uri)):
                return _neighbour(videos, row, 1.0), videos.vectors[row]
    return None


def _neighbour(videos: Videos, row: int, similarity: float) -> Neighbour:
    start, end = videos.spans[row].tolist()
    label = None if videos.labels is None else videos.labels[row]
    return Neighbour(videos.ids[row], videos.uris[row], similarity, start, end, label)


def _absolute(uri: str) -> str | None:
    return os.path.abspath(local_path(uri)) if is_local(uri) else None
