"""Data sets on disk become manifests; what does not fit is one sentence."""

from __future__ import annotations

import pytest
from pyarrow import fs as pafs

from vidmodels.core.errors import DataError
from vidmodels.data import manifest as manifest_module
from vidmodels.data import storage
from vidmodels.data.formats import load_manifest
from vidmodels.data.manifest import Manifest


def lay(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * (len(name)))
    return str(folder)


def ids(manifest):
    return manifest.table["id"].to_pylist()


def test_a_folder_at_any_depth(tmp_path):
    path = lay(tmp_path, "b.mp4", "a.MKV", "deep/er/c.webm", "notes.txt", ".hidden/d.mp4")
    manifest = load_manifest(path)
    assert ids(manifest) == ["a.MKV", "b.mp4", "deep/er/c.webm"]
    assert manifest.classes is None
    assert manifest.row(2).uri == f"{tmp_path}/deep/er/c.webm"
    assert manifest.row(0).label is None
    assert manifest.table["bytes"].to_pylist() == [5, 5, 14]


def test_a_folder_per_class(tmp_path):
    path = lay(tmp_path, "run/1.mp4", "run/2.mp4", "jump/high/1.mp4")
    for format in ("auto", "classes"):
        manifest = load_manifest(path, format)
        assert manifest.classes == ("jump", "run")
        assert [manifest.row(i).label for i in range(3)] == [0, 1, 1]
    assert load_manifest(path, "folder").classes is None
    lay(tmp_path, "loose.mp4")
    with pytest.raises(DataError, match=r"loose\.mp4"):
        load_manifest(path, "classes")


@pytest.mark.parametrize("separator", [" ", ",", "\t"])
def test_a_list_with_numbers(tmp_path, separator):
    lay(tmp_path / "v", "a b.mp4", "c.mp4")
    listing = tmp_path / "train.csv"
    lines = ["v/a b.mp4", "v/c.mp4", "v/gone.mp4"]
    listing.write_text("".join(f"{line}{separator}{i}\n" for i, line in enumerate(lines)))
    manifest = load_manifest(str(listing))
    assert [(manifest.row(i).id, manifest.row(i).label) for i in range(2)] == [("v/a b.mp4", 0), ("v/c.mp4", 1)]
    assert manifest.missing == ("v/gone.mp4",)
    assert manifest.classes == ("0", "1", "2")  # classes without names are called by their numbers


def test_a_list_with_names_and_a_root(tmp_path):
    lay(tmp_path / "videos", "a.mp4", "b.mp4")
    listing = tmp_path / "train.txt"
    listing.write_text(f"a.mp4 jump\n{tmp_path}/videos/b.mp4 run\n")
    manifest = load_manifest(str(listing), root=str(tmp_path / "videos"))
    assert manifest.classes == ("jump", "run")
    assert [manifest.row(i).label for i in range(2)] == [0, 1]
    assert manifest.row(1).uri == f"{tmp_path}/videos/b.mp4"


def test_the_official_csv(tmp_path):
    root = lay(tmp_path / "clips", "abc_000010_000020.mp4", "high jump/def_000001_000011.mp4", "whole.mp4")
    listing = tmp_path / "train.csv"
    listing.write_text(
        "label,youtube_id,time_start,time_end,split\n"
        "running,abc,10,20,train\nhigh jump,def,1,11,train\nrunning,whole,3,13,train\nrunning,gone,0,10,train\n"
    )
    for format in ("auto", "kinetics_csv"):
        manifest = load_manifest(str(listing), format, root)
        assert manifest.classes == ("high jump", "running")
        assert manifest.missing == ("gone_000000_000010",)
        rows = [manifest.row(i) for i in range(3)]
        assert [row.label for row in rows] == [1, 0, 1]
        assert (rows[0].start, rows[0].end) == (None, None)  # the file is cut already
        assert (rows[2].start, rows[2].end) == (3.0, 13.0)
    listing.write_text("label,youtube_id,time_start,time_end,split\nrunning,abc,ten,20,train\n")
    with pytest.raises(DataError, match="row 2: time_start 'ten' is not a number"):
        load_manifest(str(listing), root=root)


def test_parquet_with_relative_addresses(tmp_path):
    Manifest.from_rows([{"id": "a", "uri": "v/a.mp4", "label": 0}], ("only",)).save(tmp_path / "m.parquet")
    manifest = load_manifest(str(tmp_path / "m.parquet"))
    assert manifest.row(0).uri == f"{tmp_path}/v/a.mp4"
    assert manifest.classes == ("only",)
    assert load_manifest(str(tmp_path / "m.parquet"), root="s3://b").row(0).uri == "s3://b/v/a.mp4"


