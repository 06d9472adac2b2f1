"""Recipe sections of learning: optimiser, schedule, precision, checkpoints."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from vidmodels.core.recipe.base import LATER, Section


class OptimSection(Section):
    """The optimiser and its gradient."""

    name: Literal["adamw", "sgd", "lars"] = "adamw"
    """Optimiser; lars is SGD with the gradient of each matrix or kernel scaled to the size of its weights."""
    lr: float = Field(1e-3, gt=0)
    """Peak learning rate at `lr_batch` (or as it is, where `lr_batch` is not given)."""
    lr_batch: int | None = Field(None, ge=1)
    """Batch in clips (videos x repeats) for which `lr` holds; the rate is scaled linearly to the run's batch."""
    betas: tuple[float, float] = (0.9, 0.999)
    """AdamW's betas (SGD and LARS take the first as their momentum)."""
    trust: float = Field(0.001, gt=0, json_schema_extra=LATER)
    """LARS: the size of a step relative to that of the weights, at a learning rate of 1."""
    nesterov: bool = False
    """Nesterov's form of SGD's momentum."""
    weight_decay: float = Field(0.05, ge=0)
    """Weight decay, decoupled with AdamW; never on one-dimensional parameters, positions and class tokens."""
    layer_decay: float = Field(1.0, gt=0, le=1)
    """Factor of the learning rate from each layer to the one below it; 1: none."""
    clip_norm: float | None = Field(None, gt=0)
    """Largest norm of the gradient."""


class ScheduleSection(Section):
    """Length of the run and course of the learning rate."""

    epochs: float = Field(10, gt=0)
    """Passes over the data (an epoch shows each video once; repeats do not count)."""
    max_steps: int | None = Field(None, ge=1)
    """Stop after so many optimiser steps, whatever `epochs` says."""
    batch_size: int = Field(16, ge=1)
    """Videos per optimiser step over all workers."""
    accumulate: int = Field(1, ge=1)
    """Micro-batches that one worker's share of the batch is split into."""
    warmup_epochs: float = Field(1.0, ge=0)
    """Epochs of linear warm-up from `start_lr`."""
    start_lr: float = Field(0.0, ge=0)
    """Learning rate at the start of the warm-up."""
    end_lr: float = Field(0.0, ge=0)
    """Learning rate at the end of the half cosine."""
    milestones: tuple[float, ...] = ()
    """Epochs at each of which the rate is multiplied by `gamma`, instead of the half cosine."""
    gamma: float = Field(0.1, gt=0, le=1)
    """Factor at each milestone."""

    @model_validator(mode="after")
    def _rising(self):
        if list(self.milestones) != sorted(set(self.milestones)) or any(epoch <= 0 for epoch in self.milestones):
            raise ValueError(f"schedule.milestones {self.milestones} must be rising epochs above 0")
        return self


class TrainSection(Section):
    """How the steps are computed and kept."""

    seed: int = 0
    """Seed of initialisation, order, crops, masks and dropout."""
    precision: Literal["float32", "bf16", "auto"] = "auto"
    """bf16: autocast; auto: bf16 on a GPU, and on a CPU that has bf16 units where the model is a transformer."""
    compile: bool = False
    """Compile the model with torch.compile."""
    activation_checkpointing: bool = False
    """Recompute the blocks' activations in the backward pass, to save memory."""
    parallel: Literal["ddp", "fsdp"] = "ddp"
    """How several workers share the model."""
    sync_bn: bool = False
    """Batch norms take their statistics over all workers."""
    precise_bn: int = Field(0, ge=0)
    """Micro-batches, at most those of one pass over the data, from which the statistics of batch norms are computed anew before
    each evaluation; 0: none."""
    ema_decay: float | None = Field(None, gt=0, lt=1)
    """Decay of an exponential moving average of the weights, kept in the checkpoint."""
    init: str | None = None
    """Weights to start from: a file, a folder, or models:/NAME@ALIAS."""
    freeze: tuple[str, ...] = ()
    """Patterns (fnmatch) of parameter names that are not trained."""
    checkpoint_every: int = Field(200, ge=1)
    """Optimiser steps between two checkpoints."""
    keep_checkpoints: int = Field(2, ge=1)
    """Newest checkpoints that are kept (the best by the metric is kept too)."""
    eval_every_epochs: float | None = Field(None, gt=0)
    """Epochs between two evaluations on the validation videos; default: only at the end."""
    max_bad_steps: int = Field(10, ge=1)
    """The run stops after so many steps in a row with a non-finite loss or gradient."""
    explode_factor: float | None = Field(None, gt=1)
    """The run stops when the loss exceeds this factor times the smallest of the recent means."""

    @model_validator(mode="after")
    def _fits(self):
        if self.parallel == "fsdp" and self.ema_decay is not None:
            raise ValueError("train.ema_decay is not kept with train.parallel=fsdp: choose ddp or leave out the average")
        return self
