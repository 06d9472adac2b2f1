"""A training job as plain data, and the trainer that each worker makes of it; the same under every back end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipelines.common.sources import Sources
from vidmodels.core.errors import ConfigError, DataError
from vidmodels.core.recipe import ClassifyRecipe, MaskedRecipe, Recipe, RunSection
from vidmodels.data.reader import TrainReader, ViewReader

if TYPE_CHECKING:
    from torch import nn

    from vidmodels.tasks.base import Task
    from vidmodels.training.distributed import World
    from vidmodels.training.evaluation import Evaluation
    from vidmodels.training.loop import Listener, Trainer
    from vidmodels.training.plan import Plan


@dataclass(frozen=True)
class TrainJob:
    """Everything that a training worker needs; picklable and free of torch.

    checkpoints: folder or URI of the run's checkpoints; init: local path of the weights to start from;
    metadata: what is written beside the weights (recipe_hash, data_digest, code_version ...).
    """

    program: str
    recipe: MaskedRecipe | ClassifyRecipe
    run: RunSection
    sources: Sources
    checkpoints: str
    init: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)

    def plan(self, world_size: int) -> Plan:
        """Steps and batches for so many workers."""
        from vidmodels.training.plan import make_plan

        return make_plan(self.recipe, self.sources.order(self.recipe.train.seed).epoch_length, world_size)

    def reader(self) -> TrainReader:
        """The reader of training samples by global number."""
        return self.sources.reader(self.recipe.data, self.recipe.train.seed)

    def make_model(self) -> Any:
        """The model with its initial weights, loaded from `init` where that is given, and frozen as asked."""
        from vidmodels import zoo
        from vidmodels.training.optim import freeze
        from vidmodels.training.seeding import seed_all

        seed_all(self.recipe.train.seed)
        name, overrides = model_settings(self.recipe, self.sources)
        model = zoo.create_model(name, **overrides)
        if self.init is not None:
            zoo.load_weights(model, self.init)
        if self.recipe.train.freeze:
            freeze(model, self.recipe.train.freeze)
        return model

    def make_trainer(
        self,
        world: World,
        listeners: tuple[Listener, ...] = (),
        should_stop: Callable[[], bool] = lambda: False,
    ) -> Trainer:
        """Model, task and loop on this worker's device, at step 0 (call `resume` next)."""
        from vidmodels.training.checkpoint import Checkpointer
        from vidmodels.training.loop import Trainer

        model = self.make_model().to(world.device)
        task = make_task(self.recipe, self.sources, model)
        clip = self.recipe.data.clip.model_dump(mode="json", include={"num_frames", "frame_stride", "fps", "size", "sampling"})
        about = {"name": model.entry.name, "settings": model.settings, "clip": clip, **task.describe(), **self.metadata}
        metric = "loss"
        if isinstance(self.recipe, ClassifyRecipe) and self.sources.val is not None:
            metric = "val_map" if self.sources.val.multi_label else "val_top1"
        return Trainer(
            model, task, self.recipe, self.plan(world.size), world,
            Checkpointer(self.checkpoints, self.recipe.train.keep_checkpoints, metric),
            listeners, self.run.log_every, should_stop, self._evaluator(world), about,
        )  # fmt: skip

    def view_reader(self) -> ViewReader:
        """The reader of the validation videos' views. Raises DataError without validation videos."""
        if self.sources.val is None:
            raise DataError("no validation videos: name them in data.val_path, or keep a share with data.val_fraction")
        assert isinstance(self.recipe, ClassifyRecipe)
        evaluation = self.recipe.evaluation
        views = evaluation.num_clips, evaluation.num_crops, evaluation.size
        return ViewReader(self.sources.val, self.recipe.data.clip, *views)

    def evaluate(self, model: Any, world: World) -> Evaluation:
        """Evaluate a classifier on the validation videos, shared out over the workers; equal on all of them."""
        from vidmodels.training.distributed import gather_objects
        from vidmodels.training.evaluation import chunks, join_scores, score_views, summarise

        assert isinstance(self.recipe, ClassifyRecipe)
        reader, views = self.view_reader(), self.recipe.evaluation
        mine = range(world.rank, len(reader.manifest), world.size)
        parts = [
            score_views(model, reader.read_batch(part), model.input, views.batch_size, world.device, combine=views.combine)
            for part in chunks(mine, views.batch_size)
        ]
        everyone = gather_objects(join_scores(parts), world)
        return summarise(join_scores(everyone), class_names(self.sources))

    def _evaluator(self, world: World) -> Callable[[nn.Module, int], dict[str, float]] | None:
        if not isinstance(self.recipe, ClassifyRecipe) or self.sources.val is None:
            return None

        def evaluate(model: nn.Module, step: int) -> dict[str, float]:
            if self.recipe.train.precise_bn:
                self._refresh_norms(model, step, world)
            return {f"val_{k}": v for k, v in self.evaluate(model, world).metrics.items()}

        return evaluate

    def _refresh_norms(self, model: nn.Module, step: int, world: World) -> None:
        """Statistics of batch norms from the next samples of the run, as they are trained on but for mixing."""
        import torch

        from vidmodels.data.collate import to_batch
        from vidmodels.data.transforms import prepare
        from vidmodels.training.precise_bn import refresh_batch_norms

        reader, plan, recipe = self.reader(), self.plan(world.size), self.recipe
        augment = recipe.data.augment.replace(mixup=0.0, cutmix=0.0, label_smoothing=0.0)
        generator = torch.Generator().manual_seed(recipe.train.seed)

        def batches() -> Iterator[torch.Tensor]:
            for number in range(recipe.train.precise_bn):
                first = step * plan.batch_size + (number * world.size + world.rank) * plan.micro
                batch = to_batch(reader.read_batch(range(first, first + plan.micro)))
                if batch.valid.any():
                    ready = prepare(batch.to(world.device), model.input, augment, generator)  # type: ignore[arg-type]
                    yield ready.clips[ready.valid]

        refresh_batch_norms(model, batches(), world)


