"""Manifests: rows, digest, split, Parquet."""

from __future__ import annotations

import pickle
import time

import pyarrow as pa
import pytest

from vidmodels.core.errors import DataError
from vidmodels.data.manifest import Manifest, SampleRef


def made(count: int = 40, classes: int = 4, root: str = "/a") -> Manifest:
    rows = [{"id": f"v{i}", "uri": f"{root}/v{i}.mp4", "label": i % classes, "bytes": 100 + i} for i in range(count)]
    return Manifest.from_rows(rows, tuple(f"class {i}" for i in range(classes)))


def test_rows():
    table = pa.table({"id": ["a", "b"], "uri": ["x", "y"], "label": [-1, 3], "start": [float("nan"), 1.5]})
    manifest = Manifest(table)
    assert len(manifest) == 2
    assert manifest.row(0) == SampleRef("a", "x", None, None, None)
    assert manifest.row(1) == SampleRef("b", "y", 3, 1.5, None)
    with pytest.raises(IndexError):
        manifest.row(2)


def test_a_row_of_a_long_list_takes_no_longer():
    def cost(manifest):
        manifest.row(0)
        begin = time.process_time()
        for i in range(0, 1000):
            manifest.row(i)
        return time.process_time() - begin

    small, large = made(1000), made(200_000)
    assert min(cost(large) for _ in range(3)) < 5 * min(cost(small) for _ in range(3)) + 1e-3


def test_the_digest_is_of_the_content_and_not_of_the_place():
    digest = made().digest
    assert len(digest) == 64
    assert made(root="s3://elsewhere").digest == digest
    table = made().table
    assert Manifest(table.take(list(reversed(range(40)))), made().classes).digest == digest
    for column, value in (("label", 0), ("bytes", 7), ("start", 1.0), ("id", "other")):
        values = table[column].to_pylist()
        values[5] = value
        at = table.column_names.index(column)
        changed = table.set_column(at, column, pa.array(values, table.schema.field(column).type))
        assert Manifest(changed, made().classes).digest != digest, column
    assert Manifest(table, ("a", "b", "c", "d")).digest != digest


def test_split():
    manifest = made(40, 4)
    train, val = manifest.split(0.2)
    ids = set(train.table["id"].to_pylist()), set(val.table["id"].to_pylist())
    assert not ids[0] & ids[1]
    assert len(ids[0] | ids[1]) == 40
    assert sorted(val.table["label"].to_pylist()) == [0, 0, 1, 1, 2, 2, 3, 3]
    again = Manifest(manifest.table.take(list(reversed(range(40)))), manifest.classes).split(0.2)
    assert set(again[1].table["id"].to_pylist()) == ids[1]
    assert val.classes == manifest.classes
    few = made(5, 4).split(0.9)  # classes of one video keep it for training
    assert set(few[0].table["label"].to_pylist()) == {0, 1, 2, 3}
    assert len(few[1]) == 1
    with pytest.raises(DataError, match="none for validation"):
        made(4, 4).split(0.5)


def test_a_part_does_not_carry_the_whole_table():
    _, val = made(20_000).split(0.01)
    assert len(pickle.dumps(val)) < len(pickle.dumps(made(20_000))) / 20
    assert pickle.loads(pickle.dumps(val)).row(3) == val.row(3)


def test_save_and_load(tmp_path):
    made().save(tmp_path / "m.parquet")
    loaded = Manifest.load(tmp_path / "m.parquet")
    assert loaded.classes == made().classes
    assert loaded.digest == made().digest
    assert loaded.row(7) == made().row(7)
    with pytest.raises(DataError, match=r"none\.parquet"):
        Manifest.load(tmp_path / "none.parquet")
    (tmp_path / "text.parquet").write_text("no")
    with pytest.raises(DataError, match=r"text\.parquet"):
        Manifest.load(tmp_path / "text.parquet")


def test_what_does_not_fit_is_named():
    with pytest.raises(DataError, match=r"twice.*b"):
        Manifest(pa.table({"id": ["a", "b", "b"], "uri": ["x", "y", "z"]}))
    with pytest.raises(DataError, match="uri"):
        Manifest(pa.table({"id": ["a"]}))
    with pytest.raises(DataError, match="label 2"):
        Manifest(pa.table({"id": ["a"], "uri": ["x"], "label": [2]}), ("one", "two"))
    with pytest.raises(DataError, match="label"):
        Manifest(pa.table({"id": ["a"], "uri": ["x"], "label": ["dog"]}))
