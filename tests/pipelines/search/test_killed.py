"""An expansion whose program is killed goes on to the same path with the same command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.pipelines.programs import BARE, QUICK

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = [sys.executable, str(ROOT / "pipelines" / "expand_x3d.py")]
WORDS = (
    *QUICK,
    *BARE,
    "--search.target-gmacs",
    "0.0045",
    "--search.axes",
    "fast,spatial,bottleneck",
    "--schedule.max-steps",
    "8",
)


def start(storage: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [*PROGRAM, *WORDS, "--run.storage", str(storage)], cwd=storage, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "RAY_AUTH_MODE": "disabled"}, start_new_session=True,
    )  # fmt: skip


def path_of(storage: Path) -> list[tuple]:
    (file,) = storage.glob("expand_x3d-*/study.json")
    return [(part["chosen"], part["candidates"]) for part in json.loads(file.read_text())["notes"]["generations"]]


@pytest.mark.slow
@pytest.mark.ray
def test_a_killed_expansion_comes_to_the_same_path_and_trains_nothing_twice(tmp_path):
    calm, killed = tmp_path / "calm", tmp_path / "killed"
    for folder in (calm, killed):
        folder.mkdir()
    undisturbed = start(calm)
    assert undisturbed.wait(900) == 0, undisturbed.stderr.read()
    process = start(killed)
    assert process.stderr is not None
    for line in process.stderr:  # in the second generation, while its second trial runs
        if line.startswith("1/3"):
            seen = [each for each in killed.glob("expand_x3d-*/study.json") if len(path_of(killed)) == 3]
            if seen:
                break
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    finished = {path: path.stat().st_mtime_ns for path in killed.glob("expand_x3d-*/trial-*/finished.json")}
    assert len(finished) >= 5
    assert path_of(killed)[-1][0] is None, "the generation was open"
    time.sleep(5)  # the cluster of the killed program goes with it
    resumed = start(killed)
    assert resumed.wait(900) == 0, resumed.stderr.read()
    assert path_of(killed) == path_of(calm)
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
