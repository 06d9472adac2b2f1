"""The expansion of X3D as a search: a generation of trials for each step, the best of which the next one starts from.

The study's notes hold the path: of each generation its candidates, written before one is trained, and then which was chosen.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipelines.common.program import Invocation
from pipelines.common.runs import run_identity
from pipelines.common.search.expand_outcome import conclude_expansion
from pipelines.common.search.outcome import study_lineage
from pipelines.common.search.settings import ExpandSection, mode_of
from pipelines.common.search.study import Study, open_study
from pipelines.common.search.sweep import Teller, begin, check_metric, say
from pipelines.common.search.trials import Trial, TrialMaker
from pipelines.common.search.tuning import Options, run_trials
from pipelines.common.watch import StopSignal
from vidmodels.core.entry import ZooEntry
from vidmodels.core.errors import ConfigError, RunError
from vidmodels.core.recipe import ClassifyRecipe
from vidmodels.systems.x3d.complexity import latency_ms
from vidmodels.systems.x3d.expansion import Cost, Notches, Point, Proposal, check_target, contract, meta_cost, proposals
from vidmodels.visual.text import number

LATENCY = "latency_ms"
UNITS = {"macs": "multiply-adds", "params": "parameters", "latency": "ms"}


def expand_x3d(invocation: Invocation[ClassifyRecipe]) -> int:
    """Expand the recipe's network until the target, and write the recipe of what was found; the exit code."""
    begin()
    search: ExpandSection = invocation.search
    target = search.target
    maker = TrialMaker(invocation)
    base = Base.of(invocation.recipe, maker, search)
    check_target(base.point, search.axes, base.cost, target, UNITS[search.cost], base.notches)
    first = maker.trial(base.recipe, {})
    metric = LATENCY if search.goodness == "latency" else search.goodness
    check_metric(metric, [first])
    sources = first.job.sources
    identity = {**run_identity(base.recipe, sources.digest, sources.classes), "search": search.identity()}
    study = open_study(maker.storage, invocation.program, invocation.run.name, identity, invocation.fresh)
    say(f"study {study.name} in {study.folder.uri}: {len(study.records)} trials ended before")
    arguments = (study, invocation.program, base.recipe, search.identity(), invocation.run, maker.tracking_uri, sources.digest)
    with study_lineage(*arguments) as (spool, parent), StopSignal().installed() as stop:
        options = Options(
            search, metric, mode_of(metric), stop, parent=parent, measure=_measured if metric == LATENCY else None
        )
        expansion = Expansion(study, maker, base, options, target)
        if not expansion.run():
            if spool is not None:
                spool.status("KILLED")
            study.folder.upload()
            say("stopped; the same command goes on with the trials that have not ended")
            return stop.exit_code or 143
        found = base.at(expansion.point)
        conclude_expansion(study, found, search, metric, UNITS[search.cost], target, spool)
    return 0


@dataclass(frozen=True)
class Base:
    """Where an expansion starts. recipe: of the base network; cost: of any point, computed once for each."""

    recipe: ClassifyRecipe
    point: Point
    cost: Cost
    notches: Notches

    @classmethod
    def of(cls, recipe: ClassifyRecipe, maker: TrialMaker, search: ExpandSection) -> Base:
        """The base that a recipe describes. Raises ConfigError for a model of another family, or videos of unknown length."""
        from vidmodels.backbones.x3d import X3DConfig

        job = maker.job(recipe)
        row: ZooEntry = job.kind.entry()
        if row.system != "x3d":
            raise ConfigError(
                f"model.name {row.name!r} is not of X3D: the axes are those of that family, see `vidmodels models x3d`"
            )
        settings = {**row.config, **job.kind.model_settings()}
        own = X3DConfig(**{key: value for key, value in settings.items() if key in X3DConfig.__dataclass_fields__})
        clip = recipe.data.clip
        point = Point(
            frames=clip.num_frames, duration=clip.num_frames * clip.frame_stride, stride=clip.frame_stride, size=clip.size,
            depth=own.depth_factor, width=own.width_factor, bottleneck=own.bottleneck_factor,
        )  # fmt: skip
        length = _video_length(recipe, search, point)
        notches = Notches(search.size_step, search.width_step, search.bottleneck_step, own.base_depths, length)
        fixed = {key: value for key, value in settings.items() if key not in {"num_frames", "size", *point.settings}}
        return cls(recipe, point, functools.cache(_cost(search.cost, fixed)), notches)

    def at(self, point: Point) -> ClassifyRecipe:
        """The recipe of a point: its clips, its factors; crops of training and evaluation grow with its size."""
        recipe = self.recipe
        if point == self.point:
            return recipe
        grown = point.size / self.point.size
        clip = recipe.data.clip
        low, high = (math.ceil(side * grown) for side in clip.short_side)
        clip = clip.replace(num_frames=point.frames, frame_stride=point.stride, size=point.size, short_side=(low, high))
        size = recipe.evaluation.size
        return recipe.replace(
            model=recipe.model.replace(settings={**recipe.model.settings, **point.settings}),
            data=recipe.data.replace(clip=clip),
            evaluation=recipe.evaluation.replace(size=None if size is None else round(size * grown)),
        )


