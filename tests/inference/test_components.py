"""Principal components of a file are those of all its videos at once, in the same direction each time."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.inference.features import clusters, write
from vidmodels.core.errors import DataError
from vidmodels.inference import feature_file
from vidmodels.inference.components import principal_plane
from vidmodels.inference.feature_file import FeatureFile


@pytest.mark.parametrize("rows", [4, 1000])
def test_places_are_those_of_a_decomposition_of_all(tmp_path, monkeypatch, rows):
    monkeypatch.setattr(feature_file, "ROWS", rows)
    vectors, labels = clusters({"run": 20, "sit": 15, "jump": 9})
    plane = principal_plane(FeatureFile(str(write(tmp_path / "f.parquet", vectors, {"label": labels}))), "label")
    x = np.concatenate(list(vectors.values()))
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    _, values, axes = torch.linalg.svd(torch.from_numpy(x - x.mean(0)), full_matrices=False)
    expected = (x - x.mean(0)) @ axes[:2].T.numpy()
    signs = np.sign((expected * plane.places).sum(0))
    np.testing.assert_allclose(plane.places, expected * signs, atol=1e-5)
    shares = (values**2 / (values**2).sum())[:2].tolist()
    assert plane.shares == pytest.approx(shares, abs=1e-6)
    assert (plane.ids, plane.labels) == (list(vectors), labels)
    again = principal_plane(FeatureFile(str(tmp_path / "f.parquet")))
    np.testing.assert_array_equal(again.places, plane.places)
    assert again.labels == [None] * 44


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        ({"a": np.ones((3, 4)), "b": np.eye(4)[:1]}, r"f.parquet holds 2 videos: a map needs three or more"),
        ({name: np.full((1, 4), 2.0) for name in "abc"}, r"the features of all 3 videos of .* are the same"),
        ({"a": np.ones((1, 4)), "b": np.full((1, 4), np.nan), "c": np.eye(4)[:1]}, "the features of b in .* are not finite"),
    ],
)
def test_files_without_a_map(tmp_path, vectors, message):
    with pytest.raises(DataError, match=message):
        principal_plane(FeatureFile(str(write(tmp_path / "f.parquet", vectors))))