def test_what_cannot_be_read_is_named(tmp_path):
    (tmp_path / "empty").mkdir()
    lay(tmp_path / "texts", "a.txt")
    lay(tmp_path / "lists", "empty.csv", "broken.csv", "bytes.csv", "list.doc", "none.csv")
    (tmp_path / "lists/empty.csv").write_text("")
    (tmp_path / "lists/broken.csv").write_text("a.mp4 1\nwhat is this\n")
    (tmp_path / "lists/bytes.csv").write_bytes(b"\xff\xfe\x00\xd8")
    (tmp_path / "lists/none.csv").write_text("a.mp4 1\n")
    for name, match in (
        ("nowhere", "nothing at"),
        ("empty", "is empty"),
        ("texts", "holds 1 files but no video"),
        ("lists/empty.csv", "lists no video"),
        ("lists/broken.csv", "line 2"),
        ("lists/bytes.csv", "not a text file"),
        ("lists/list.doc", "no list of videos"),
        ("lists/none.csv", "none of the 1 videos"),
    ):
        with pytest.raises(DataError, match=match) as caught:
            load_manifest(str(tmp_path / name))
        assert "\n" not in str(caught.value)
        assert name.split("/")[-1] in str(caught.value)
    with pytest.raises(DataError, match="did you mean 'classes'"):
        load_manifest(str(tmp_path), "class")
    with pytest.raises(DataError, match="cannot be read as parquet"):
        load_manifest(str(tmp_path), "parquet")
    (tmp_path / "lists/twice.csv").write_text("a.mp4 1\na.mp4 1\n")
    lay(tmp_path / "lists", "a.mp4")
    with pytest.raises(DataError, match="twice"):
        load_manifest(str(tmp_path / "lists/twice.csv"))


def test_object_stores_are_read_like_folders(tmp_path, monkeypatch):
    lay(tmp_path / "bucket", "data/run/1.mp4", "data/jump/1.mp4", "lists/train.csv")
    (tmp_path / "bucket/lists/train.csv").write_text("run/1.mp4,run\njump/1.mp4,jump\n")
    store = pafs.SubTreeFileSystem(str(tmp_path), pafs.LocalFileSystem())

    def opened(uri):
        return (store, uri.removeprefix("s3://")) if uri.startswith("s3://") else original(uri)

    original = storage.open_filesystem
    monkeypatch.setattr(storage, "open_filesystem", opened)
    monkeypatch.setattr(manifest_module, "open_filesystem", opened)
    manifest = load_manifest("s3://bucket/data")
    assert manifest.classes == ("jump", "run")
    assert manifest.row(0).uri == "s3://bucket/data/jump/1.mp4"
    local = load_manifest(str(tmp_path / "bucket/data"))
    assert local.digest == manifest.digest
    listed = load_manifest("s3://bucket/lists/train.csv", root="s3://bucket/data")
    assert listed.row(0).uri == "s3://bucket/data/run/1.mp4"
    manifest.save("s3://bucket/m.parquet")
    assert load_manifest("s3://bucket/m.parquet").digest == manifest.digest
    with pytest.raises(DataError, match="nothing at s3://bucket/gone"):
        load_manifest("s3://bucket/gone")


def test_a_list_with_several_labels(tmp_path):
    for name in ("a.mp4", "b.mp4", "c.mp4"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "list.txt").write_text("a.mp4 run;jump\nb.mp4\nc.mp4 jump;jump\nd.mp4 run\n")
    manifest = load_manifest(str(tmp_path / "list.txt"), multi_label=True)
    assert manifest.classes == ("jump", "run")
    assert [manifest.row(i).labels for i in range(3)] == [(0, 1), (), (0,)]
    assert (manifest.multi_label, manifest.missing) == (True, ("d.mp4",))
    (tmp_path / "numbers.csv").write_text("a.mp4,3;0\nb.mp4,1\n")
    numbered = load_manifest(str(tmp_path / "numbers.csv"), multi_label=True)
    assert numbered.classes == ("0", "1", "2", "3")
    assert numbered.row(0).labels == (0, 3)


def test_several_labels_are_part_of_the_digest_and_of_a_saved_manifest(tmp_path):
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).write_bytes(b"x")
    digests = []
    for labels in ("run;jump", "run"):
        (tmp_path / "list.txt").write_text(f"a.mp4 {labels}\nb.mp4 jump\n")
        manifest = load_manifest(str(tmp_path / "list.txt"), multi_label=True)
        digests.append(manifest.digest)
    assert digests[0] != digests[1]
    manifest.save(tmp_path / "m.parquet")
    again = load_manifest(str(tmp_path / "m.parquet"), multi_label=True)
    assert (again.digest, again.row(0).labels) == (manifest.digest, (1,))


@pytest.mark.parametrize(
    ("text", "message"),
    [("a.mp4\n", "names no label"), ("a.mp4,run\n", None)],
)
def test_formats_without_several_labels_say_so(tmp_path, text, message):
    (tmp_path / "a.mp4").write_bytes(b"x")
    (tmp_path / "list.txt").write_text(text)
    if message is None:
        load_manifest(str(tmp_path / "list.txt")).save(tmp_path / "single.parquet")
        with pytest.raises(DataError, match="has no column 'labels'"):
            load_manifest(str(tmp_path / "single.parquet"), multi_label=True)
        with pytest.raises(DataError, match="is read as folder, in which a video has one label"):
            load_manifest(str(tmp_path), multi_label=True)
    else:
        with pytest.raises(DataError, match=message):
            load_manifest(str(tmp_path / "list.txt"), multi_label=True)
