"""The trials of a study as jobs ready to run, each named by its content and checked before any is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pipelines.common.execute import job_identity, make_job
from pipelines.common.job import TrainJob
from pipelines.common.kinds import kind_of
from pipelines.common.preflight import check_job
from pipelines.common.program import Invocation
from pipelines.common.runs import identity_hash, run_name
from pipelines.common.sources import Sources, absolute_data
from pipelines.common.storage_paths import default_storage, default_tracking_uri
from vidmodels.core.recipe import Recipe, RunSection, canonical_json

PREFIX = "trial"


@dataclass(frozen=True)
class Trial:
    """A run of a study. name: of its folder, a hash of recipe and data; steps: its length; settings: what makes it differ."""

    name: str
    settings: dict[str, Any]
    job: TrainJob
    steps: int

    @property
    def seed(self) -> int:
        return self.job.recipe.train.seed


class TrialMaker:
    """Makes the trials of a program's call: data that several of them share are read once.

    storage: of the study; run: as the trials have it, whose own names would be one name for all.
    """

    def __init__(self, invocation: Invocation) -> None:
        run = invocation.run
        self.storage = (run.storage or default_storage()).rstrip("/")
        self.tracking_uri = run.tracking_uri or default_tracking_uri(self.storage)
        self.run: RunSection = run.replace(name=None, storage=None, register_as=None, tracking_uri=self.tracking_uri)
        self._known: dict[str, Sources] = {}

    def job(self, recipe: Recipe) -> TrainJob:
        """The job of a recipe. Raises VidmodelsError."""
        data = absolute_data(recipe.data)
        tree = data.model_dump(mode="json")
        clip = tree.pop("clip")
        del tree["augment"]
        key = canonical_json({"data": tree, "frames": clip["num_frames"]})
        if key not in self._known:
            kind_of(recipe).entry_of(recipe)  # a wrong name is said before data is read or rendered
            self._known[key] = kind_of(recipe).load_sources(recipe.replace(data=data), self.storage)
        return make_job(Invocation(PREFIX, recipe, self.run), self.storage, self._known[key])

    def trial(self, recipe: Recipe, settings: Mapping[str, Any]) -> Trial:
        """The trial of a recipe, checked: its model is built and takes its clips, in shapes only. Raises VidmodelsError."""
        job = self.job(recipe)
        workers = self.run.num_workers if self.run.backend == "ray" else 1
        check_job(job, workers, warns=False)
        identity = job_identity(job)
        job = replace(job, metadata={**job.metadata, "recipe_hash": identity_hash(identity)})
        return Trial(run_name(PREFIX, None, identity), dict(settings), job, job.plan(workers).total_steps)

    def trials(self, recipes: Sequence[tuple[Recipe, Mapping[str, Any]]]) -> list[Trial]:
        """The trials of recipes with what makes them differ; of equal recipes the first one stands for all."""
        made = [self.trial(recipe, settings) for recipe, settings in recipes]
        return list({trial.name: trial for trial in reversed(made)}.values())[::-1]
