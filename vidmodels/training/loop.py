"""The training loop: alone, under torchrun, or inside a Ray Train worker; the caller only brings the batches.

Everything random in step s is a function of (seed, s, rank), and the data of step s are the global sample numbers that
the plan's course names, so a resumed run equals an uninterrupted one without any saved random state.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from vidmodels.core.batch import Batch
from vidmodels.core.errors import RunError
from vidmodels.core.recipe import Recipe
from vidmodels.layers.sub_norm import fit_batch_norms, split_batch_norms
from vidmodels.tasks.base import StepContext, Task
from vidmodels.training.checkpoint import Checkpointer
from vidmodels.training.distributed import World, all_reduce_mean, gather_objects, wrap
from vidmodels.training.ema import Ema
from vidmodels.training.guard import ExplosionGuard, FiniteGuard
from vidmodels.training.optim import build_optimizer, clip_gradients
from vidmodels.training.plan import Plan
from vidmodels.training.precision import autocast_for
from vidmodels.training.prefetch import on_device
from vidmodels.training.schedule import learning_rate, stepped_rate
from vidmodels.training.seeding import seed_step
from vidmodels.training.state import TrainState, load_state, newest_for_all, save_state

log = logging.getLogger(__name__)


class Listener(Protocol):
    """Receives what happens in a run; only the first worker calls its listeners."""

    def on_metrics(self, step: int, metrics: dict[str, float], clips: int, wait_s: float, step_s: float) -> None:
        """Means over the last interval; wait_s of the step_s seconds per step were spent waiting for data."""

    def on_checkpoint(self, step: int, uri: str) -> None:
        """A checkpoint is complete at `uri`."""


class Evaluated(Protocol):
    """What an evaluation found: its metrics, and whatever else the caller makes of it."""

    metrics: dict[str, float]


@dataclass
class Outcome:
    """How a run ended: the last step, whether it was asked to stop, the last means, and what the last step's evaluation found
    (None where there was none, as in a run that was resumed at its end)."""

    step: int
    stopped: bool
    metrics: dict[str, float] = field(default_factory=dict)
    bad_samples: dict[str, str] = field(default_factory=dict)
    evaluation: Any = None


@dataclass
class Interval:
    """Sums since the last line of metrics; losses stay on the device until they are read."""

    values: dict[str, Tensor] = field(default_factory=dict)
    steps: int = 0
    clips: int = 0
    wait: float = 0.0
    started: float = field(default_factory=time.perf_counter)

    def add(self, values: dict[str, Tensor]) -> None:
        for key, value in values.items():
            self.values[key] = self.values.get(key, 0) + value.detach().float()

    def means(self, world: World) -> dict[str, float]:
        if not self.values:
            return {}
        keys = sorted(self.values)
        stacked = all_reduce_mean(torch.stack([self.values[k] for k in keys]) / max(self.steps, 1), world)
        return dict(zip(keys, stacked.tolist()))


class Trainer:
    """Optimises a model on a stream of batches.

    model: on its device, not yet wrapped; batches(start_sample): this worker's micro-batches from a global sample
    number on; should_stop: asked on each worker after each step (a signal arrived, say); one that says so stops all;
    evaluate(model, step): called with the weights that are kept, the averaged ones where there are such.
    """

    def __init__(
        self,
        model: nn.Module,
        task: Task,
        recipe: Recipe,
        plan: Plan,
        world: World,
        checkpointer: Checkpointer,
        listeners: tuple[Listener, ...] = (),
        log_every: int = 10,
        should_stop: Callable[[], bool] = lambda: False,
        evaluate: Callable[[nn.Module, int], Evaluated] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self.task, self.recipe, self.plan, self.world = task, recipe, plan, world
        self.checkpointer, self.listeners, self.log_every = checkpointer, listeners, log_every
        self.should_stop, self.evaluate = should_stop, evaluate
        self.metadata = metadata or {}
        self.bare = model
        if plan.bn_base_size is not None:
            split_batch_norms(model)
        self.model = wrap(model, recipe.train, world)
        self.optimizer = build_optimizer(model, recipe.optim, plan.peak_lr)
        decay = recipe.train.ema_decay
        self.ema = Ema(model, decay) if decay is not None else None
        self.finite = FiniteGuard(recipe.train.max_bad_steps)
        self.explosion = ExplosionGuard(recipe.train.explode_factor)
        self.bad_samples: dict[str, str] = {}
        self.told_of_short_clips = False
        self.step = 0

    def resume(self) -> int:
        """Load the newest checkpoint that verifies, if there is one; returns the step to go on from."""
        checkpoint = newest_for_all(self.checkpointer, self.world)
        if checkpoint is not None:
            state = load_state(checkpoint, self.model, self.optimizer, self.ema, self.world)
            if state.recipe_hash != self.metadata.get("recipe_hash", state.recipe_hash):
                raise RunError(
                    f"the checkpoint {checkpoint.uri} belongs to another recipe ({state.recipe_hash}): choose another "
                    "--run.name, or set the old run aside with --fresh"
                )
            self.step = state.step
            self.bad_samples = dict(state.bad_samples)
            log.info("resumed at step %d from %s", self.step, checkpoint.uri)
        return self.step

    def run(self, batches: Iterator[Batch]) -> Outcome:
        """Train from `self.step` to the end of the plan, or until asked to stop."""
        with on_device(batches, self.world.device) as moved:
            return self._run(moved)

    def _run(self, batches: Iterator[Batch]) -> Outcome:
        interval, means, stopped = Interval(), {}, False
        saved, found = -1, None
        while self.step < self.plan.total_steps and not stopped:
            self._one_step(batches, interval)
            last = self.step == self.plan.total_steps
            if self.step % self.log_every == 0 or last:
                means = self._report(interval)
                interval = Interval()
            stopped = self._agree_to_stop()
            if self._evaluation_due() or (last and self.evaluate is not None):
                found = self._evaluate()
                means.update(_of_validation(found))
            if self.step % self.recipe.train.checkpoint_every == 0 or stopped or last:
                self.save(means)
                saved = self.step
        if saved != self.step and self.checkpointer.newest() is None:
            self.save(means)
        return Outcome(self.step, stopped, means, self.bad_samples, found)

    def _one_step(self, batches: Iterator[Batch], interval: Interval) -> None:
        self.model.train()
        generator = seed_step(self.recipe.train.seed, self.step, self.world.rank)
        context = StepContext(self.step, self.plan.total_steps, generator)
        self._set_learning_rate()
        if self.plan.bn_base_size is not None:
            fit_batch_norms(self.bare, self.plan.norm_clips(self.step), self.plan.bn_base_size)
        ids: list[str] = []
        losses: list[Tensor] = []
        for part in range(self.plan.accumulate):
            waited = time.perf_counter()
            batch = next(batches)
            interval.wait += time.perf_counter() - waited
            self._check_numbers(batch, part)
            self._count_errors(batch, interval)
            ids += batch.ids
            losses.append(self._backward(batch, context, part, interval))
        norm = clip_gradients(self.model, self.recipe.optim.clip_norm)
        loss = torch.stack(losses).mean()
        if self.finite.check(loss, norm, ids, self.step, self.world):
            self.optimizer.step()
            if self.ema is not None:
                self.ema.update(self.bare)
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        interval.add({"grad_norm": norm})
        interval.steps += 1
        interval.clips += self.plan.clips(self.step - 1)

    def _backward(self, batch: Batch, context: StepContext, part: int, interval: Interval) -> Tensor:
        """Forward and backward of one micro-batch; gradients are exchanged with its last one only."""
        last = part == self.plan.accumulate - 1
        total: Tensor | None = None
        set_sync = getattr(self.model, "set_requires_gradient_sync", None)  # FSDP2
        if set_sync is not None:
            set_sync(last)
        elif hasattr(self.model, "require_backward_grad_sync"):  # DDP, as its no_sync() does
            self.model.require_backward_grad_sync = last  # type: ignore[assignment]
        with autocast_for(self.world.device, self.recipe.train.precision, self.bare):
            for values in self.task.step(self.model, batch, context):
                loss = values["loss"] / self.plan.accumulate
                loss.backward()
                total = values["loss"].detach() if total is None else total + values["loss"].detach()
                interval.add({k: v / self.plan.accumulate for k, v in values.items()})
        if total is None:
            raise RunError(f"the task {type(self.task).__name__} yielded no loss")
        return total

    def _check_numbers(self, batch: Batch, part: int) -> None:
        """The data must be the ones that the arithmetic names, whoever delivered them."""
        expected = self.plan.micro_batches(self.step)[part * self.world.size + self.world.rank]
        if batch.numbers.tolist() != list(expected):
            raise RunError(
                f"step {self.step} of worker {self.world.rank} received samples {batch.numbers.tolist()[:3]}... "
                f"instead of {expected.start}...: the data pipeline lost its order"
            )

    def _count_errors(self, batch: Batch, interval: Interval) -> None:
        new = {key: why for key, why in batch.errors.items() if key not in self.bad_samples}
        self.bad_samples.update(new)
        interval.add({"new_bad_samples": torch.tensor(float(len(new)), device=self.world.device)})
        repeated = batch.extra.get("repeated")
        if repeated is not None:
            interval.add({"short_clips": torch.tensor((repeated > 0).mean() / self.plan.accumulate, device=self.world.device)})

    def _set_learning_rate(self) -> None:
        schedule, plan = self.recipe.schedule, self.plan
        scale = plan.peak_lr / self.recipe.optim.lr
        if schedule.milestones:
            rate = stepped_rate(self.step, plan.warmup_steps, lambda step: plan.peak_lr * plan.course.phase(step).rate,
                                schedule.start_lr * scale)  # fmt: skip
        else:
            rate = learning_rate(self.step, plan.total_steps, plan.warmup_steps, plan.peak_lr, schedule.start_lr * scale,
                                 schedule.end_lr * scale)  # fmt: skip
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group.get("lr_scale", 1.0)
        self.rate = rate

    def _report(self, interval: Interval) -> dict[str, float]:
        means = interval.means(self.world)
        if means.pop("new_bad_samples", 0.0) > 0:
            self._share_bad_samples()
        self.explosion.check(means.get("loss", 0.0), self.step)
        elapsed = max(time.perf_counter() - interval.started, 1e-9)
        steps = max(interval.steps, 1)
        means.update(lr=self.rate, epoch=self.plan.epoch(self.step), clips_per_s=interval.clips / elapsed,
                     data_wait=interval.wait / elapsed, bad_samples=float(len(self.bad_samples)),
                     skipped_steps=float(self.finite.total))  # fmt: skip
        if self.world.rank == 0:
            for listener in self.listeners:
                listener.on_metrics(self.step, means, interval.clips, interval.wait / steps, elapsed / steps)
        self._tell_of_short_clips(means.get("short_clips", 0.0))
        self._check_bad_fraction()
        return means

    def _share_bad_samples(self) -> None:
        """What any worker could not decode is known to all of them."""
        self.bad_samples = {key: why for part in gather_objects(self.bad_samples, self.world) for key, why in part.items()}

    def _tell_of_short_clips(self, share: float) -> None:
        if share > 0 and not self.told_of_short_clips and self.world.rank == 0:
            clip = self.recipe.data.clip
            log.warning(
                "%.0f %% of the videos are shorter than the clip (%d frames, stride %d): their last frame is repeated",
                100 * share, clip.num_frames, clip.frame_stride,
            )  # fmt: skip
            self.told_of_short_clips = True

    def _check_bad_fraction(self) -> None:
        seen = min(self.plan.samples(self.step), self.plan.epoch_length)
        ceiling = self.recipe.data.max_bad_fraction
        allowed = max(ceiling * seen, 1.0)
        if seen < self.plan.epoch_length:
            # a share of few samples says little: until all were seen, three standard deviations of a count are granted
            allowed += 3 * (ceiling * seen) ** 0.5
        if len(self.bad_samples) > allowed:
            listed = "; ".join(f"{key}: {why}" for key, why in sorted(self.bad_samples.items())[:20])
            raise RunError(
                f"{len(self.bad_samples)} of {seen} videos could not be decoded, more than "
                f"data.max_bad_fraction {ceiling} allows: {listed}"
            )

    def _agree_to_stop(self) -> bool:
        if self.world.size == 1:
            return self.should_stop()
        flag = torch.tensor(float(self.should_stop()), device=self.world.device)
        return bool(all_reduce_mean(flag, self.world).item() > 0)

    def _evaluation_due(self) -> bool:
        every = self.recipe.train.eval_every_epochs
        if self.evaluate is None or every is None or self.step == self.plan.total_steps:
            return False
        times = round(self.plan.epoch(self.step) / every)
        return times > 0 and self.step == self.plan.steps(times * every)

    def _evaluate(self) -> Evaluated:
        assert self.evaluate is not None
        self.bare.eval()
        with nullcontext() if self.ema is None else self.ema.applied(self.bare):
            found = self.evaluate(self.bare, self.step)
        if self.world.rank == 0:
            for listener in self.listeners:
                listener.on_metrics(self.step, _of_validation(found), 0, 0.0, 0.0)
        return found

    def save(self, metrics: dict[str, float]) -> str:
        """Write a checkpoint of the current step; all workers take part."""
        self._share_bad_samples()
        state = TrainState(
            step=self.step,
            samples=self.plan.samples(self.step),
            recipe_hash=self.metadata.get("recipe_hash", ""),
            world_size=self.world.size,
            metrics={k: v for k, v in metrics.items() if v == v},
            bad_samples=self.bad_samples,
            metadata=self.metadata,
        )
        uri = save_state(self.checkpointer, state, self.model, self.optimizer, self.ema, self.world)
        if self.world.rank == 0:
            for listener in self.listeners:
                listener.on_checkpoint(self.step, uri)
        return uri


def _of_validation(found: Evaluated) -> dict[str, float]:
    return {f"val_{key}": value for key, value in found.metrics.items()}
