"""A sweep: trials of one recipe whose settings are drawn from a space, compared by one metric."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pipelines.common.program import Invocation
from pipelines.common.runs import run_identity
from pipelines.common.search.outcome import (
    Row,
    best_of,
    facts_of,
    rows_of,
    study_lineage,
    tell_outcome,
    text_table,
    write_study_report,
    write_table,
)
from pipelines.common.search.settings import SweepSection, mode_of
from pipelines.common.search.space import changed, describe, draw, read_space
from pipelines.common.search.study import Record, Study, open_study
from pipelines.common.search.trials import Trial, TrialMaker
from pipelines.common.search.tuning import Options, run_trials
from pipelines.common.watch import StopSignal
from vidmodels.core.errors import ConfigError, RunError
from vidmodels.core.logs import setup_logging
from vidmodels.core.recipe import Recipe
from vidmodels.visual.sweeps import Score, save_sweep
from vidmodels.visual.text import number

log = logging.getLogger(__name__)

RecipeT = TypeVar("RecipeT", bound=Recipe)

COMPARISONS = 9
"""Evaluations of a trial where the recipe says none and trials are compared on the way: asha looks at powers of 3."""


@dataclass(frozen=True)
class Sweep:
    """What a sweep is made of. search: its options as plain values; trials: all of them; draw: its pictures into the folder,
    as {file: caption}."""

    program: str
    recipe: Recipe
    identity: dict[str, Any]
    search: dict[str, Any]
    trials: Sequence[Trial]
    metric: str
    mode: str
    draw: Callable[[Study, Sequence[Row]], dict[str, str]]
    remarks: tuple[str, ...] = ()


def tune_recipe(invocation: Invocation) -> int:
    """Draw settings, train them, say which is best; the exit code. Raises VidmodelsError."""
    begin()
    section: SweepSection = invocation.search
    space = read_space(section.space, invocation.recipe)
    settings = draw(space, section.samples, section.seed)
    recipes = [(changed(invocation.recipe, each), each) for each in settings]
    maker = TrialMaker(invocation)
    metric = section.metric or maker.job(recipes[0][0]).kind.metric
    recipes = [(compared(recipe, metric, section.scheduler), each) for recipe, each in recipes]
    trials = maker.trials(recipes)
    check_metric(metric, trials)
    mode = section.mode or mode_of(metric)
    search = {**section.identity(), "space": describe(space), "metric": metric, "mode": mode}
    base = compared(invocation.recipe, metric, section.scheduler)
    identity = {**run_identity(base, trials[0].job.sources.digest, trials[0].job.sources.classes), "search": search}

    def pictures(study: Study, rows: Sequence[Row]) -> dict[str, str]:
        scores = [Score(row.record.settings, row.score, row.record.state == "finished") for row in rows]
        save_sweep(scores, metric, study.folder.scratch / "sweep.png", mode == "max")
        return {"sweep.png": f"{metric} of each trial over the keys that vary; hollow: stopped on the way"}

    sweep = Sweep(invocation.program, base, identity, search, trials, metric, mode, pictures)
    return run_sweep(sweep, invocation, maker)


def run_sweep(sweep: Sweep, invocation: Invocation, maker: TrialMaker) -> int:
    """Train the trials of a sweep and write what it came to; the exit code. Raises VidmodelsError."""
    study = open_study(maker.storage, sweep.program, invocation.run.name, sweep.identity, invocation.fresh)
    names = [trial.name for trial in sweep.trials]
    done = sum(name in study.records and study.records[name].state != "failed" for name in names)
    say(f"study {study.name} in {study.folder.uri}: {len(names)} trials, {done} of them ended before")
    digest = sweep.identity["data_digest"]
    arguments = (study, sweep.program, sweep.recipe, sweep.search, invocation.run, maker.tracking_uri, digest)
    with study_lineage(*arguments) as (spool, parent), StopSignal().installed() as stop:
        heard = Teller(study, names, sweep.metric, sweep.mode)
        options = Options(invocation.search, sweep.metric, sweep.mode, stop, heard, parent)
        if not run_trials(study, sweep.trials, options):
            if spool is not None:
                spool.status("KILLED")
            study.folder.upload()
            say("stopped; the same command goes on with the trials that have not ended")
            return stop.exit_code or 143
        rows = rows_of(study, names, sweep.metric, sweep.mode)
        best = best_of(rows)
        if best is None:
            raise RunError(_no_best(rows))
        files = conclude(study, rows, sweep)
        tell_outcome(spool, study, best, files)
        study.mark_finished({"best": best.name, "metrics": best.record.metrics, "settings": best.record.settings})
        study.folder.upload()
    print(text_table(rows, sweep.metric))
    for remark in sweep.remarks:
        print(remark)
    print(f"best: {best.name}, {sweep.metric} {number(best.score)}, {words(best.record.settings)}")
    print(f"folder {study.folder.uri}\nmodel  {study.folder.uri}/{best.name}/model/model.safetensors")
    return 0


def conclude(study: Study, rows: Sequence[Row], sweep: Sweep) -> list[Path]:
    """Table, pictures and report into the study's folder; the files."""
    folder = study.folder.scratch
    table = write_table(folder, rows, sweep.metric)
    pictures = sweep.draw(study, rows)
    facts = facts_of(study, sweep.search)
    if sweep.remarks:
        facts = {"Remarks": {str(place + 1): remark for place, remark in enumerate(sweep.remarks)}, **facts}
    report = write_study_report(study, rows, sweep.metric, best_of(rows), pictures, facts)
    return [table, *(folder / name for name in pictures), folder / "recipe.json", report]


@dataclass
class Teller:
    """Says what each trial came to, as it ends."""

    study: Study
    names: Sequence[str]
    metric: str
    mode: str

    def __call__(self, name: str, record: Record) -> None:
        ended = sum(each in self.study.records for each in self.names)
        value = record.metrics.get(self.metric)
        score = record.error or (f"{self.metric} {number(value)}" if value is not None else "no score")
        say(f"{ended}/{len(self.names)} {name} {record.state} at step {record.step}: {score}; {words(record.settings)}")


def compared(recipe: RecipeT, metric: str, scheduler: str) -> RecipeT:
    """The recipe with evaluations on the way, where trials are compared by them and it has none."""
    if scheduler == "none" or not metric.startswith("val_") or recipe.train.eval_every_epochs is not None:
        return recipe
    every = float(f"{recipe.schedule.epochs / COMPARISONS:.4g}")
    return recipe.replace(train=recipe.train.replace(eval_every_epochs=every))


def check_metric(metric: str, trials: Sequence[Trial]) -> None:
    """Raises ConfigError for a metric of validation where nothing is evaluated."""
    for trial in trials:
        if metric.startswith("val_") and not trial.job.kind.evaluates:
            raise ConfigError(
                f"search.metric {metric!r} is found by validation, and there is none: name videos in data.val_path, keep a "
                "share with data.val_fraction, or choose a metric of training such as loss"
            )


def begin() -> None:
    """Logging as every program has it."""
    setup_logging(os.environ.get("VIDMODELS_LOG_LEVEL", "warning"), os.environ.get("VIDMODELS_LOG_JSON") == "1")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def words(settings: Mapping[str, Any]) -> str:
    """Settings as they are typed."""
    return " ".join(f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}" for key, value in settings.items())


def _no_best(rows: Sequence[Row]) -> str:
    failed = [row for row in rows if row.record.state == "failed"]
    if failed and len(failed) == len(rows):
        return f"all {len(rows)} trials failed, the first with: {failed[0].record.error}"
    return "no trial was trained to its end with a score: give it another --search.metric, or --search.scheduler none"
