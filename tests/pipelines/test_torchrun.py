"""The program under torchrun: two processes train one model and stop together with a checkpoint."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow
STEPS = "150"


def start(home: Path, *words: str) -> subprocess.Popen:
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
        "pipelines/pretrain_mae.py", "--run.backend", "local", "--run.decoders", "0", "--run.name", "two",
        "--run.storage", str(home), "--run.lineage", "False", "--run.pictures", "False", "--run.log-every", "1",
        "--data.synthetic.num-videos", "40", "--schedule.epochs", "1000", *words,
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    log = open(home / "log", "ab")  # noqa: SIM115  it lives as long as the process
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)


def test_a_signal_stops_both_with_a_checkpoint_and_the_next_start_goes_on(tmp_path):
    first = start(tmp_path, "--schedule.max-steps", STEPS)
    end = time.monotonic() + 240
    metrics = tmp_path / "two" / "metrics.csv"
    while not (metrics.exists() and len(metrics.read_text().splitlines()) > 3):
        assert first.poll() is None, (tmp_path / "log").read_text()
        assert time.monotonic() < end
        time.sleep(0.1)
    first.send_signal(signal.SIGTERM)
    assert first.wait(60) != 0
    said = (tmp_path / "log").read_text()
    assert said.count("with a checkpoint; the same command goes on from it") == 1, said
    second = start(tmp_path, "--schedule.max-steps", STEPS)
    assert second.wait(300) == 0, (tmp_path / "log").read_text()
    assert "steps of 8 clips, from step" in (tmp_path / "log").read_text()
    assert json.loads((tmp_path / "two" / "finished.json").read_text())["step"] == int(STEPS)
