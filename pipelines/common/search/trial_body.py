"""The body of a trial: an ordinary training run in the study's folder, whose metrics go to Ray Tune as they come."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import ray
from ray.actor import ActorHandle

from pipelines.common.monitor import RemoteStop
from pipelines.common.search.study import Record
from pipelines.common.search.trials import Trial
from vidmodels.core.errors import RunError, VidmodelsError

if TYPE_CHECKING:
    from pipelines.common.execute import Prepared

log = logging.getLogger(__name__)

PROGRESS = "progress"


@dataclass(frozen=True)
class Shared:
    """What all trials of a call have in common; picklable.

    trials: by their places; folder: the study's; parent: the spool id of the study's MLflow run, None without lineage;
    measure: further metrics of a run that is finished.
    """

    trials: list[Trial]
    folder: str
    metric: str
    board: ActorHandle
    parent: str | None = None
    measure: Callable[[Prepared], dict[str, float]] | None = None


def run_trial(config: dict[str, Any], shared: Shared) -> None:
    """Train the trial of this place from its newest checkpoint on, and tell the board how it ended.

    An error of ours ends the trial and not the study: learning rates are searched among those at which nothing learns.
    """
    trial = shared.trials[config["trial"]]
    if ray.get(shared.board.stopping.remote(trial.name)):
        return  # Ray Tune begins what still waits when the study is to stop
    reporter = Reporter(trial, shared)
    try:
        record = _train(trial, shared, reporter)
    except VidmodelsError as error:
        record = reporter.record("failed")
        record.error = str(error)
    if record is not None:
        ray.get(shared.board.tell.remote("ended", trial.name, asdict(record)))


@dataclass
class Reporter:
    """A listener of the training loop that hands the metric to Ray Tune and hears whether to go on."""

    trial: Trial
    shared: Shared
    stopped: bool = False
    course: list[list[float]] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)
    step: int = 0
    seconds: float = 0.0

    def on_metrics(self, step: int, metrics: dict[str, float], clips: int, wait_s: float, step_s: float) -> None:
        self.seconds += max(0, step - self.step) * step_s
        self.step = step
        self.metrics.update(metrics)
        value = metrics.get(self.shared.metric)
        if value is not None and value == value:
            self.report(step, value)

    def on_checkpoint(self, step: int, uri: str) -> None:
        pass

    def report(self, step: int, value: float) -> None:
        """Tell Ray Tune where the trial stands; whether it is to stop is known when this returns."""
        from ray import tune

        progress = round(100 * step / self.trial.steps, 3)
        if self.course and self.course[-1][0] >= progress:
            return  # the last line of training and its evaluation are of one step
        self.course.append([progress, value])
        tune.report({PROGRESS: progress, self.shared.metric: value})
        self.stopped = bool(ray.get(self.shared.board.stopping.remote(self.trial.name)))

    def record(self, state: Any) -> Record:
        trial = self.trial
        return Record(trial.settings, trial.seed, state, self.metrics, self.step, round(self.seconds, 3), self.course)


def _train(trial: Trial, shared: Shared, reporter: Reporter) -> Record | None:
    """What the trial came to; None where the whole study is to stop and the trial will go on another time."""
    from pipelines.common.execute import open_job, run_prepared

    run = trial.job.run
    if run.backend == "local":
        import torch

        torch.set_num_threads(run.cpus_per_worker)
    prepared = open_job(trial.job, shared.folder)
    if prepared.finished is None:
        ask = RemoteStop(shared.board, about=(trial.name,))
        reporter.step = _start(prepared)
        outcome = run_prepared(prepared, lambda: reporter.stopped or ask(), (reporter,), shared.parent)
        if outcome.stopped:
            return reporter.record("stopped") if ray.get(shared.board.gave_up.remote(trial.name)) else None
    return _finished(trial, shared, prepared, reporter)


def _finished(trial: Trial, shared: Shared, prepared: Prepared, reporter: Reporter) -> Record:
    known = prepared.folder.read_json("finished.json") or {}
    reporter.metrics = {**reporter.metrics, **known.get("metrics", {})}
    reporter.step = known.get("step", reporter.step)
    if shared.measure is not None:
        reporter.metrics.update(shared.measure(prepared))
    if shared.metric not in reporter.metrics:
        there = ", ".join(sorted(reporter.metrics))
        raise RunError(f"the trial has no metric {shared.metric!r} to be compared by; it has {there}: choose --search.metric")
    return reporter.record("finished")


def _start(prepared: Prepared) -> int:
    """The step that a run goes on from."""
    from vidmodels.training.checkpoint import Checkpointer

    newest = Checkpointer(prepared.job.checkpoints).newest()
    return newest.step if newest is not None else 0
