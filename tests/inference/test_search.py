"""Nearest videos of a file: exact, in the order of their cosines, whatever parts it is read in."""

from __future__ import annotations

import numpy as np
import pytest

from tests.inference.features import write
from vidmodels.core.errors import DataError
from vidmodels.inference import feature_file
from vidmodels.inference.feature_file import FeatureFile
from vidmodels.inference.search import find_video, nearest_videos


@pytest.fixture
def vectors() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    return {f"{n}.mp4": rng.standard_normal((int(rng.integers(1, 4)), 6)) for n in range(60)}


@pytest.mark.parametrize("rows", [3, 20, 1000])
def test_neighbours_are_those_of_all_cosines(tmp_path, monkeypatch, vectors, rows):
    monkeypatch.setattr(feature_file, "ROWS", rows)
    file = FeatureFile(str(write(tmp_path / "f.parquet", vectors)))
    query = np.random.default_rng(4).standard_normal(6)
    means = {name: each.mean(0) for name, each in vectors.items()}
    cosines = {name: each @ query / np.linalg.norm(each) / np.linalg.norm(query) for name, each in means.items()}
    expected = sorted(cosines, key=lambda name: -cosines[name])[:7]
    found = nearest_videos(file, query, 7)
    assert [each.id for each in found] == expected
    np.testing.assert_allclose([each.similarity for each in found], [cosines[name] for name in expected], atol=1e-6)
    without = nearest_videos(file, query, 7, but=expected[0])
    assert [each.id for each in without[:6]] == expected[1:]
    assert len(without) == 7
    assert len(nearest_videos(file, 100 * query, 99)) == 60


def test_equal_cosines_come_in_the_order_of_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(feature_file, "ROWS", 2)
    file = FeatureFile(str(write(tmp_path / "f.parquet", {f"{n}.mp4": np.array([[1.0, 0.0]]) for n in range(9)})))
    assert [each.id for each in nearest_videos(file, np.ones(2), 4)] == [f"{n}.mp4" for n in range(4)]


def test_a_video_is_found_by_its_names(tmp_path, vectors, monkeypatch):
    uris = [str(tmp_path / f"videos/{name}") for name in vectors]
    labels = ["even" if number % 2 == 0 else "odd" for number in range(len(vectors))]
    file = FeatureFile(str(write(tmp_path / "f.parquet", vectors, {"uri": uris, "label": labels})))
    monkeypatch.chdir(tmp_path)
    for name in ("7.mp4", str(tmp_path / "videos/7.mp4"), "videos/7.mp4", "videos/../videos/7.mp4"):
        found = find_video(file, name)
        assert found is not None
        assert found[0].id == "7.mp4"
        np.testing.assert_allclose(found[1], vectors["7.mp4"].mean(0), rtol=1e-5)
    assert find_video(file, "8") is None
    (nearest,) = nearest_videos(file, vectors["7.mp4"].mean(0), 1)
    assert (nearest.id, nearest.uri, nearest.label) == ("7.mp4", uris[7], "odd")
    assert nearest.similarity == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("query", [np.ones(5), np.full(6, np.nan)])
def test_queries_that_cannot_be_compared(tmp_path, vectors, query):
    file = FeatureFile(str(write(tmp_path / "f.parquet", vectors)))
    with pytest.raises(DataError, match=r"cannot be compared with the 6 values of .*f.parquet"):
        nearest_videos(file, query, 3)
