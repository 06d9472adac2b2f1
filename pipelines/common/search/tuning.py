"""Running the trials of a study on Ray Tune: as many at once as the cluster has room for, the poor ones stopped on the way."""

from __future__ import annotations

import logging
import math
import shutil
import threading
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import ray
from ray.actor import ActorHandle
from ray.tune.schedulers import ASHAScheduler, TrialScheduler

from pipelines.common.cluster import ensure_ray
from pipelines.common.search.board import start_board
from pipelines.common.search.settings import StoppingSection, TrialsSection
from pipelines.common.search.slots import own_resources, slots, trial_cores
from pipelines.common.search.study import Record, Study
from pipelines.common.search.trial_body import PROGRESS, Shared, run_trial
from pipelines.common.search.trials import Trial
from vidmodels.core.errors import RunError
from vidmodels.data.storage import is_local, open_filesystem

if TYPE_CHECKING:
    from pipelines.common.execute import Prepared

log = logging.getLogger(__name__)

POLL_S = 0.25
WHOLE = 100
"""Progress of a trial that is trained to its end, in per cent."""


@dataclass(frozen=True)
class Options:
    """How the trials of a call run. metric, mode: what is best; stop: asked whether the study is to stop; heard: called with
    the name of each trial that ends; parent, measure: see Shared."""

    search: TrialsSection
    metric: str
    mode: str
    stop: Callable[[], bool] = lambda: False
    heard: Callable[[str, Record], None] = lambda name, record: None
    parent: str | None = None
    measure: Callable[[Prepared], dict[str, float]] | None = None


def run_trials(study: Study, trials: Sequence[Trial], options: Options) -> bool:
    """Run the trials that the study does not know as finished or stopped, and keep what each came to as soon as it ends.

    True where all have ended, False where the study was asked to stop: unfinished trials then have a checkpoint, and go on
    from it in the next call. Call it from the main thread. Raises RunError where the cluster is too small.
    """
    waiting = [trial for trial in trials if study.records.get(trial.name, _UNKNOWN).state == "failed"]
    if not waiting:
        return True
    run = waiting[0].job.run
    ensure_ray(run, math.ceil(trial_cores(run) * (options.search.concurrent or 1)))
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    at_once = min(slots(run, nodes, options.search.concurrent), len(waiting))
    board = start_board()
    shared = Shared(waiting, study.folder.uri, options.metric, board, options.parent, options.measure)
    fit = _Fit(study, shared, options, at_once, [study.records[t.name] for t in trials if t.name in study.records])
    fit.start()
    told = False
    while fit.is_alive():
        _deliver(board, study, options)
        if not told and options.stop():
            ray.get(board.stop_all.remote())
            told = True
        fit.join(POLL_S)
    _deliver(board, study, options)
    if fit.error is not None:
        raise RunError(f"Ray Tune ended with an error: {_last_line(fit.error)}") from fit.error
    if told:
        return False
    for trial in waiting:
        if trial.name not in study.records:  # its process died more often than allowed
            why = fit.errors.get(trial.name, "its process died")
            _keep(study, options, trial.name, Record(trial.settings, trial.seed, "failed", error=why))
    return True


_UNKNOWN = Record({}, 0, "failed")


class GentleAsha(ASHAScheduler):
    """ASHA that asks a trial to stop instead of ending its process: the trial writes a checkpoint and says how it ended.

    Trials that ended before the study was resumed are told to it first, so that others are compared with them too.
    """

    def __init__(self, shared: Shared, options: Options, search: StoppingSection, known: Sequence[Record]) -> None:
        grace = max(1, round(WHOLE * search.grace))
        super().__init__(PROGRESS, options.metric, options.mode, WHOLE, grace, search.reduction, stop_last_trials=False)
        self._board, self._names = shared.board, [trial.name for trial in shared.trials]
        self._told: set[str] = set()
        for number, record in enumerate(known):
            former: Any = SimpleNamespace(trial_id=f"former-{number}")
            super().on_trial_add(None, former)  # type: ignore[arg-type]  # the controller is not asked
            for progress, value in record.course:
                super().on_trial_result(None, former, {PROGRESS: progress, options.metric: value})  # type: ignore[arg-type]

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict) -> str:
        if trial.trial_id not in self._told:
            decision = super().on_trial_result(tune_controller, trial, result)
            if decision == TrialScheduler.STOP and result[PROGRESS] < WHOLE:
                self._told.add(trial.trial_id)
                ray.get(self._board.stop.remote(self._names[trial.config["trial"]]))
        return TrialScheduler.CONTINUE


class _Fit(threading.Thread):
    """`Tuner.fit` beside the main thread: it blocks, and it would take signals for itself."""

    def __init__(self, study: Study, shared: Shared, options: Options, at_once: int, known: Sequence[Record]) -> None:
        super().__init__(name="ray-tune", daemon=True)
        self._folder, self._shared, self._options, self._at_once, self._known = (
            f"{study.folder.uri}/ray", shared, options, at_once, known,
        )  # fmt: skip
        self.error: BaseException | None = None
        self.errors: dict[str, str] = {}

    def run(self) -> None:
        try:
            for result in self._tuner().fit():
                if result.error is not None and result.config is not None:
                    self.errors[self._shared.trials[result.config["trial"]].name] = _last_line(result.error)
        except BaseException as error:  # handed to the main thread, which raises it
            self.error = error
        finally:
            if is_local(self._folder):
                shutil.rmtree(self._folder, ignore_errors=True)  # Ray Tune's own notes, which nothing reads again

    def _tuner(self):
        from ray import tune

        run = self._shared.trials[0].job.run
        system, path = open_filesystem(self._folder)
        if is_local(self._folder):
            Path(path).mkdir(parents=True, exist_ok=True)
        scheduler = None
        search = self._options.search
        if isinstance(search, StoppingSection) and search.scheduler == "asha":
            scheduler = GentleAsha(self._shared, self._options, search, self._known)
        body = tune.with_resources(tune.with_parameters(run_trial, shared=self._shared), own_resources(run))
        return tune.Tuner(
            body,
            param_space={"trial": tune.grid_search(list(range(len(self._shared.trials))))},
            # processes are used again: to start one and to import torch takes seconds
            tune_config=tune.TuneConfig(max_concurrent_trials=self._at_once, scheduler=scheduler, reuse_actors=True),
            run_config=tune.RunConfig(
                name=uuid.uuid4().hex[:12], storage_path=path, storage_filesystem=system, verbose=0,
                failure_config=tune.FailureConfig(max_failures=run.max_failures),
            ),
        )  # fmt: skip


def _deliver(board: ActorHandle, study: Study, options: Options) -> None:
    """Keep what trials said since the last call."""
    news: Any = ray.get(board.take.remote(), timeout=60)
    for _, (name, record) in news:
        _keep(study, options, name, Record(**record))


def _keep(study: Study, options: Options, name: str, record: Record) -> None:
    study.note(name, record)
    options.heard(name, record)


def _last_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
