"""Checks before a run costs anything: do the shapes fit, and does one step on one batch go through."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any

from pipelines.common.job import TrainJob
from pipelines.common.kinds.base import Kind
from vidmodels.core.errors import ConfigError, VidmodelsError
from vidmodels.data.course import Shape

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

FEW_STEPS = 100
"""Under so many optimiser steps nothing is learned, which a first run on a few videos should say."""


def check_job(job: TrainJob, world_size: int, warns: bool = True) -> None:
    """Build the model and send one clip's shape through it, without computing anything. Raises ConfigError.

    warns: of a run that is too short to learn anything.
    """
    import torch

    from vidmodels.training.optim import param_groups

    plan = job.plan(world_size)
    if warns and job.recipe.schedule.max_steps is None and plan.total_steps < FEW_STEPS:
        epochs = math.ceil(FEW_STEPS * plan.total_samples / plan.total_steps / plan.epoch_length / job.kind.multigrid.passes)
        log.warning(
            "%g epochs of %d videos in batches of %d are only %d steps; --schedule.epochs %d makes %d",
            job.recipe.schedule.epochs, plan.epoch_length, plan.batch_size, plan.total_steps, epochs, FEW_STEPS,
        )  # fmt: skip
    kind = job.kind
    with torch.device("meta"):
        model = _build(kind)
    kind.make_task(model)
    param_groups(model, job.recipe.optim)
    clip = job.recipe.data.clip
    own = Shape(plan.batch_size, clip.num_frames, clip.size)
    kind.try_shapes(model, _clips(own))
    others = {shape for phase in plan.course.phases for shape in phase.cycle} - {own}
    for shape in sorted(others, key=lambda each: (each.num_frames, each.size)):
        try:
            kind.try_shapes(model, _clips(shape, 2))  # of one small clip a batch norm may see a single value
        except (VidmodelsError, RuntimeError, ValueError) as error:
            raise ConfigError(
                f"model.name {kind.model_name!r} does not take the clips of {shape.num_frames} frames of {shape.size} x "
                f"{shape.size} pixels that multigrid makes of its own ({str(error).splitlines()[0]}): choose a convolutional "
                "model, or leave out the settings multigrid.*"
            ) from None


def _build(kind: Kind[Any]) -> Any:
    """The model. Raises ConfigError where its builder cannot take the recipe's further settings."""
    from vidmodels import zoo

    settings = kind.model_settings()
    further = getattr(kind.recipe.model, "settings", {})
    try:
        return zoo.create_model(kind.model_name, **settings)
    except (TypeError, AttributeError, ZeroDivisionError) as error:
        if not further:
            raise
        raise ConfigError(f"{kind.model_name} cannot be built with model.settings {further}: {error}") from None


def _clips(shape: Shape, count: int = 1) -> torch.Tensor:
    """Clips without content."""
    import torch

    return torch.empty(count, 3, shape.num_frames, shape.size, shape.size, device="meta")


def dry_run(job: TrainJob) -> int:
    """One optimiser step on the run's first batch, in this process; nothing is written."""
    import torch

    from vidmodels.data.collate import to_batch
    from vidmodels.tasks.base import StepContext

    check_job(job, 1)
    reader = job.reader()
    batch = to_batch(reader.read_batch(job.plan(1).micro_batches()[0][: reader.order.epoch_length]))
    for key, error in batch.errors.items():
        print(f"cannot decode {key}: {error}")
    if not batch.valid.any():
        raise VidmodelsError("no video of the first batch could be decoded")
    model = job.make_model()
    task = job.kind.make_task(model)
    for values in task.step(model, batch, StepContext(0, 1, torch.Generator().manual_seed(job.recipe.train.seed))):
        values["loss"].backward()
        print(", ".join(f"{key} {value.item():.4g}" for key, value in values.items()))
    count = sum(p.numel() for p in model.parameters())
    print(f"{job.kind.model_name}: {count:,} parameters, batch of clips {tuple(batch.clips.shape)}: one step went through")
    return 0
