"""Classification of clips as a kind of training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.common.kinds.base import Kind, class_names
from pipelines.common.kinds.sound import empty_sound, hearing_of, sound_settings
from vidmodels.core.errors import ConfigError, DataError
from vidmodels.core.label_sets import LabelSets, num_classes_of
from vidmodels.core.recipe import ClassifyRecipe, MultigridSection
from vidmodels.data.reader import ViewReader

if TYPE_CHECKING:
    from torch import Tensor

    from vidmodels.core.batch import Batch
    from vidmodels.data.reader import TrainReader
    from vidmodels.tasks.base import Task
    from vidmodels.training.distributed import World
    from vidmodels.training.evaluation import Evaluation


ELSEWHERE = {
    "num_classes": "the data say how many classes there are",
    "activation": "it follows from data.multi_label",
    "num_frames": "say it as data.clip.num_frames",
    "size": "say it as data.clip.size",
    "dropout": "say it as model.dropout",
    "drop_path": "say it as model.drop_path",
}
"""Settings of models that a recipe has in another place, which would contradict it."""


class Classify(Kind[ClassifyRecipe]):
    """Videos with one class or several, or one of each label set, evaluated over the views of each validation video."""

    task = "classify"
    new_on_start = ("head.projection.*", "head.weight", "head.bias")  # other classes: a new head, which the load report says

    def reader(self) -> TrainReader:
        hearing = hearing_of(self.entry(), self.recipe.sound)
        return self.sources.reader(self.recipe.data, self.recipe.train.seed, hearing)

    @property
    def multigrid(self) -> MultigridSection:
        if self.recipe.multigrid.on and self.entry().input.audio is not None:
            raise ConfigError(
                f"multigrid is for models of pictures, and model.name {self.model_name!r} hears, over a time that it would "
                "change: leave out the settings multigrid.*"
            )
        return self.recipe.multigrid

    def model_settings(self) -> dict[str, Any]:
        settings = super().model_settings() | {"num_classes": num_classes_of(class_names(self.sources))}
        settings |= sound_settings(self.entry(), self.recipe.sound)
        if self.recipe.model.drop_path:
            settings["drop_path"] = self.recipe.model.drop_path
        if self.sources.train[0].multi_label:
            settings["activation"] = "sigmoid"
        settings["dropout"] = self.recipe.model.dropout
        for key in self.recipe.model.settings:
            if key in ELSEWHERE:
                raise ConfigError(f"model.settings may not hold {key!r}: {ELSEWHERE[key]}")
        return settings | self.recipe.model.settings

    def make_task(self, model: Any) -> Task:
        from vidmodels.tasks.audiovisual import ClassifyAudiovisual
        from vidmodels.tasks.classify import Classify as ClassifyTask
        from vidmodels.tasks.hearing import refuse_mixing

        augment = self.recipe.data.augment
        if model.input.audio is None:
            return ClassifyTask(class_names(self.sources), model.input, augment)
        refuse_mixing(augment)
        return ClassifyAudiovisual(class_names(self.sources), model.input, augment, self.recipe.sound)

    def try_shapes(self, model: Any, clips: Any) -> None:
        rows = empty_sound(model.input, clips)
        if rows is None:
            model(clips)
        else:
            model(clips, rows)

    def inputs(self, ready: Batch, model: Any) -> tuple[Tensor, ...]:
        if model.input.audio is None:
            return super().inputs(ready, model)
        from vidmodels.tasks.hearing import sound_of

        return ready.clips[ready.valid], *(each[ready.valid] for each in sound_of(ready, model.input.audio))

    @property
    def metric(self) -> str:
        if self.sources.val is None:
            return "loss"
        if isinstance(self.sources.val.classes, LabelSets):
            return "val_action_top1"
        return "val_map" if self.sources.val.multi_label else "val_top1"

    @property
    def evaluates(self) -> bool:
        return self.sources.val is not None

    def view_reader(self) -> ViewReader:
        """The reader of the validation videos' views. Raises DataError without validation videos."""
        if self.sources.val is None:
            raise DataError("no validation videos: name them in data.val_path, or keep a share with data.val_fraction")
        evaluation = self.recipe.evaluation
        views = evaluation.num_clips, evaluation.num_crops, evaluation.size
        return ViewReader(self.sources.val, self.recipe.data.clip, *views, hearing=hearing_of(self.entry()))

    def evaluate(self, model: Any, world: World) -> Evaluation:
        from vidmodels.training.distributed import gather_objects
        from vidmodels.training.evaluation import chunks, join_scores, score_views, summarise

        reader, views = self.view_reader(), self.recipe.evaluation
        mine = range(world.rank, len(reader.manifest), world.size)
        parts = [
            score_views(model, reader.read_batch(part), model.input, views.batch_size, world.device, combine=views.combine)
            for part in chunks(mine, views.batch_size)
        ]
        everyone = gather_objects(join_scores(parts), world)
        return summarise(join_scores(everyone), class_names(self.sources))

    def pictures(self, model: Any, folder: Path, found: Evaluation | None = None) -> None:
        from pipelines.common.pictures import save_evaluation
        from vidmodels.training.distributed import World

        if self.evaluates:
            save_evaluation(found or self.evaluate(model, World()), class_names(self.sources), folder)
