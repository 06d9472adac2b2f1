"""A training job as plain data, and the trainer that each worker makes of it; the same under every back end."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipelines.common.kinds import kind_of
from pipelines.common.kinds.base import Kind
from pipelines.common.sources import Sources
from vidmodels.core.recipe import Recipe, RunSection
from vidmodels.data.multigrid_reader import MultigridReader
from vidmodels.data.reader import TrainReader

if TYPE_CHECKING:
    from torch import nn

    from vidmodels.training.distributed import World
    from vidmodels.training.loop import Evaluated, Listener, Trainer
    from vidmodels.training.plan import Plan


log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainJob:
    """Everything that a training worker needs; picklable and free of torch.

    checkpoints: folder or URI of the run's checkpoints; init: local path of the weights to start from;
    metadata: what is written beside the weights (recipe_hash, data_digest, code_version ...).
    """

    program: str
    recipe: Recipe
    run: RunSection
    sources: Sources
    checkpoints: str
    init: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> Kind[Any]:
        """What this kind of training does in its own way: data, model, task, evaluation, pictures."""
        return kind_of(self.recipe)(self.recipe, self.sources)

    def plan(self, world_size: int) -> Plan:
        """Steps and batches for so many workers."""
        from vidmodels.training.plan import make_plan

        epoch_length = self.sources.order(self.recipe.train.seed).epoch_length
        return make_plan(self.recipe, epoch_length, world_size, self.kind.multigrid)

    def reader(self) -> TrainReader:
        """The reader of training samples by global number, each in the shape of its step."""
        plain = self.kind.reader()
        if not self.kind.multigrid.on:
            return plain
        course = self.plan(1).course
        return MultigridReader(plain.manifests, plain.order, plain.clip, plain.seed, plain.hearing, course=course)

    def make_model(self) -> Any:
        """The model with its initial weights, loaded from `init` where that is given, and frozen as asked."""
        from vidmodels import zoo
        from vidmodels.training.optim import freeze
        from vidmodels.training.seeding import seed_all

        seed_all(self.recipe.train.seed)
        kind = self.kind
        model = zoo.create_model(kind.model_name, **kind.model_settings())
        if self.init is not None:
            report = zoo.load_weights(model, self.init, kind.new_on_start)
            if report.new or report.resized or report.dropped:  # never silently: what begins anew is said
                log.warning("the start: %s", report)
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
        kind = self.kind
        task = kind.make_task(model)
        clip = self.recipe.data.clip.model_dump(mode="json", include={"num_frames", "frame_stride", "fps", "size", "sampling"})
        about = {"name": model.entry.name, "settings": model.settings, "clip": clip, **task.describe(), **self.metadata}
        return Trainer(
            model, task, self.recipe, self.plan(world.size), world,
            Checkpointer(self.checkpoints, self.recipe.train.keep_checkpoints, kind.metric),
            listeners, self.run.log_every, should_stop, self._evaluator(world), about,
        )  # fmt: skip

    def _evaluator(self, world: World) -> Callable[[nn.Module, int], Evaluated] | None:
        kind = self.kind
        if not kind.evaluates:
            return None

        def evaluate(model: nn.Module, step: int) -> Evaluated:
            if self.recipe.train.precise_bn:
                self._refresh_norms(model, step, world)
            return kind.evaluate(model, world)

        return evaluate

    def _refresh_norms(self, model: nn.Module, step: int, world: World) -> None:
        """Statistics of batch norms from the next samples of the run, as they are trained on but for mixing.

        Under multigrid too the clips have the recipe's own shape, which is the one that is evaluated.
        """
        import torch

        from vidmodels.data.collate import to_batch
        from vidmodels.data.transforms import prepare
        from vidmodels.layers.sub_norm import fit_batch_norms
        from vidmodels.training.precise_bn import refresh_batch_norms

        reader, plan, recipe = self.kind.reader(), self.plan(world.size), self.recipe
        if plan.bn_base_size is not None:
            fit_batch_norms(model, plan.micro * plan.repeats, plan.bn_base_size)
        augment = recipe.data.augment.replace(mixup=0.0, cutmix=0.0, label_smoothing=0.0)
        generator = torch.Generator().manual_seed(recipe.train.seed)

        def batches() -> Iterator[tuple[torch.Tensor, ...]]:
            for numbers in plan.refreshing(step, recipe.train.precise_bn, world.rank):
                batch = to_batch(reader.read_batch(numbers))
                if batch.valid.any():
                    ready = prepare(batch.to(world.device), model.input, augment, generator)  # type: ignore[arg-type]
                    yield self.kind.inputs(ready, model)

        refresh_batch_norms(model, batches(), world)
