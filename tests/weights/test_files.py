"""Files from anywhere: whole ones are read, damaged and hostile ones refused in one sentence, and no code runs."""

from __future__ import annotations

import argparse
import json
import pickle
import struct
import zipfile

import pytest
import torch
from safetensors.torch import save_file

from vidmodels.core.errors import WeightsError
from vidmodels.weights.files import read_metadata, read_state, write_safetensors

STATE = {"a.weight": torch.arange(64.0).view(8, 8), "a.bias": torch.zeros(8)}


def refused(path) -> str:
    with pytest.raises(WeightsError) as caught:
        read_state(path)
    message = str(caught.value)
    assert "\n" not in message
    assert path.name in message
    return message


class RunsCode:
    def __init__(self, canary):
        self.canary = canary

    def __reduce__(self):
        return open, (str(self.canary), "w")


def header(**entries) -> bytes:
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text


def test_archive_with_argparse_namespace(tmp_path):
    torch.save({"model": STATE, "args": argparse.Namespace(lr=1.0), "epoch": 1}, tmp_path / "x.pth")
    state, metadata = read_state(tmp_path / "x.pth")
    assert metadata == {}
    assert state.keys() == STATE.keys()
    assert torch.equal(state["a.weight"], STATE["a.weight"])


def test_prefix_of_data_parallel_is_taken_off(tmp_path):
    torch.save({f"module.{key}": value for key, value in STATE.items()}, tmp_path / "x.pth")
    assert read_state(tmp_path / "x.pth")[0].keys() == STATE.keys()


def test_safetensors_are_known_by_content(tmp_path):
    save_file(STATE, tmp_path / "x.bin")
    assert torch.equal(read_state(tmp_path / "x.bin")[0]["a.weight"], STATE["a.weight"])


@pytest.mark.parametrize("legacy", [False, True])
def test_pickle_that_would_run_code_is_refused(tmp_path, legacy):
    canary, path = tmp_path / "canary", tmp_path / "x.pth"
    torch.save({"model": STATE, "x": RunsCode(canary)}, path, _use_new_zipfile_serialization=not legacy)
    refused(path)
    path.write_bytes(pickle.dumps(RunsCode(canary)))
    refused(path)
    assert not canary.exists()
    # the file is what it claims: without our reader it does run
    torch.save({"x": RunsCode(canary)}, path)
    torch.load(path, weights_only=False)
    assert canary.exists()


def test_bomb_is_refused_before_it_is_unpacked(tmp_path):
    plain, bomb = tmp_path / "plain.pth", tmp_path / "bomb.pth"
    torch.save({"w": torch.zeros(4_000_000)}, plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    assert bomb.stat().st_size < 50_000
    assert "would unpack to 16000" in refused(bomb)


@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
@pytest.mark.parametrize("name", ["x.pth", "x.safetensors"])
def test_truncated(tmp_path, name, share):
    path = tmp_path / name
    if name == "x.pth":
        torch.save(STATE, path)
    else:
        save_file(STATE, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    refused(path)


@pytest.mark.parametrize("name", ["x.pth", "x.safetensors"])
def test_empty_missing_and_rubbish(tmp_path, name):
    path = tmp_path / name
    assert "no weights file" in refused(path)
    path.touch()
    refused(path)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" * 100)
    refused(path)


@pytest.mark.parametrize("tree", [{}, [1, 2], {"model": {}}, {"epoch": 3}, torch.zeros(3)])
def test_archive_without_weights(tmp_path, tree):
    torch.save(tree, tmp_path / "x.pth")
    assert "holds no weights" in refused(tmp_path / "x.pth")


@pytest.mark.parametrize(
    "content",
    [
        struct.pack("<Q", 2**62) + b"{" + b" " * 64,
        struct.pack("<Q", 1 << 26) + b"{}",
        header(
            a={"dtype": "F32", "shape": [4], "data_offsets": [0, 16]},
            b={"dtype": "F32", "shape": [4], "data_offsets": [8, 24]},
        )
        + bytes(24),
        header(a={"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 16]}) + bytes(16),
        header(a={"dtype": "F32", "shape": [4], "data_offsets": [0, 1600]}) + bytes(16),
    ],
    ids=["huge header", "header past the end", "overlap", "shape lies", "offset past the end"],
)
def test_crooked_safetensors(tmp_path, content):
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    refused(path)


def test_folder_of_shards(tmp_path):
    save_file({"a.weight": STATE["a.weight"]}, tmp_path / "1.safetensors")
    save_file({"a.bias": STATE["a.bias"]}, tmp_path / "2.safetensors")
    assert read_state(tmp_path)[0].keys() == STATE.keys()
    save_file({"a.bias": STATE["a.bias"]}, tmp_path / "3.safetensors")
    with pytest.raises(WeightsError, match=r"3\.safetensors holds 'a\.bias' again"):
        read_state(tmp_path)


def test_folder_without_weights(tmp_path):
    (tmp_path / "readme.txt").touch()
    with pytest.raises(WeightsError, match="no weights in the folder"):
        read_state(tmp_path)


def test_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = write_safetensors(STATE, tmp_path / "deep" / "x.safetensors", {"classes": ["ä", "b"]})
    assert read_metadata(path) == {"classes": ["ä", "b"]}
    before = path.read_bytes()

    def breaks(tensors, where, metadata):
        where.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr("vidmodels.weights.files.save_tensors", breaks)
    with pytest.raises(WeightsError, match=r"cannot write .*disk full"):
        write_safetensors(STATE, path, {})
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["x.safetensors"]


def test_tied_and_strided_tensors_are_written(tmp_path):
    table = torch.arange(12.0).view(3, 4)
    path = write_safetensors({"a": table, "b": table, "c": table.T, "d": table[1:]}, tmp_path / "x.safetensors", {})
    state, _ = read_state(path)
    assert torch.equal(state["a"], table)
    assert torch.equal(state["b"], table)
    assert torch.equal(state["c"], table.T)
    assert torch.equal(state["d"], table[1:])


def test_metadata_of_foreign_and_crooked_files(tmp_path):
    save_file(STATE, tmp_path / "a.safetensors")
    assert read_metadata(tmp_path / "a.safetensors") == {}
    save_file(STATE, tmp_path / "b.safetensors", {"vidmodels": "{nonsense"})
    with pytest.raises(WeightsError, match="is not JSON"):
        read_metadata(tmp_path / "b.safetensors")
    save_file(STATE, tmp_path / "c.safetensors", {"vidmodels": "[1]"})
    assert read_metadata(tmp_path / "c.safetensors") == {}
