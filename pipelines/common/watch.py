"""What the driver does while a run goes on: the live display, metrics.csv, the lineage spool, signals."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from pipelines.common.spool import Spool
from vidmodels.metrics.recorder import MetricsFile
from vidmodels.visual.progress import Progress


@dataclass
class Watch:
    """A listener of the training loop that shows and records what it hears."""

    progress: Progress
    metrics_file: MetricsFile
    spool: Spool | None = None

    def on_metrics(self, step: int, metrics: dict[str, float], clips: int, wait_s: float, step_s: float) -> None:
        # after a worker died, the steps since its last checkpoint come again: the first values stay
        if step >= self.metrics_file.last_step:
            self.metrics_file.append(step, metrics)
        if self.spool is not None:
            self.spool.metrics(metrics, step)
        self.progress.update(step, metrics, clips, wait_s, step_s)

    def on_checkpoint(self, step: int, uri: str) -> None:
        self.progress.note(f"checkpoint of step {step} written")


class StopSignal:
    """Set by SIGTERM or SIGINT: the run then writes a checkpoint and ends; a second SIGINT ends it at once."""

    def __init__(self) -> None:
        self._received = threading.Event()
        self.number = 0

    def __call__(self) -> bool:
        return self._received.is_set()

    @property
    def exit_code(self) -> int:
        """128 + the signal's number, as shells report it (143, 130)."""
        return 128 + self.number if self.number else 0

    @contextmanager
    def installed(self) -> Iterator[StopSignal]:
        """Catch the signals inside the context (main thread only)."""
        previous = {number: signal.signal(number, self._on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield self
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._received.is_set() and number == signal.SIGINT:
            os._exit(130)
        self.number = number
        self._received.set()
