"""The loop: accumulation, resuming, what it does about bad samples, wrong order, short clips, and when it evaluates."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from tests.training.parts import DIM, TinyNet
from vidmodels.core.batch import Batch
from vidmodels.core.errors import RunError
from vidmodels.core.recipe import DataSection, OptimSection, Recipe, ScheduleSection, TrainSection
from vidmodels.training.checkpoint import Checkpointer
from vidmodels.training.distributed import World
from vidmodels.training.loop import Trainer
from vidmodels.training.plan import make_plan

EPOCH = 100


class Rows:
    """Cross-entropy on rows of DIM numbers; `poison` maps a loss by the step."""

    def __init__(self, poison: Callable[[int], float] = lambda step: 1.0) -> None:
        self.poison = poison

    def step(self, model, batch, context):
        loss = nn.functional.cross_entropy(model(batch.clips), batch.labels)
        yield {"loss": loss * self.poison(context.step)}

    def describe(self):
        return {"task": "rows"}


@dataclass
class Heard:
    metrics: dict[int, dict[str, float]] = field(default_factory=dict)
    checkpoints: list[int] = field(default_factory=list)

    def on_metrics(self, step, metrics, clips, wait_s, step_s):
        self.metrics.setdefault(step, {}).update(metrics)

    def on_checkpoint(self, step, uri):
        self.checkpoints.append(step)


def batch_of(numbers, broken=frozenset(), repeated=0) -> Batch:
    rows = [torch.Generator().manual_seed(int(n)) for n in numbers]
    clips = torch.stack([torch.randn(DIM, generator=g) for g in rows])
    ids = [f"v{n % EPOCH}" for n in numbers]
    return Batch(
        clips, torch.ones(len(ids), dtype=torch.bool), torch.tensor(numbers), ids, clips[:, :3].argmax(1),
        {i: f"{i} is broken" for i in ids if i in broken}, {"repeated": np.full(len(ids), repeated)},
    )  # fmt: skip


def stream(trainer: Trainer, start: int = 0, **settings):
    """The batches from step `start` on."""
    for numbers in trainer.plan.micro_batches(start):
        yield batch_of(list(numbers), **settings)


def trainer_in(folder, heard, steps=6, accumulate=1, every=100, poison=lambda step: 1.0, evaluate=None, stop=lambda: False,
               device="cpu", **train) -> Trainer:  # fmt: skip
    recipe = Recipe(
        data=DataSection(max_bad_fraction=0.05),
        optim=OptimSection(lr=0.05, clip_norm=1.0),
        schedule=ScheduleSection(batch_size=8, accumulate=accumulate, max_steps=steps, epochs=100, warmup_epochs=0),
        train=TrainSection(precision="float32", checkpoint_every=every, **train),
    )
    plan = make_plan(recipe, EPOCH, 1)
    model, world = TinyNet().to(device), World(device=torch.device(device))
    return Trainer(model, Rows(poison), recipe, plan, world, Checkpointer(str(folder)), (heard,), 1, stop, evaluate)


def test_accumulated_micro_batches_make_the_same_step_as_one_batch(tmp_path):
    whole, parts = Heard(), Heard()
    a = trainer_in(tmp_path / "a", whole)
    a.run(stream(a))
    b = trainer_in(tmp_path / "b", parts, accumulate=4)
    b.run(stream(b))
    for step in range(1, 7):
        assert parts.metrics[step]["loss"] == pytest.approx(whole.metrics[step]["loss"], rel=1e-5)
        assert parts.metrics[step]["grad_norm"] == pytest.approx(whole.metrics[step]["grad_norm"], rel=1e-4)
    assert whole.metrics[6]["loss"] < whole.metrics[1]["loss"]
    assert a.plan.micro == 4 * b.plan.micro


def test_stopped_and_resumed_equals_uninterrupted(tmp_path):
    calm, first, second = Heard(), Heard(), Heard()
    trainer = trainer_in(tmp_path / "calm", calm)
    trainer.run(stream(trainer))
    trainer = trainer_in(tmp_path / "cut", first, stop=lambda: 3 in first.metrics)
    outcome = trainer.run(stream(trainer))
    assert (outcome.step, outcome.stopped, first.checkpoints) == (3, True, [3])
    trainer = trainer_in(tmp_path / "cut", second)
    assert trainer.resume() == 3
    trainer.run(stream(trainer, start=3))
    assert {**{k: v["loss"] for k, v in first.metrics.items()}, **{k: v["loss"] for k, v in second.metrics.items()}} == {
        k: v["loss"] for k, v in calm.metrics.items()
    }


def test_checkpoints_come_at_their_steps_and_at_the_end(tmp_path):
    heard = Heard()
    trainer = trainer_in(tmp_path, heard, steps=7, every=3)
    trainer.run(stream(trainer))
    assert heard.checkpoints == [3, 6, 7]


def test_data_in_another_order_is_an_error(tmp_path):
    trainer = trainer_in(tmp_path, Heard())
    with pytest.raises(RunError, match=r"received samples \[8, 9, 10\].* instead of 0"):
        trainer.run(stream(trainer, start=1))


def test_a_step_that_is_not_finite_is_skipped_and_too_many_end_the_run(tmp_path):
    heard = Heard()
    trainer = trainer_in(tmp_path / "one", heard, poison=lambda step: float("nan") if step == 2 else 1.0)
    trainer.run(stream(trainer))
    assert heard.metrics[6]["skipped_steps"] == 1
    assert all(torch.isfinite(p).all() for p in trainer.bare.parameters())
    trainer = trainer_in(tmp_path / "all", Heard(), poison=lambda step: float("nan"), max_bad_steps=3)
    with pytest.raises(RunError, match="v0"):
        trainer.run(stream(trainer))


def test_few_bad_samples_early_do_not_stop_a_run_but_many_do(tmp_path):
    """Two of the first eight are 25 %, which 5 % may well show; half of all is no accident."""
    heard = Heard()
    trainer = trainer_in(tmp_path / "few", heard, steps=12)
    outcome = trainer.run(stream(trainer, broken={"v1", "v5"}))
    assert outcome.bad_samples == {"v1": "v1 is broken", "v5": "v5 is broken"}
    assert heard.metrics[12]["bad_samples"] == 2
    trainer = trainer_in(tmp_path / "many", Heard(), steps=12)
    with pytest.raises(RunError, match=r"4 of 8 videos.*max_bad_fraction 0\.05.*v0: v0 is broken"):
        trainer.run(stream(trainer, broken={f"v{n}" for n in range(0, EPOCH, 2)}))


def test_when_all_were_seen_the_ceiling_is_exact(tmp_path):
    trainer = trainer_in(tmp_path / "five", Heard(), steps=14)
    trainer.run(stream(trainer, broken={f"v{n}" for n in (10, 30, 50, 70, 90)}))
    trainer = trainer_in(tmp_path / "six", Heard(), steps=14)
    with pytest.raises(RunError, match="6 of 100 videos"):
        trainer.run(stream(trainer, broken={f"v{n}" for n in (10, 30, 50, 70, 90, 95)}))


def test_short_clips_are_counted_and_told_once(tmp_path, caplog):
    heard = Heard()
    trainer = trainer_in(tmp_path, heard)
    with caplog.at_level(logging.WARNING):
        trainer.run(stream(trainer, repeated=3))
    assert heard.metrics[1]["short_clips"] == 1.0
    assert sum("shorter than the clip" in r.message for r in caplog.records) == 1


def test_evaluation_at_its_epochs_and_at_the_end(tmp_path):
    heard, seen = Heard(), []

    def evaluate(model, step):
        assert not model.training
        seen.append(step)
        return SimpleNamespace(metrics={"top1": step / 14})

    trainer = trainer_in(tmp_path, heard, steps=14, evaluate=evaluate, eval_every_epochs=0.5)
    outcome = trainer.run(stream(trainer))
    assert seen == [6, 12, 14]
    assert outcome.metrics["val_top1"] == 1.0
    assert outcome.evaluation.metrics == {"top1": 1.0}


def test_the_averaged_weights_are_evaluated_and_keep_norms_computed_anew(tmp_path):
    def evaluate(model, step):
        seen.append({name: value.clone() for name, value in model.state_dict().items()})
        return SimpleNamespace(metrics={})

    heard, seen = Heard(), []
    trainer = trainer_in(tmp_path, heard, steps=3, evaluate=evaluate, ema_decay=0.9)
    trainer.run(stream(trainer))
    assert trainer.ema is not None
    for name, value in trainer.ema.average.items():
        assert torch.equal(seen[-1][name], value)
    assert any(not torch.equal(value, seen[-1][name]) for name, value in trainer.bare.state_dict().items())
