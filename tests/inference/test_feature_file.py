"""Files of embeddings: what is written is read, in parts, and what is no such file is named."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.inference.features import SOURCE, write
from vidmodels.core.errors import DataError, RunError
from vidmodels.inference import feature_file
from vidmodels.inference.feature_file import FeatureFile, FeatureWriter, Source
from vidmodels.inference.predictor import Embedding


@pytest.mark.parametrize("rows", [1, 2, 3, 7, 100])
def test_parts_do_not_cut_videos(tmp_path, monkeypatch, rows):
    rng = np.random.default_rng(0)
    vectors = {f"{name}.mp4": rng.standard_normal((count, 5)) for name, count in zip("abcdef", (1, 4, 2, 7, 1, 3))}
    monkeypatch.setattr(feature_file, "ROWS", rows)
    path = write(tmp_path / "f.parquet", vectors, {"label": [*"xyxyx", None]})
    file = FeatureFile(str(path))
    parts = list(file.videos("label"))
    assert [name for part in parts for name in part.ids] == list(vectors)
    assert [label for part in parts for label in part.labels or ()] == [*"xyxyx", None]
    means = np.concatenate([part.vectors for part in parts])
    np.testing.assert_allclose(means, [each.mean(0) for each in vectors.values()], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(parts[0].unit(), axis=1), 1, rtol=1e-6)
    spans = np.concatenate([part.spans for part in parts])
    assert spans.tolist() == [[0, count] for count in (1, 4, 2, 7, 1, 3)]
    assert (file.rows, file.dim, file.source) == (18, 5, SOURCE)
    assert rows == 100 or len(parts) > 1


def test_row_groups_are_small_and_hold_many_videos(tmp_path, monkeypatch):
    monkeypatch.setattr(feature_file, "ROWS", 10)
    path = write(tmp_path / "f.parquet", {f"{n}.mp4": np.ones((4, 2)) for n in range(10)})
    groups = pq.ParquetFile(path).metadata
    assert [groups.row_group(n).num_rows for n in range(groups.num_row_groups)] == [12, 12, 12, 4]


def test_labels_are_the_names_of_the_folders(tmp_path):
    path = write(tmp_path / "f.parquet", {"x/run/a.mp4": np.ones((1, 2)), "/y/sit/b.mp4": np.ones((1, 2))})
    assert [part.labels for part in FeatureFile(str(path)).videos("folder")] == [["run"], ["sit"]]


def test_a_writer_that_is_killed_loses_nothing(tmp_path):
    path = tmp_path / "f.parquet"
    program = (
        "import os, numpy as np\nfrom tests.inference.features import SOURCE\n"
        "from vidmodels.inference.feature_file import FeatureWriter\nfrom vidmodels.inference.predictor import Embedding\n"
        f"with FeatureWriter({str(path)!r}, SOURCE, 3) as file:\n"
        "    for n in range(2):\n        file.add(str(n), [Embedding(0.0, 1.0, np.full(3, n, np.float32))])\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -9
    with FeatureWriter(str(path), SOURCE, 3) as file:
        assert file.done == {"0", "1"}
        with pytest.raises(RunError, match="another process is writing"), FeatureWriter(str(path), SOURCE, 3):
            pass
        file.add("2", [Embedding(0.0, 1.0, np.full(3, 2, np.float32))])
    assert np.concatenate([part.vectors for part in FeatureFile(str(path)).videos()])[:, 0].tolist() == [0, 1, 2]


def test_a_writer_says_where_it_cannot_write(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(RunError, match=r"cannot write .*file/f.parquet"),
        FeatureWriter(f"{tmp_path}/file/f.parquet", SOURCE, 3),
    ):
        pass


def test_what_can_be_compared():
    assert SOURCE.comparable(Source("other_name", "copy.pth", SOURCE.digest, clips="3"))
    assert not SOURCE.comparable(Source(SOURCE.model, SOURCE.weights, "d2"))
    assert not SOURCE.comparable(Source(SOURCE.model, SOURCE.weights, SOURCE.digest, "projection"))


def table(**columns) -> pa.Table:
    return pa.table({"id": ["a"], "start": [0.0], "end": [1.0], **columns})


def test_no_such_file(tmp_path):
    with pytest.raises(DataError, match=r"there is no file of features at .*none.parquet: make it with `vidmodels features"):
        FeatureFile(str(tmp_path / "none.parquet"))


def test_no_parquet(tmp_path):
    (tmp_path / "f.parquet").write_bytes(b"not a table")
    with pytest.raises(DataError, match=r"f.parquet is no Parquet file"):
        FeatureFile(str(tmp_path / "f.parquet"))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({}, r"holds no features \(it lacks the column vector\)"),
        ({"vector": pa.array([[1.0]])}, r"holds no features \(its vectors are not of one width\)"),
        ({"vector": pa.array([[1.0]], pa.list_(pa.float32(), 1))}, "does not say which model made it"),
    ],
)
def test_tables_of_something_else(tmp_path, columns, message):
    pq.write_table(table(**columns), tmp_path / "f.parquet")
    with pytest.raises(DataError, match=message):
        FeatureFile(str(tmp_path / "f.parquet"))


def test_an_empty_table(tmp_path):
    path = write(tmp_path / "f.parquet", {"a": np.ones((1, 2))})
    pq.write_table(pq.read_table(path).slice(0, 0), path)
    with pytest.raises(DataError, match="it has no row"):
        FeatureFile(str(path))


def test_features_that_are_not_finite(tmp_path):
    path = write(tmp_path / "f.parquet", {"a": np.ones((2, 2)), "b": np.array([[1, 2], [np.nan, 1]]), "c": np.ones((1, 2))})
    with pytest.raises(DataError, match=r"the features of b in .*f.parquet are not finite: compute them anew"):
        list(FeatureFile(str(path)).videos())


def test_a_label_that_is_not_there(tmp_path):
    path = write(tmp_path / "f.parquet", {"a": np.ones((2, 2))}, {"label.verb": ["x"]})
    with pytest.raises(DataError, match=r"has no column 'label' \(did you mean 'label.verb'\?\), only label.verb: give --data"):
        next(FeatureFile(str(path)).videos("label"))
    path = write(tmp_path / "g.parquet", {"a": np.ones((2, 2))})
    with pytest.raises(DataError, match=r"no labels at all: .* --label folder"):
        next(FeatureFile(str(path)).videos("label"))
