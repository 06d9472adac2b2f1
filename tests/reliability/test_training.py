"""Training through faults, on a cluster of three nodes: what it lost, and whether it goes on as if nothing had been."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import psutil
import pytest

from tests.data import videos
from tests.reliability.cluster import EVERY, ROOT, STEPS, Program, running, three_nodes

pytestmark = pytest.mark.slow

CRASH = """
import os, av
_open = av.open
def open(file, *args, **kwargs):
    if "crash.mp4" in str(getattr(file, "name", file)):
        os.kill(os.getpid(), 9)
    return _open(file, *args, **kwargs)
av.open = open
"""
"""Imported by every process at its start: a file of this name ends the process that opens it, as a decoder's fault does."""


@pytest.fixture(scope="module")
def nodes():
    with three_nodes() as cluster:
        yield cluster


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """200 videos of which six are damaged (3 %)."""
    folder = tmp_path_factory.mktemp("clips")
    for number in range(200):
        videos.write(folder / f"v{number:03}.mp4", 16, size=(32, 32))
    for number in range(0, 180, 30):
        whole = (folder / f"v{number:03}.mp4").read_bytes()
        (folder / f"v{number:03}.mp4").write_bytes(whole[: len(whole) // 3])
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def start(nodes, clips, home):
    """A program on the cluster by its name; further words and environment as given."""

    def make(name: str, *words: str, data: Path = clips, **environment: str) -> Program:
        return Program(home, name, ("--data.path", str(data), *words), {"RAY_ADDRESS": nodes.address, **environment})

    return make


@pytest.fixture(scope="module")
def calm(start) -> dict[int, float]:
    """The losses of a run that nothing disturbs."""
    program = start("calm")
    assert program.run() == 0, program.log()
    losses = program.losses()
    assert sorted(losses) == list(range(1, STEPS + 1))
    return losses


def test_damaged_videos_are_counted_and_named(calm, home):
    finished = (home / "calm" / "finished.json").read_text()
    assert finished.count("v0") + finished.count("v1") >= 6
    for number in range(0, 180, 30):
        assert f"v{number:03}.mp4" in finished


def test_the_driver_is_killed_and_started_again(start, calm):
    program = start("driver")
    with running(program):
        program.wait_for_step(EVERY + 2)
        assert program.process is not None
        program.process.send_signal(signal.SIGKILL)
        assert program.finish() == -signal.SIGKILL
    done = max(program.losses())
    assert done < STEPS
    assert program.run() == 0, program.log()
    assert f"from step {done // EVERY * EVERY}\n" in program.log(), "at most one checkpoint of work is lost"
    assert program.losses() == calm
    assert (program.folder / "finished.json").read_text().count("cannot be opened") == 6, "of both workers and both starts"


def test_the_newest_checkpoint_is_truncated(start, calm):
    program = start("truncated")
    with running(program):
        program.wait_for_step(2 * EVERY + 1)
        assert program.process is not None
        program.process.send_signal(signal.SIGKILL)
        program.finish()
    newest = program.checkpoints()[-1]
    weights = newest / "model.safetensors"
    os.truncate(weights, weights.stat().st_size // 2)
    assert program.run() == 0, program.log()
    assert f"{newest} is damaged (model.safetensors has" in program.log(), "a warning names it"
    assert f"from step {int(newest.name.removeprefix('step_')) - EVERY}\n" in program.log()
    assert program.losses() == calm


def test_a_worker_is_killed(start, calm):
    program = start("worker")
    with running(program):
        program.wait_for_step(EVERY + 2)
        ours = psutil.Process().children(recursive=True)  # of the cluster of these tests, not of others on the machine
        workers = [each for each in ours if "RayTrainWorker" in " ".join(each.cmdline())]
        assert len(workers) == 2
        workers[1].kill()
        assert program.finish() == 0, program.log()
    assert program.losses() == calm


def test_a_node_is_removed(start, calm, nodes):
    program = start("node")
    with running(program):
        program.wait_for_step(EVERY + 2)
        nodes.remove_node(nodes.list_all_nodes()[-1], allow_graceful=False)
        assert program.finish() == 0, program.log()
    nodes.add_node(num_cpus=3, object_store_memory=100_000_000)
    assert program.losses() == calm


def test_a_file_that_kills_its_decoder_is_found_and_named(start, clips, home, tmp_path):
    """One file in 200 whose decoding ends the process, beside the damaged ones."""
    shutil.copytree(clips, tmp_path / "clips")
    (tmp_path / "clips" / "v101.mp4").rename(tmp_path / "clips" / "crash.mp4")
    plugin = home / "plugin"
    plugin.mkdir()
    (plugin / "sitecustomize.py").write_text(CRASH)
    # a Ray of its own, whose processes start with this program's environment
    program = start("crash", data=tmp_path / "clips", RAY_ADDRESS="", PYTHONPATH=f"{plugin}{os.pathsep}{ROOT}")
    assert program.run() == 0, program.log()
    finished = (program.folder / "finished.json").read_text()
    assert "crash.mp4" in finished
    assert all(f"v{number:03}.mp4" in finished for number in range(0, 180, 30))
    assert sorted(program.losses()) == list(range(1, STEPS + 1))
