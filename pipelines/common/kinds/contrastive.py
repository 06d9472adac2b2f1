"""Persistent contrastive learning as a kind of training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipelines.common.kinds.base import Kind, class_names
from pipelines.common.kinds.nearest import labelled
from pipelines.common.sources import Sources
from vidmodels.core.errors import ConfigError, DataError, MediaError
from vidmodels.core.recipe import ContrastiveRecipe, DataSection
from vidmodels.data.frames import open_sample
from vidmodels.data.manifest import Manifest
from vidmodels.data.reader import ViewReader, span_of
from vidmodels.data.sampling import train_requests

if TYPE_CHECKING:
    import torch

    from vidmodels.tasks.base import Task
    from vidmodels.training.distributed import World
    from vidmodels.training.evaluation import Evaluation


PROBED = 32
"""Videos of which the length is looked at before a run begins."""


class Contrastive(Kind[ContrastiveRecipe]):
    """Unlabelled videos; where they have labels, nearest neighbours among the training videos are the evaluation."""

    task = "pretrain_contrastive"

    @classmethod
    def load_sources(cls, recipe: ContrastiveRecipe, storage: str) -> Sources:
        sources = super().load_sources(recipe, storage)
        for manifest in sources.train:
            _check_room(manifest, recipe.data)
        if cls(recipe, sources).evaluates and len(class_names(sources)) < 2:
            raise DataError(
                f"all videos are of one class, {class_names(sources)[0]!r}, and nearest neighbours tell classes apart: give "
                "labels of several, or no validation data"
            )
        return sources

    def model_settings(self) -> dict[str, Any]:
        settings = super().model_settings()
        if self.recipe.data.clip.repeats < 2:
            raise ConfigError("data.clip.repeats is 1, and one clip of a video has none to agree with: choose 2 or more")
        if self.recipe.model.queue is not None:
            settings["queue"] = self.recipe.model.queue
        queue = settings.get("queue", self.entry().config.get("queue", 65536))
        if self.entry().config["framework"] == "moco" and queue % self.recipe.schedule.batch_size:
            raise ConfigError(
                f"the queue of {queue} keys is not a multiple of schedule.batch_size {self.recipe.schedule.batch_size}: "
                "change model.queue"
            )
        if self.evaluates:
            settings["memory"] = sum(map(len, self.sources.train))
        return settings

    def make_task(self, model: Any) -> Task:
        from vidmodels.tasks.pretrain_contrastive import PretrainContrastive

        recipe = self.recipe
        return PretrainContrastive(
            recipe.task, model.input, recipe.data.augment, model, recipe.schedule.epochs, recipe.train.sync_bn, self._rows
        )

    def try_shapes(self, model: Any, clips: Any) -> None:
        was = model.training
        model.eval()(clips)  # a batch norm cannot train on a batch of one
        model.train(was)

    @property
    def metric(self) -> str:
        return "val_top1" if self.evaluates else "loss"

    @property
    def evaluates(self) -> bool:
        return labelled(self.sources)

    def evaluate(self, model: Any, world: World) -> Evaluation:
        from vidmodels.inference.nearest import NearestClassifier
        from vidmodels.training.distributed import gather_objects
        from vidmodels.training.evaluation import chunks, join_scores, score_views, summarise

        assert self.sources.val is not None
        reader = ViewReader(self.sources.val, self.recipe.data.clip)
        names = class_names(self.sources)
        nearest = NearestClassifier(
            model.projections, model.memory, self._labels(), len(names), self.recipe.task.knn_temperature
        )
        mine = range(world.rank, len(reader.manifest), world.size)
        size = self.recipe.task.knn_batch
        parts = [score_views(nearest, reader.read_batch(part), model.input, size, world.device) for part in chunks(mine, size)]
        return summarise(join_scores(gather_objects(join_scores(parts), world)), names)

    def _labels(self) -> torch.Tensor:
        """Of the training videos in the order of the memory; -1 where there is none."""
        import torch

        labels = [manifest.row(i).label for manifest in self.sources.train for i in range(len(manifest))]
        return torch.tensor([-1 if label is None else int(label) for label in labels])

    def _rows(self, numbers: torch.Tensor) -> torch.Tensor:
        """The memory's rows of the videos with these sample numbers."""
        import torch

        order = self.reader().order
        starts = [sum(map(len, self.sources.train[:i])) for i in range(len(self.sources.train))]
        places = [order(int(number)) for number in numbers]
        return torch.tensor([starts[place.source] + place.index for place in places])


def _check_room(manifest: Manifest, data: DataSection) -> None:
    """Raise DataError where more than the allowed share of some videos have no room for a video's clips."""
    rows = [manifest.row(i) for i in range(0, len(manifest), -(-len(manifest) // PROBED))]
    reasons = []
    for row in rows:
        try:
            with open_sample(row.uri, row.fps) as video:
                train_requests(*span_of(row, video.info), data.clip, 0, 0, 0)
        except MediaError:
            continue  # the reader counts and names it
        except DataError as error:
            reasons.append(f"{row.id}: {error}")
    if len(reasons) > data.max_bad_fraction * len(rows):
        raise DataError(f"{len(reasons)} of {len(rows)} videos are too short, such as {reasons[0]}")
