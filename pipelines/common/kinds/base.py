"""What differs between kinds of training: an object of the recipe and its data, which the rest of a job asks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from pipelines.common.sources import Sources, load_sources
from vidmodels.core.errors import ConfigError, DataError
from vidmodels.core.label_sets import name_of
from vidmodels.core.recipe import DataSection, MultigridSection, Recipe
from vidmodels.data.reader import TrainReader, check_kind

if TYPE_CHECKING:
    from torch import Tensor

    from vidmodels.core.batch import Batch
    from vidmodels.core.entry import ZooEntry
    from vidmodels.tasks.base import Task
    from vidmodels.training.distributed import World
    from vidmodels.training.loop import Evaluated

RecipeT = TypeVar("RecipeT", bound=Recipe)


class Kind(ABC, Generic[RecipeT]):
    """One kind of training. A new kind is a file with a subclass, and a line in `kinds/__init__.py`.

    task: the zoo's name of what its models are made for; new_on_start: patterns of parameters that the weights to start
    from may lack or have otherwise.
    """

    task: ClassVar[str]
    new_on_start: ClassVar[tuple[str, ...]] = ()

    def __init__(self, recipe: RecipeT, sources: Sources) -> None:
        self.recipe, self.sources = recipe, sources

    @classmethod
    def load_sources(cls, recipe: RecipeT, storage: str) -> Sources:
        """The data that the recipe names. Raises DataError."""
        assert isinstance(recipe.data, DataSection)
        sources = load_sources(recipe.data, storage)
        # before the run begins: its readers would find it out at the first step, or at the first evaluation
        for manifest in (*sources.train, *([] if sources.val is None else [sources.val])):
            check_kind(manifest, recipe.data.clip.num_frames)
        return sources

    def reader(self) -> TrainReader:
        """The reader of training samples by global number."""
        assert isinstance(self.recipe.data, DataSection)
        return self.sources.reader(self.recipe.data, self.recipe.train.seed)

    @property
    def multigrid(self) -> MultigridSection:
        """How the shapes of clips and batches change; by default not at all."""
        return MultigridSection()

    @property
    def model_name(self) -> str:
        """The model's name in the zoo."""
        return self.recipe.model.name  # type: ignore[attr-defined]  # every kind of recipe has a section `model`

    def model_settings(self) -> dict[str, Any]:
        """What recipe and data change about the zoo's model. Raises ConfigError for a model of another task."""
        row, clip = self.entry(), self.recipe.data.clip
        settings: dict[str, Any] = {}
        if clip.num_frames != row.input.num_frames:
            settings["num_frames"] = clip.num_frames
            if row.config.get("pred_frames") == row.input.num_frames:
                settings["pred_frames"] = clip.num_frames
        if clip.size != row.input.size:
            settings["size"] = clip.size
        return settings

    def entry(self) -> ZooEntry:
        """The card's row of the model; see `entry_of`."""
        return self.entry_of(self.recipe)

    @classmethod
    def entry_of(cls, recipe: RecipeT) -> ZooEntry:
        """The card's row of the recipe's model. Raises ConfigError for an unknown name or a model of another task."""
        from vidmodels import zoo

        row = zoo.entry(recipe.model.name)  # type: ignore[attr-defined]  # every kind of recipe has a section `model`
        if row.task != cls.task:
            raise ConfigError(f"model.name {row.name!r} is made for {row.task}, not for {cls.task}; see `vidmodels models`")
        return row

    @abstractmethod
    def make_task(self, model: Any) -> Task:
        """What is learned."""

    @abstractmethod
    def try_shapes(self, model: Any, clips: Any) -> None:
        """Send clips [1, C, T, H, W] through the model, as its task does."""

    def inputs(self, ready: Batch, model: Any) -> tuple[Tensor, ...]:
        """What the model takes of the decoded clips of a prepared batch, in their order."""
        return (ready.clips[ready.valid],)

    @property
    def metric(self) -> str:
        """The name of the metric by which the best checkpoint is kept."""
        return "loss"

    @property
    def evaluates(self) -> bool:
        """Whether there is something to evaluate, and data for it."""
        return False

    def evaluate(self, model: Any, world: World) -> Evaluated:
        """What the model reaches on the validation data, shared out over the workers; equal on all of them."""
        raise DataError(f"models for {self.task} are not evaluated")

    def titles(self, rows: list[dict[str, Any]]) -> list[str]:
        """What stands over the clips of these samples in a picture."""
        classes = self.sources.classes
        return [(classes and name_of(row["label"], classes)) or Path(row["id"]).name for row in rows]

    def pictures(self, model: Any, folder: Path, found: Any = None) -> None:
        """Draw into the run's folder what the trained model does; found: its evaluation, where the workers have made it."""


def class_names(sources: Sources) -> tuple[str, ...]:
    """The names of the classes. Raises DataError for data without labels."""
    if sources.classes is None:
        raise DataError(
            "the videos have no labels: give a folder with one folder per class, a list with labels, or a manifest with "
            "the column 'label'"
        )
    return sources.classes
