"""Checkpoints are whole or not there, verified on reading, and never run code."""

from __future__ import annotations

import logging
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from vidmodels.core.errors import CheckpointError
from vidmodels.training.checkpoint import Checkpointer
from vidmodels.training.files import save_pickled, save_tensors
from vidmodels.training.manifest import parse_manifest, valid_name
from vidmodels.training.store_remote import RemoteStore


def save_some(target: Checkpointer, steps: tuple[int, ...], losses: tuple[float, ...] = ()) -> None:
    for number, step in enumerate(steps):
        metrics = {"loss": losses[number]} if losses else {}
        files = {"a.bin": bytes([step % 256]) * 5000, "b.bin": os.urandom(300)}
        target.save(step, files, {"step": step, "metrics": metrics})


@pytest.fixture(params=["local", "uri"])
def folder(request, tmp_path) -> str:
    """The same tests for a local folder and, through pyarrow's file system, for an object store."""
    return str(tmp_path / "run") if request.param == "local" else remote_uri(tmp_path)


def remote_uri(tmp_path: Path) -> str:
    return f"file://{tmp_path}/bucket"


@pytest.fixture(autouse=True)
def _remote_by_pyarrow(monkeypatch):
    """file:// stands for an object store here: no renames, everything through the pyarrow file system."""
    from pyarrow.fs import LocalFileSystem, SubTreeFileSystem

    from vidmodels.training import store

    real = store.open_store

    def open_store(uri: str):
        if uri.startswith("file://"):
            Path(uri[7:]).mkdir(parents=True, exist_ok=True)
            return RemoteStore(uri, SubTreeFileSystem(uri[7:], LocalFileSystem()), "runs/one")
        return real(uri)

    monkeypatch.setattr("vidmodels.training.checkpoint.open_store", open_store)


def test_what_is_saved_comes_back(folder, tmp_path):
    (tmp_path / "given").write_bytes(b"from a file")
    target = Checkpointer(folder)
    assert target.newest() is None
    assert target.list() == []
    files = {"one": b"bytes", "two": tmp_path / "given", "three": lambda path: path.write_text("written")}
    uri = target.save(12, files, {"step": 12, "metrics": {}})
    found = Checkpointer(folder).newest()
    assert (found.step, found.uri) == (12, uri)
    assert uri.endswith("/step_00000012")
    assert set(found.files) == {"state.json", "one", "two", "three"}
    for name, text in {"one": b"bytes", "two": b"from a file", "three": b"written"}.items():
        with found.local(name) as path:
            assert path.read_bytes() == text
    assert found.read_json("state.json")["step"] == 12
    with pytest.raises(CheckpointError, match="has no file 'four'"):
        found.local("four")


def test_a_step_can_be_written_again(folder):
    target = Checkpointer(folder)
    target.save(1, {"a": b"first", "gone": b"x"}, {})
    target.save(1, {"a": b"second"}, {})
    found = target.newest()
    assert set(found.files) == {"state.json", "a"}
    with found.local("a") as path:
        assert path.read_bytes() == b"second"
        assert {p.name for p in path.parent.iterdir()} <= {"state.json", "a", "manifest.json"}


def test_pruning_keeps_the_newest_and_the_best(folder):
    target = Checkpointer(folder, keep=2, metric="loss")
    save_some(target, (1, 2, 3, 4, 5), (3.0, 1.0, 2.0, 1.5, 1.6))
    assert [i.step for i in target.list()] == [2, 4, 5]
    assert target.best().step == 2
    assert [i.metric for i in target.list()] == [1.0, 1.5, 1.6]
    larger = Checkpointer(folder, keep=1, metric="loss", mode="max")
    assert larger.prune() == [2, 4]


def test_the_best_of_an_accuracy_is_the_largest(tmp_path):
    target = Checkpointer(tmp_path, keep=1, metric="top1")
    for step, value in enumerate((0.3, 0.9, float("nan"), 0.5)):
        target.save(step, {"a": b"a"}, {"metrics": {"top1": value}})
    assert [i.step for i in target.list()] == [1, 3]


