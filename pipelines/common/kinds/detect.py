"""Detection of actions in given boxes as a kind of training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.common.boxed_sources import BoxedSources, load_boxed
from pipelines.common.kinds.base import Kind, class_names
from vidmodels.core.errors import DataError
from vidmodels.core.recipe import DetectRecipe
from vidmodels.data.boxed_reader import KeyFrameReader, WholeFrameReader

if TYPE_CHECKING:
    from torch import Tensor

    from vidmodels.core.batch import Batch
    from vidmodels.tasks.base import Task
    from vidmodels.training.action_evaluation import ActionEvaluation
    from vidmodels.training.distributed import World


class Detect(Kind[DetectRecipe]):
    """Key frames with boxes, evaluated by mean average precision. It starts from a classifier's weights with a new head."""

    task = "detect_actions"
    new_on_start = ("head.*",)
    sources: BoxedSources

    @classmethod
    def load_sources(cls, recipe: DetectRecipe, storage: str) -> BoxedSources:
        return load_boxed(recipe.data, storage)

    def reader(self) -> KeyFrameReader:
        seed = self.recipe.train.seed
        return KeyFrameReader(self.sources.train, self.sources.order(seed), self.recipe.data.clip, seed)

    def model_settings(self) -> dict[str, Any]:
        settings = super().model_settings() | {"num_classes": len(class_names(self.sources))}
        if self.recipe.model.drop_path:
            settings["drop_path"] = self.recipe.model.drop_path
        return settings | {"dropout": self.recipe.model.dropout}

    def make_task(self, model: Any) -> Task:
        from vidmodels.tasks.detect_actions import DetectActions

        return DetectActions(class_names(self.sources), model.input, self.recipe.data.augment, self.sources.evaluated)

    def try_shapes(self, model: Any, clips: Any) -> None:
        import torch

        model(clips, torch.empty(1, 5, device=clips.device))

    def inputs(self, ready: Batch, model: Any) -> tuple[Tensor, ...]:
        # all clips, because boxes count them
        assert ready.boxes is not None
        return ready.clips, ready.boxes

    @property
    def metric(self) -> str:
        return "val_map" if self.evaluates else "loss"

    @property
    def evaluates(self) -> bool:
        return self.sources.val is not None

    def whole_frames(self, model: Any) -> WholeFrameReader:
        """The reader of the validation key frames. Raises DataError where there are none."""
        if self.sources.val is None:
            raise DataError("no validation boxes: name them in data.val_path, or keep a share with data.val_fraction")
        return WholeFrameReader(self.sources.val, self.recipe.data.clip, self.recipe.evaluation.size or model.input.view_size)

    def evaluate(self, model: Any, world: World) -> ActionEvaluation:
        from vidmodels.training.action_evaluation import join_box_scores, score_key_frames, summarise_actions
        from vidmodels.training.distributed import gather_objects

        reader, settings = self.whole_frames(model), self.recipe.evaluation
        mine = range(world.rank, len(reader.manifest), world.size)
        part = score_key_frames(model, reader, mine, settings.batch_size, world.device)
        found = join_box_scores(gather_objects(part, world), len(reader.manifest))
        assert self.sources.truth is not None
        return summarise_actions(
            found, reader.manifest.boxes, self.sources.truth, class_names(self.sources), self.sources.evaluated,
            settings.min_overlap,
        )  # fmt: skip

    def pictures(self, model: Any, folder: Path, found: ActionEvaluation | None = None) -> None:
        from pipelines.common.action_pictures import save_key_frames, save_precision
        from vidmodels.training.distributed import World

        if self.evaluates:
            save_precision(found or self.evaluate(model, World()), folder)
            save_key_frames(model, self.whole_frames(model), class_names(self.sources), folder)

    def titles(self, rows: list[dict[str, Any]]) -> list[str]:
        classes, titles = class_names(self.sources), []
        for row in rows:
            numbers = sorted({int(k) for each in row["box_targets"] for k in each.nonzero()[0]})
            titles.append(", ".join(classes[k] for k in numbers))
        return titles
