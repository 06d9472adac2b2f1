"""Addresses: what is local, what a path is, and one sentence for what cannot be reached."""

from __future__ import annotations

import io

import pytest
from pyarrow import fs as pafs

from vidmodels.core.errors import DataError
from vidmodels.data import storage


def test_local_addresses():
    assert storage.is_local("a/b.mp4")
    assert storage.is_local("file:///a/b.mp4")
    assert not storage.is_local("s3://bucket/a.mp4")
    assert storage.local_path("file:///a/b%20c.mp4") == "/a/b c.mp4"
    assert storage.local_path("file://localhost/a") == "/a"
    assert storage.local_path("a?b#c.mp4") == "a?b#c.mp4"
    for uri in ("s3://bucket/a", "file://elsewhere/a"):
        with pytest.raises(DataError, match=r"bucket|elsewhere"):
            storage.local_path(uri)


def test_open_filesystem(tmp_path):
    (tmp_path / "a.txt").write_text("hello")
    for uri in (str(tmp_path), f"file://{tmp_path}"):
        system, path = storage.open_filesystem(uri)
        assert system.open_input_stream(f"{path}/a.txt").read() == b"hello"
    with pytest.raises(DataError, match=r"nowhere://a.*scheme"):
        storage.open_filesystem("nowhere://a/b")


def test_join_and_parent():
    assert storage.join("s3://b/c/", "d.mp4") == "s3://b/c/d.mp4"
    assert storage.join("/a", "/b/c.mp4") == "/b/c.mp4"
    assert storage.join("/a", "s3://b/c.mp4") == "s3://b/c.mp4"
    assert storage.parent("s3://b/c/d.csv") == "s3://b/c"
    assert storage.parent("a/d.csv") == "a"


def test_list_files(tmp_path):
    for name in ("b/2.mp4", "a.mp4", ".hidden/x.mp4", "b/.y.mp4"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"12345")
    assert storage.list_files(str(tmp_path)) == [("a.mp4", 5), ("b/2.mp4", 5)]
    with pytest.raises(DataError, match="nothing-here"):
        storage.list_files(str(tmp_path / "nothing-here"))


def test_small_files_are_read_whole(tmp_path, monkeypatch):
    (tmp_path / "list.csv").write_bytes(b"a,b\n")
    assert storage.read_bytes(str(tmp_path / "list.csv")) == storage.read_bytes((tmp_path / "list.csv").as_uri()) == b"a,b\n"
    with pytest.raises(DataError, match="has 4 bytes, more than the 3 of a list"):
        storage.read_bytes(str(tmp_path / "list.csv"), limit=3)
    with pytest.raises(DataError, match="there is no file"):
        storage.read_bytes(str(tmp_path / "other.csv"))
    with pytest.raises(DataError, match="not a regular file"):
        storage.read_bytes(str(tmp_path))


def test_media_of_a_store_is_seekable(tmp_path, monkeypatch):
    (tmp_path / "a.bin").write_bytes(bytes(range(256)) * 100)
    monkeypatch.setattr(storage, "open_filesystem", lambda uri: (pafs.LocalFileSystem(), uri.removeprefix("s3://")))
    with storage.open_media(f"s3://{tmp_path}/a.bin") as file:
        assert file.read(3) == b"\0\1\2"
        assert file.seek(-1, io.SEEK_END) == 25599
        assert file.read() == b"\xff"
        file.seek(256 + 7)
        assert file.read(1) == b"\7"
        assert file.tell() == 264
    with pytest.raises(DataError, match=r"gone\.mp4"):
        storage.open_media(f"s3://{tmp_path}/gone.mp4")
