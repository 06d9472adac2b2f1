"""Manifests: rows, digest, split, Parquet."""

from __future__ import annotations

import pickle
import time

import pyarrow as pa
import pytest

from vidmodels.core.errors import DataError
from vidmodels.core.label_sets import LabelSets
from vidmodels.data.formats import load_manifest
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


SETS = LabelSets({"verb": ("take", "cut"), "noun": ("cup", "knife", "pan")})


def several(count: int = 12, **changes) -> Manifest:
    """A verb and a noun each; the first clip has no verb."""
    rows = [
        {"id": f"v{i}", "uri": f"v{i}.mp4", "label.noun": i % 3, "label.verb": None if i == 0 else i % 2} for i in range(count)
    ]
    return Manifest.from_rows([{**row, **changes} if row["id"] == "v5" else row for row in rows], SETS)


def test_label_sets_have_a_column_each(tmp_path):
    manifest = several()
    assert [manifest.row(i).set_labels for i in range(3)] == [(0, -1), (1, 1), (2, 0)]
    assert [manifest.row(0).label, manifest.multi_label, manifest.lacking] == [None, False, {"verb": 1}]
    assert manifest.table.column_names[-2:] == ["label.noun", "label.verb"]
    manifest.save(tmp_path / "m.parquet")
    for other in (Manifest.load(tmp_path / "m.parquet"), pickle.loads(pickle.dumps(manifest))):
        assert (other.label_sets, other.digest) == (SETS.sets, manifest.digest)
        assert other.row(7) == manifest.row(7)
    assert several(**{"label.verb": 0}).digest != manifest.digest
    assert Manifest(manifest.table, LabelSets({**SETS.sets, "verb": ("take", "wash")})).digest != manifest.digest


def test_one_of_the_label_sets():
    verbs = several().only("verb")
    assert (verbs.classes, verbs.label_sets, verbs.lacking) == (("take", "cut"), {}, {})
    assert [verbs.row(i).label for i in range(3)] == [None, 1, 0]
    assert verbs.row(1).set_labels is None
    with pytest.raises(DataError, match=r"no label set 'verbs' \(did you mean 'verb'\?\): the videos have noun, verb"):
        several().only("verbs")


def test_one_of_the_label_sets_of_a_file(tmp_path):
    several().save(tmp_path / "m.parquet")
    assert load_manifest(str(tmp_path / "m.parquet")).classes == SETS
    assert load_manifest(str(tmp_path / "m.parquet"), label="noun").classes == SETS.sets["noun"]
    with pytest.raises(DataError, match="no label set 'noun': the videos have one without a name"):
        made().only("noun")


def test_label_sets_are_split_by_the_first():
    train, val = several(30).split(0.2)
    assert sorted(val.table["label.noun"].to_pylist()) == [0, 0, 1, 1, 2, 2]
    assert train.label_sets == val.label_sets == SETS.sets


def test_label_sets_that_do_not_fit_are_named():
    with pytest.raises(DataError, match="label 2 of the set verb has no class: 2 class names are given"):
        several(**{"label.verb": 2})
    with pytest.raises(DataError, match=r"the manifest lacks the column label\.noun: give each label set"):
        Manifest(pa.table({"id": ["a"], "uri": ["x"], "label": [0]}), SETS)
