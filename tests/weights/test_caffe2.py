"""Caffe2's pickles give arrays, or one sentence; they run nothing."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from vidmodels.core.errors import WeightsError
from vidmodels.weights.files import read_state


class RunsCode:
    def __reduce__(self):
        return (exec, ("print('code of the file ran')",))


@pytest.mark.parametrize("protocol", range(5))
def test_arrays_come_out_by_their_names(protocol, tmp_path):
    blobs = {"conv1_w": np.arange(6, dtype=np.float32).reshape(2, 3), "count": np.array(3), "lr": np.float32(0.1)}
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"blobs": blobs, "cfg": "text"}, protocol))
    state, metadata = read_state(tmp_path / "a.pkl")
    assert metadata == {}
    assert torch.equal(state["conv1_w"], torch.arange(6.0).reshape(2, 3))
    assert state["count"].shape == ()
    assert "lr" not in state  # a number, no array


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"blobs": {"a": RunsCode()}}, r"it asks for \w+\.exec"),
        ({"blobs": {"a": np.array([1, "x"], dtype=object)}}, "it holds an array of object"),
        ([1, 2], "it is a pickle of list, not of named arrays"),
        ({"blobs": {"a": "text"}}, "there is no array of numbers in it"),
    ],
)
def test_anything_else_is_refused(tree, message, tmp_path, capsys):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(tree, 2))
    with pytest.raises(WeightsError, match=message):
        read_state(tmp_path / "a.pkl")
    assert "code of the file ran" not in capsys.readouterr().out


def test_a_file_cut_short_is_refused(tmp_path):
    whole = pickle.dumps({"blobs": {"a": np.zeros(1000)}}, 2)
    (tmp_path / "a.pkl").write_bytes(whole[:500])
    with pytest.raises(WeightsError, match="it is damaged, or holds more than named arrays"):
        read_state(tmp_path / "a.pkl")


def test_torch_s_old_files_are_still_torch_s(tmp_path):
    torch.save({"a": torch.ones(2)}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert torch.equal(read_state(tmp_path / "old.pth")[0]["a"], torch.ones(2))
