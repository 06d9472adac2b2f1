"""The sweep of masked pre-training: ratio x sampling x decoder, at equal epochs and at equal tokens of the encoder."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pipelines.common.kinds.nearest import labelled
from pipelines.common.program import Invocation
from pipelines.common.runs import run_identity
from pipelines.common.search.outcome import Row
from pipelines.common.search.settings import MaskingSection, mode_of
from pipelines.common.search.space import changed
from pipelines.common.search.study import Study
from pipelines.common.search.sweep import Sweep, begin, compared, run_sweep, say
from pipelines.common.search.trials import Trial, TrialMaker
from vidmodels.core.recipe import MaskedRecipe
from vidmodels.visual.sweeps import save_curves

NOT_COMPARABLE = (
    "the videos have no labels, so that trials are listed by their loss: losses of different ratios, samplings and targets are "
    "not comparable, since what is easier to see through is easier to predict; none was stopped on the way"
)
EQUALS = {"epochs": "equal epochs", "tokens": "equal encoded tokens"}


@dataclass(frozen=True)
class Cell:
    """A place of the grid: what trials have the same of, its settings, and its recipe, which several may share."""

    equal: str
    settings: dict[str, Any]
    recipe: MaskedRecipe


def tune_masking(invocation: Invocation[MaskedRecipe]) -> int:
    """Pre-train every place of the grid and compare the encoders; the exit code. Raises VidmodelsError."""
    begin()
    search: MaskingSection = invocation.search
    maker = TrialMaker(invocation)
    sources = maker.job(invocation.recipe).sources
    base = invocation.recipe
    metric = "loss"
    if labelled(sources):
        metric = "val_top1"
        base = base.replace(task=base.task.replace(knn_videos=search.knn_videos))
        base = compared(base, metric, search.scheduler)
    else:
        search = search.replace(scheduler="none")
        say(NOT_COMPARABLE)
    cells = grid(base, search)
    trials = [maker.trial(cell.recipe, {"equal": cell.equal, **cell.settings}) for cell in cells]
    identity = {**run_identity(base, sources.digest, sources.classes), "search": search.identity()}

    def pictures(study: Study, rows: Sequence[Row]) -> dict[str, str]:
        return _curves(study, cells, trials, metric)

    sweep = Sweep(
        invocation.program,
        base,
        identity,
        search.identity(),
        _distinct(trials),
        metric,
        mode_of(metric),
        pictures,
        () if metric == "val_top1" else (NOT_COMPARABLE,),
    )
    return run_sweep(sweep, replace(invocation, search=search), maker)


def grid(base: MaskedRecipe, search: MaskingSection) -> list[Cell]:
    """All places of the grid, their recipes checked. Raises ConfigError for a setting that cannot be."""
    keys = {
        "task.mask_sampling": search.samplings,
        "model.decoder_dim": search.decoder_dims,
        "model.decoder_depth": search.decoder_depths,
        "task.mask_ratio": search.ratios,
    }
    given = {key: values for key, values in keys.items() if values}
    cells = []
    for equal in ("epochs", "tokens") if search.equal == "both" else (search.equal,):
        for values in itertools.product(*given.values()):
            settings = dict(zip(given, values))
            recipe = changed(base, settings)
            cells.append(Cell(equal, settings, recipe if equal == "epochs" else at_equal_tokens(recipe, base)))
    return cells


def at_equal_tokens(recipe: MaskedRecipe, base: MaskedRecipe) -> MaskedRecipe:
    """The recipe with as many steps as let its encoder see as many tokens as that of `base`; the warm-up grows alike."""
    factor = (1 - base.task.mask_ratio) / (1 - recipe.task.mask_ratio)
    schedule, every = recipe.schedule, recipe.train.eval_every_epochs
    steps = schedule.max_steps
    longer = schedule.replace(
        epochs=_rounded(schedule.epochs * factor),
        warmup_epochs=_rounded(schedule.warmup_epochs * factor),
        max_steps=None if steps is None else max(1, round(steps * factor)),
    )
    return recipe.replace(
        schedule=longer, train=recipe.train.replace(eval_every_epochs=None if every is None else _rounded(every * factor))
    )


def _curves(study: Study, cells: Sequence[Cell], trials: Sequence[Trial], metric: str) -> dict[str, str]:
    """A picture for each of what trials have the same of: the scores over the ratio, a line for all else."""
    found = {}
    for equal in dict.fromkeys(cell.equal for cell in cells):
        lines: dict[str, list[tuple[float, float]]] = {}
        stopped: dict[str, list[tuple[float, float]]] = {}
        for cell, trial in zip(cells, trials):
            record = study.records.get(trial.name)
            if cell.equal != equal or record is None or record.state == "failed":
                continue
            value = record.metrics.get(metric, math.nan)
            others = [f"{key.rpartition('.')[2]} {each}" for key, each in cell.settings.items() if key != "task.mask_ratio"]
            if math.isfinite(value):
                kept = lines if record.state == "finished" else stopped
                kept.setdefault(", ".join(others), []).append((cell.settings["task.mask_ratio"], value))
        if lines:
            file, title = f"ratios_{equal}.png", f"At {EQUALS[equal]}"
            path = study.folder.scratch / file
            save_curves(lines, "masked share of the tokens", metric, path, title, stopped)
            found[file] = f"{metric} over the masked share of the tokens at {EQUALS[equal]}; hollow: stopped on the way"
    return found


def _distinct(trials: Sequence[Trial]) -> list[Trial]:
    """The trials by name: at the recipe's own ratio both comparisons have the same."""
    found: dict[str, Trial] = {}
    for trial in trials:
        found.setdefault(trial.name, trial)
    return list(found.values())


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")
