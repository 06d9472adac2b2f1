"""Files of made-up embeddings, for tests of what reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from vidmodels.inference.feature_file import FeatureWriter, Source
from vidmodels.inference.predictor import Embedding

SOURCE = Source("slowfast_tiny", "weights.safetensors", "d1")


def write(
    path: Path,
    vectors: Mapping[str, np.ndarray],
    columns: Mapping[str, Sequence[str | None]] | None = None,
    source: Source = SOURCE,
) -> Path:
    """A file of videos by their names, each with vectors [R, D] of windows of one second; columns: values of each video."""
    known = columns or {}
    dim = next(iter(vectors.values())).shape[1]
    with FeatureWriter(str(path), source, dim, tuple(known)) as file:
        for number, (video, rows) in enumerate(vectors.items()):
            embeddings = [Embedding(float(i), float(i + 1), row.astype(np.float32)) for i, row in enumerate(rows)]
            file.add(video, embeddings, {name: values[number] for name, values in known.items()})
    return path


def clusters(counts: Mapping[str, int], dim: int = 8, spread: float = 0.3, seed: int = 0) -> tuple[dict, list[str]]:
    """Vectors [1, D] of videos around a centre for each class, and their classes in the same order."""
    centres = np.random.default_rng(7).standard_normal((len(counts), dim))
    rng, vectors, labels = np.random.default_rng(seed), {}, []
    for (name, count), centre in zip(counts.items(), centres):
        for number in range(count):
            vectors[f"{name}/{number}.mp4"] = (centre + spread * rng.standard_normal(dim))[None]
            labels.append(name)
    return vectors, labels
