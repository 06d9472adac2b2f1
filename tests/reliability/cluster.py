"""A cluster of three nodes on this machine and the pre-training program on it, to be disturbed."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
PATIENCE_S = 300.0
STEPS, EVERY = 24, 6
"""Optimiser steps of a run and steps between two checkpoints."""


@contextmanager
def three_nodes():
    """A Ray cluster of three nodes; after one is removed two workers and a decoder still fit."""
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 3, "object_store_memory": 100_000_000}
    # the head holds no worker, so that a test may remove any other node
    cluster = Cluster(initialize_head=True, head_node_args={**node, "num_cpus": 0, "include_dashboard": False})
    try:
        for _ in range(2):
            cluster.add_node(**node)
        yield cluster
    finally:
        cluster.shutdown()


@dataclass
class Program:
    """`pretrain_mae.py` with two workers as a process of its own; `words` are added to its command line."""

    home: Path
    name: str
    words: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen | None = None

    @property
    def folder(self) -> Path:
        return self.home / self.name

    def start(self) -> None:
        command = [
            sys.executable, "pipelines/pretrain_mae.py", "--run.name", self.name, "--run.storage", str(self.home),
            "--run.num-workers", "2", "--run.lineage", "False", "--run.pictures", "False", "--run.log-every", "1",
            "--schedule.max-steps", str(STEPS), "--schedule.batch-size", "8", "--train.checkpoint-every", str(EVERY),
            "--train.keep-checkpoints", "3", "--train.precision", "float32", *self.words,
        ]  # fmt: skip
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
        fixed = {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "RAY_AUTH_MODE": "disabled"}
        environment = {**os.environ, **fixed, **self.environment}
        self.home.mkdir(parents=True, exist_ok=True)
        with open(self.home / f"{self.name}.log", "ab") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)

    def finish(self) -> int:
        """Wait for the end; the exit code."""
        assert self.process is not None
        return self.process.wait(PATIENCE_S)

    def run(self) -> int:
        self.start()
        return self.finish()

    def log(self) -> str:
        return (self.home / f"{self.name}.log").read_text()

    def losses(self) -> dict[int, float]:
        """Loss by step, of the steps in metrics.csv."""
        try:
            with open(self.folder / "metrics.csv", newline="") as stream:
                return {int(row["step"]): float(row["loss"]) for row in csv.DictReader(stream) if row.get("loss")}
        except FileNotFoundError:
            return {}

    def wait_for_step(self, step: int) -> None:
        """Until a step is in metrics.csv; fails where the program ends before."""
        assert self.process is not None
        end = time.monotonic() + PATIENCE_S
        while max(self.losses(), default=0) < step:
            assert self.process.poll() is None, self.log()
            assert time.monotonic() < end, self.log()
            time.sleep(0.05)

    def checkpoints(self) -> list[Path]:
        """Folders of the checkpoints, the oldest first."""
        return sorted(self.folder.glob("checkpoints/step_*"))


@contextmanager
def running(program: Program) -> Iterator[Program]:
    """Started, and ended with the test."""
    program.start()
    try:
        yield program
    finally:
        assert program.process is not None
        if program.process.poll() is None:
            program.process.kill()
        program.process.wait()