def damage(path: Path, how: str) -> None:
    raw = bytearray(path.read_bytes())
    if how == "truncate":
        path.write_bytes(raw[: len(raw) // 2])
    elif how == "flip":
        raw[len(raw) // 2] ^= 0x10
        path.write_bytes(raw)
    else:
        path.unlink()


@pytest.mark.parametrize("how", ["truncate", "flip", "delete"])
@pytest.mark.parametrize("name", ["a.bin", "b.bin", "state.json"])
def test_damage_is_named_and_the_one_before_is_used(folder, how, name, caplog):
    target = Checkpointer(folder, keep=3)
    save_some(target, (10, 20, 30))
    root = Path(target.store.folder if hasattr(target.store, "folder") else folder[7:] + "/runs/one")
    damage(root / "step_00000030" / name, how)
    fresh = Checkpointer(folder, keep=3)
    with caplog.at_level(logging.WARNING):
        assert fresh.newest().step == 20
    assert name in caplog.text
    assert "step_00000030" in caplog.text
    states = {i.step: (i.ok, i.problem) for i in fresh.list()}
    assert states[20] == (True, None)
    assert states[30][0] is False
    assert name in states[30][1]
    with pytest.raises(CheckpointError, match=name):
        fresh.at(30)


def test_a_damaged_newest_never_costs_the_last_good_one(folder):
    target = Checkpointer(folder, keep=1)
    save_some(target, (10,))
    Checkpointer(folder, keep=3).save(20, {"a.bin": b"a" * 100}, {})
    root = Path(target.store.folder if hasattr(target.store, "folder") else folder[7:] + "/runs/one")
    damage(root / "step_00000020" / "a.bin", "flip")
    fresh = Checkpointer(folder, keep=1)
    assert fresh.prune() == []
    assert fresh.newest().step == 10
    save_some(fresh, (20,))  # the run comes past it again and replaces it
    assert [(i.step, i.ok) for i in fresh.list()] == [(20, True)]


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"files": {}}', '{"step": 9, "files": {"a": {"bytes": 1, "sha256": "x"}}}', "[" * 100000,
     '{"step": 1, "files": {"../a": {"bytes": 1, "sha256": "%s"}}}' % ("0" * 64), '{"step": 1, "files": [1]}',
     '{"step": 1, "files": {"a": {"bytes": -1, "sha256": "%s"}}}' % ("0" * 64), '{"step": 1, "files": {"a": 3}}',
     "\udcff\udcfe", '{"step": 1, "files": {"a": {"bytes": true, "sha256": 5}}, "metrics": 3}'],
)  # fmt: skip
def test_a_broken_manifest_is_a_damaged_checkpoint(tmp_path, text):
    target = Checkpointer(tmp_path)
    target.save(1, {"a": b"1"}, {})
    (tmp_path / "step_00000001" / "manifest.json").write_bytes(text.encode(errors="surrogateescape"))
    assert Checkpointer(tmp_path).newest() is None
    assert "manifest.json" in Checkpointer(tmp_path).list()[0].problem


def test_names_that_leave_the_folder_are_refused(tmp_path):
    for name in ("../x", "a/b", "", ".", "..", ".hidden", "a\0b", "a\\b", "manifest.json", "x" * 300):
        assert not valid_name(name)
        with pytest.raises(CheckpointError, match="cannot be the name"):
            Checkpointer(tmp_path).save(1, {name: b""}, {})
    assert Checkpointer(tmp_path).list() == []


def test_manifest_bytes_at_random_give_a_value_error_or_a_manifest():
    good = b'{"format": 1, "step": 5, "files": {"a": {"bytes": 3, "sha256": "' + b"0" * 64 + b'"}}, "metrics": {"l": 1.5}}'
    rng = random.Random(0)
    parsed = 0
    for _ in range(3000):
        raw = bytearray(good)
        for _ in range(rng.randint(1, 6)):
            raw[rng.randrange(len(raw))] = rng.randrange(256)
        try:
            parse_manifest(bytes(raw), 5)
            parsed += 1
        except ValueError:
            pass
    assert 0 < parsed < 3000


WRITER = """
import sys
from vidmodels.training.checkpoint import Checkpointer
def slow(path):
    with open(path, "wb") as file:
        for part in range(40):
            file.write(bytes([part]) * 4096); file.flush()
target = Checkpointer(sys.argv[1], keep=2)
step = int(sys.argv[2])
print("ready", flush=True)
while True:
    step += 1
    target.save(step, {"model.safetensors": slow, "optimizer.pt": slow}, {"step": step, "metrics": {}})
    print(step, flush=True)
"""


