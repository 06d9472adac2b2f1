"""The live display of a training run: a bar on a terminal, one plain line per update anywhere else."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from typing import Any, TextIO

from vidmodels.visual.text import duration, number, percent, size

SHOWN_ELSEWHERE = ("loss", "lr", "epoch", "clips_per_s", "data_wait")
ONLY_WHEN_BAD = ("bad_samples", "skipped_steps")


class Progress:
    """Shows step, epoch, metrics, clips per second, share of time spent waiting for data, time left and memory.

    total_steps, steps_per_epoch: length of the run and of an epoch in optimiser steps; batch_clips: clips of a step;
    start_step: where a resumed run goes on; stream: default standard error. A context manager. A stream that is gone
    (a closed terminal, a broken pipe) silences the display and never ends the run.
    """

    def __init__(
        self,
        total_steps: int,
        steps_per_epoch: float,
        batch_clips: int,
        start_step: int = 0,
        stream: TextIO | None = None,
    ) -> None:
        self.total_steps, self.steps_per_epoch, self.batch_clips = total_steps, max(steps_per_epoch, 1e-9), batch_clips
        self.step = self.start_step = start_step
        self.stream = sys.stderr if stream is None else stream
        self.metrics: dict[str, float] = {}
        self.evaluation = ""
        self.clips_per_s = self.data_wait = self.step_s = float("nan")
        self.began = time.monotonic()
        self._live: Any = None
        self._dead = False

    def __enter__(self) -> Progress:
        self.began = time.monotonic()
        if is_terminal(self.stream):
            self._start_live()
        else:
            resumed = f", from step {self.start_step}" if self.start_step else ""
            self._line(f"training {self.total_steps} steps of {self.batch_clips} clips{resumed}")
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        took = duration(time.monotonic() - self.began)
        complete = kind is None and self.step >= self.total_steps
        if self._live is not None:
            self._guarded(self._live.refresh)
            self._guarded(self._live.stop)
        verb = "finished" if complete else "stopped" if kind is None else f"stopped by {kind.__name__}"
        self._line(f"{verb} at step {self.step}/{self.total_steps} after {took}")
        self._live = None

    def update(self, step: int, metrics: Mapping[str, float], clips: int, wait_s: float, step_s: float) -> None:
        """Show where the run stands.

        step: optimiser steps done; metrics: means since the last update (`loss`, `lr` and others); clips: clips since
        then; wait_s, step_s: seconds per step, of which wait_s went by waiting for data. With clips 0 the metrics are
        those of an evaluation.
        """
        evaluated = clips == 0
        steps = max(step - self.step, 1)
        self.step = max(step, self.step)
        if evaluated:
            self.evaluation = f"evaluation at step {step}  {_pairs(metrics)}"
            self.note(self.evaluation)
            return
        self.metrics.update(metrics)
        if step_s > 0:
            self.clips_per_s = clips / (step_s * steps)
            self.data_wait = min(max(wait_s / step_s, 0.0), 1.0)
            # a running mean: one slow interval (a checkpoint, an evaluation) must not double the time left
            self.step_s = step_s if self.step_s != self.step_s else 0.8 * self.step_s + 0.2 * step_s
        if self._live is not None:
            self._guarded(self._live.refresh)
        else:
            self._line(self.line())

    def note(self, text: str) -> None:
        """A line of text above the bar, or in between the other lines."""
        self._line(text)

    @property
    def epoch(self) -> float:
        return self.step / self.steps_per_epoch

    @property
    def eta_s(self) -> float:
        """Seconds left; nan until the first update."""
        return max(self.total_steps - self.step, 0) * self.step_s

    def line(self) -> str:
        """All of the display in one line."""
        share = percent(self.step / max(self.total_steps, 1))
        epochs = self.total_steps / self.steps_per_epoch
        parts = [f"step {self.step}/{self.total_steps} ({share})", f"epoch {self.epoch:.2f}/{epochs:.4g}"]
        return "  ".join([*parts, *self._facts(), f"left {duration(self.eta_s)}", memory()])

    def _facts(self) -> list[str]:
        facts = [f"{name} {number(self.metrics[name])}" for name in ("loss", "lr") if name in self.metrics]
        facts += [f"{number(self.clips_per_s)} clips/s", f"data wait {percent(self.data_wait)}"]
        others = {
            name: value
            for name, value in self.metrics.items()
            if name not in SHOWN_ELSEWHERE and (value or name not in ONLY_WHEN_BAD)
        }
        return facts + ([_pairs(others)] if others else [])

    def _start_live(self) -> None:
        from rich.console import Console
        from rich.live import Live

        console = Console(file=self.stream, highlight=False)
        self._live = Live(console=console, get_renderable=self._render, refresh_per_second=2, redirect_stdout=False)
        self._guarded(self._live.start)

    def _render(self):
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        top = Table.grid(padding=(0, 2))
        bar = ProgressBar(total=max(self.total_steps, 1), completed=self.step, width=32)
        epochs = self.total_steps / self.steps_per_epoch
        top.add_row(
            bar,
            Text(percent(self.step / max(self.total_steps, 1)), "bold"),
            Text(f"step {self.step}/{self.total_steps}"),
            Text(f"epoch {self.epoch:.2f}/{epochs:.4g}"),
            Text(f"{duration(time.monotonic() - self.began)} + {duration(self.eta_s)} left", "cyan"),
        )
        facts = Text("  ".join([*self._facts(), memory()]), "dim")
        if self.metrics.get("loss") is not None:
            facts.stylize("not dim bold", 0, len(f"loss {number(self.metrics['loss'])}"))
        return Group(top, facts, *([Text(self.evaluation, "green")] if self.evaluation else []))

    def _line(self, text: str) -> None:
        if self._live is not None:
            self._guarded(lambda: self._live.console.print(text, markup=False, soft_wrap=True))
        else:
            self._guarded(lambda: self._write(f"{time.strftime('%H:%M:%S')}  {text}\n"))

    def _write(self, text: str) -> None:
        self.stream.write(text)
        self.stream.flush()

    def _guarded(self, write) -> None:
        if self._dead:
            return
        try:
            write()
        except (OSError, ValueError):  # ValueError: the stream was closed
            self._dead = True


def is_terminal(stream: TextIO) -> bool:
    """Whether a display that moves makes sense on the stream."""
    try:
        return stream.isatty() and os.environ.get("TERM") != "dumb"
    except (AttributeError, ValueError):
        return False


def memory() -> str:
    """Memory of this process, and of its accelerator where torch uses one: `mem 2.1 GB, gpu 5.3 GB`."""
    import psutil

    text = f"mem {size(psutil.Process().memory_info().rss)}"
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        text += f", gpu {size(torch.cuda.max_memory_allocated())}"
    return text


def _pairs(metrics: Mapping[str, float]) -> str:
    return "  ".join(f"{name} {number(value)}" for name, value in metrics.items())