def class_names(sources: Sources) -> tuple[str, ...]:
    """The names of the classes. Raises DataError for data without labels."""
    if sources.classes is None:
        raise DataError(
            "the videos have no labels: give a folder with one folder per class, a list with labels, or a manifest with "
            "the column 'label'"
        )
    return sources.classes


def model_settings(recipe: Recipe, sources: Sources) -> tuple[str, dict[str, Any]]:
    """Name of the model in the zoo, and what the recipe and the data change about it."""
    from vidmodels import zoo

    clip = recipe.data.clip
    if not isinstance(recipe, MaskedRecipe | ClassifyRecipe):
        raise ConfigError(f"no task is known for a {type(recipe).__name__}")
    row = zoo.entry(recipe.model.name)
    wanted = "pretrain_masked" if isinstance(recipe, MaskedRecipe) else "classify"
    if row.task != wanted:
        raise ConfigError(f"model.name {row.name!r} is made for {row.task}, not for {wanted}; see `vidmodels models`")
    settings: dict[str, Any] = {}
    if clip.num_frames != row.input.num_frames:
        settings["num_frames"] = clip.num_frames
        if row.config.get("pred_frames") == row.input.num_frames:
            settings["pred_frames"] = clip.num_frames
    if clip.size != row.input.size:
        settings["size"] = clip.size
    if recipe.model.drop_path:
        settings["drop_path"] = recipe.model.drop_path
    if isinstance(recipe, MaskedRecipe):
        changes = ("decoder_dim", "decoder_depth", "decoder_heads")
        settings.update({key: value for key in changes if (value := getattr(recipe.model, key)) is not None})
    else:
        settings["num_classes"] = len(class_names(sources))
        if sources.train[0].multi_label:
            settings["activation"] = "sigmoid"
        settings["dropout"] = recipe.model.dropout
    return row.name, settings


def make_task(recipe: Recipe, sources: Sources, model: Any) -> Task:
    """What is learned."""
    from vidmodels.tasks.classify import Classify
    from vidmodels.tasks.pretrain_masked import PretrainMasked

    if isinstance(recipe, MaskedRecipe):
        return PretrainMasked(recipe.task, model.input, recipe.data.augment)
    return Classify(class_names(sources), model.input, recipe.data.augment)