def test_a_writer_killed_at_random_moments_never_leaves_a_partial_one_to_load(tmp_path):
    rng = random.Random(1)
    folder = tmp_path / "run"
    acknowledged, partial = 0, 0
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([os.getcwd(), *sys.path])}
    for _ in range(50):
        command = [sys.executable, "-c", WRITER, str(folder), str(acknowledged)]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        assert child.stdout.readline() == "ready\n"
        started = time.perf_counter()
        acknowledged = int(child.stdout.readline())
        cost = time.perf_counter() - started
        time.sleep(rng.uniform(0, 2 * cost))
        os.kill(child.pid, signal.SIGKILL)
        rest = child.stdout.read().split()
        child.wait()
        acknowledged = int(rest[-1]) if rest else acknowledged
        reader = Checkpointer(folder)
        lines = reader.list()
        found = reader.newest()
        assert found.step >= acknowledged  # what was acknowledged is there; one more may have been completed
        assert all(line.ok for line in lines if line.problem is None or "partial" not in line.problem)
        for name in ("model.safetensors", "optimizer.pt"):
            with found.local(name) as path:
                assert path.stat().st_size == 40 * 4096
        left = list(folder.glob(".tmp-step_*"))
        assert len([line for line in lines if line.problem and "partial" in line.problem]) == len(left)
        partial += len(left)
        acknowledged = found.step
    assert partial > 0  # else the kills missed the writing
    reader.save(10**6, {"a": b"a"}, {})
    assert not list(folder.glob(".*step_*"))  # dead writers' leftovers are swept by the next save


def test_listing_checkpoints_needs_no_torch():
    code = "import sys, vidmodels.training.checkpoint; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_step_set_aside_by_a_writer_that_died_is_put_back(tmp_path):
    target = Checkpointer(tmp_path)
    save_some(target, (1,))
    dead = subprocess.Popen(["true"])
    dead.wait()
    (tmp_path / "step_00000001").rename(tmp_path / f".old-step_00000001-{os.uname().nodename}-{dead.pid}")
    assert Checkpointer(tmp_path).newest().step == 1


def test_an_upload_without_its_manifest_is_partial(tmp_path):
    target = Checkpointer(remote_uri(tmp_path), keep=1)
    save_some(target, (1, 2))
    folder = tmp_path / "bucket/runs/one"
    assert (folder / "LATEST").read_text() == "step_00000002\n"
    (folder / "step_00000002/manifest.json").unlink()
    fresh = Checkpointer(remote_uri(tmp_path), keep=1)
    assert fresh.newest() is None
    assert [(i.step, i.ok, i.problem) for i in fresh.list()] == [(2, False, "partial: its writing was interrupted")]
    save_some(fresh, (3,))
    assert [(i.step, i.ok) for i in fresh.list()] == [(3, True)]


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"mounting a tmpfs is not permitted here: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_full_disk_keeps_the_last_good_one_and_says_what_is_needed(small_disk):
    target = Checkpointer(small_disk / "run", keep=3)
    target.save(1, {"a": b"a" * 400_000}, {})
    with pytest.raises(CheckpointError, match=r"disk full: the checkpoint of step 2 .* needs about 0.8 MB, 0.6 MB are"):
        target.save(2, {"a": b"b" * 800_000}, {})
    assert [(i.step, i.ok) for i in target.list()] == [(1, True)]
    target.save(3, {"a": b"c" * 400_000}, {})  # what fits goes on being written
    assert target.newest().step == 3


def test_a_full_disk_gives_up_older_ones_before_it_stops(small_disk, caplog):
    target = Checkpointer(small_disk / "run", keep=3)
    for step in (1, 2, 3):
        target.save(step, {"a": bytes(400_000)}, {})
    assert [i.step for i in target.list()] == [2, 3]
    assert "nearly full" in caplog.text


@pytest.mark.parametrize("kind", ["tensors", "pickled", "function"])
def test_a_disk_that_fills_while_writing_is_noticed_in_every_kind_of_file(small_disk, kind):
    tree = {str(i): torch.randn(50_000) for i in range(8)}

    def function(path: Path) -> None:
        with path.open("wb") as file:
            for _ in range(40):
                file.write(bytes(40_000))

    writer = {
        "tensors": lambda p: save_tensors(tree, p),
        "pickled": lambda p: save_pickled(tree, p),
        "function": function,
    }
    target = Checkpointer(small_disk / "run")
    target.save(1, {"a": b"good"}, {})
    with pytest.raises(CheckpointError, match="disk full"):
        target.save(2, {"big": writer[kind]}, {})
    assert [(i.step, i.ok) for i in target.list()] == [(1, True)]
    assert not list((small_disk / "run").glob(".tmp*"))