class Expansion:
    """The loop over generations. point: where the path has come to."""

    def __init__(self, study: Study, maker: TrialMaker, base: Base, options: Options, target: float) -> None:
        self._study, self._maker, self._base, self._options, self._target = study, maker, base, options, target
        self._generations: list[dict[str, Any]] = study.notes.setdefault("generations", [])
        self._place = 0
        self.point = base.point

    def run(self) -> bool:
        """Expand to the target; False where the study was asked to stop."""
        start = self._base.cost(self.point)
        if not self._generation([Proposal("base", self.point, start, 1.0, True)]):
            return False
        before, search = self.point, self._options.search
        assert isinstance(search, ExpandSection)
        while self._base.cost(self.point) < self._target:
            before = self.point
            if not self._generation(proposals(before, search.axes, self._base.cost, search.rate, self._base.notches)):
                return False
        axis = self._generations[self._place - 1]["chosen"]
        if self._base.cost(self.point) > self._target:
            shrunk = contract(before, self.point, axis, self._base.cost, self._target, self._base.notches)
            cost = self._base.cost(shrunk)
            return self._generation([Proposal("contraction", shrunk, cost, cost / self._base.cost(before), True)])
        return True

    def _generation(self, candidates: Sequence[Proposal]) -> bool:
        """Train the candidates and move to the best; what an earlier call proposed and chose stays."""
        if self._place == len(self._generations):
            self._generations.append({"candidates": [_as_note(each) for each in candidates], "chosen": None})
        generation = self._generations[self._place]
        noted = generation["candidates"]
        trials = [self._trial(each) for each in noted]
        for each, trial in zip(noted, trials):
            each["trial"] = trial.name
        self._study.save()
        if generation["chosen"] is None:
            names = list({trial.name for trial in trials})
            heard = Teller(self._study, names, self._options.metric, self._options.mode)
            unique = list({trial.name: trial for trial in trials}.values())
            if not run_trials(self._study, unique, replace(self._options, heard=heard)):
                return False
            generation["chosen"] = self._best(noted)
            self._study.save()
        chosen = next(each for each in noted if each["axis"] == generation["chosen"])
        self.point = Point(**chosen["point"])
        score = self._study.records[chosen["trial"]].metrics[self._options.metric]
        say(f"generation {self._place}: {chosen['axis']}, {self._options.metric} {number(score)}, cost {chosen['cost']:.4g}")
        self._place += 1
        return True

    def _trial(self, noted: Mapping[str, Any]) -> Trial:
        point = Point(**noted["point"])
        shown = {"generation": self._place, "axis": noted["axis"], "cost": noted["cost"], "ratio": round(noted["ratio"], 4)}
        return self._maker.trial(self._base.at(point), {**shown, **noted["point"]})

    def _best(self, noted: Sequence[Mapping[str, Any]]) -> str:
        """The axis of the best candidate; of equal ones the cheaper. Raises RunError where none was trained."""
        metric, sign = self._options.metric, -1 if self._options.mode == "max" else 1
        records = {each["axis"]: self._study.records[each["trial"]] for each in noted}
        trained = [each for each in noted if records[each["axis"]].state == "finished"]
        if not trained:
            why = next(iter(records.values())).error
            raise RunError(f"no candidate of generation {self._place} could be trained, the first because: {why}")
        best = min(trained, key=lambda each: (sign * records[each["axis"]].metrics[metric], each["cost"]))
        return best["axis"]


def _cost(kind: str, fixed: Mapping[str, Any]) -> Cost:
    if kind != "latency":
        return meta_cost(kind, **fixed)
    return lambda point: latency_ms(point.frames, point.size, **{**fixed, **point.settings})


def _video_length(recipe: ClassifyRecipe, search: ExpandSection, point: Point) -> int:
    length = search.video_length
    if length is None:
        if not recipe.data.is_synthetic:
            raise ConfigError(
                "how long the videos are is not known before they are decoded: give --search.video-length, the frames of the "
                "shortest one, so that no clip becomes longer than it"
            )
        length = recipe.data.synthetic.num_frames
    if point.duration > length:
        raise ConfigError(
            f"the base network's clips of {point.frames} frames, {point.stride} apart, are longer than videos of {length} "
            "frames: lower data.clip.num_frames or data.clip.frame_stride"
        )
    return length


def _measured(prepared: Any) -> dict[str, float]:
    """The latency of a run's model, on a clip of zeros."""
    import torch

    from vidmodels import zoo
    from vidmodels.systems.x3d.complexity import measured_ms

    model, _ = zoo.load_model(Path(prepared.folder.scratch) / "model" / "model.safetensors")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    clip = prepared.job.recipe.data.clip
    return {LATENCY: measured_ms(model.to(device), torch.zeros(1, 3, clip.num_frames, clip.size, clip.size, device=device))}


def _as_note(proposal: Proposal) -> dict[str, Any]:
    values = {"axis": proposal.axis, "cost": proposal.cost, "ratio": proposal.ratio, "near": proposal.near}
    return json.loads(json.dumps({**values, "point": proposal.point.to_dict(), "trial": ""}))
