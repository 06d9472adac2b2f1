"""What is learned, against what the papers argue against: each study is a table of accuracies on the synthetic world."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.behaviour.runs import Lab

# a clip of 16 frames a millisecond apart is one frame, repeated
ONE_FRAME = ("--data.clip.fps", "1000")
# patches long enough in time for motion to be seen without pre-training
VIDEO = "mae_st_tiny_8x4x4_classifier"
# steps of 16 clips of pre-training
BUDGETS = (2500, 5000)


@dataclass(frozen=True)
class Row:
    """One line of a table: a value for each seed."""

    name: str
    values: tuple[float, ...]
    percent: bool = True

    def text(self) -> str:
        shown = [f"{100 * v:.1f}" if self.percent else f"{v:.4f}" for v in self.values]
        mean = sum(self.values) / len(self.values)
        return f"| {self.name} | {100 * mean:.1f} % |" if self.percent and len(shown) == 1 else (
            f"| {self.name} | {', '.join(shown)} (mean {100 * mean:.1f} %) |" if self.percent
            else f"| {self.name} | {', '.join(shown)} |")  # fmt: skip


def motion(lab: Lab, seeds: range, steps: int = 1500) -> Iterator[Row]:
    """A tiny video classifier from random weights, and the same on one frame, which cannot tell motions apart."""

    def classified(name: str, *words: str) -> tuple[float, ...]:
        return lab.each(seeds, lambda s: lab.classify(f"{name}-{steps}", s, steps, *words, recipe=VIDEO))

    yield Row(f"all labels, {steps} steps", classified("video"))
    yield Row(f"the same on one random frame, {steps} steps", classified("frame", *ONE_FRAME))


def probe(lab: Lab, seeds: range, budgets: tuple[int, ...] = BUDGETS) -> Iterator[Row]:
    """What a linear layer reads from a frozen encoder, over the steps of pre-training."""
    yield Row("random weights, linear probe", tuple(lab.probe(s, None) for s in seeds))
    for budget in budgets:
        runs = lab.each(seeds, lambda s, budget=budget: lab.pretrain(s, budget))
        shares = tuple(metrics["loss"] / metrics["patch_mean_loss"] for _, metrics in runs)
        yield Row(f"{budget} steps: loss / loss of each patch's mean", shares, percent=False)
        yield Row(f"{budget} steps, linear probe", tuple(lab.probe(s, run) for s, (run, _) in zip(seeds, runs)))


def few_labels(
    lab: Lab, seeds: range, budgets: tuple[int, ...] = BUDGETS, labels: tuple[int, ...] = (5, 20), steps: int = 600
) -> Iterator[Row]:
    """Fine-tuning on a few labels over the steps of pre-training, and from scratch."""

    def tuned(per_class: int, budget: int) -> tuple[float, ...]:
        def work(seed: int) -> float:
            init = lab.pretrain(seed, budget)[0] if budget else None
            return lab.classify(f"few{per_class}-{budget}-{steps}", seed, steps, per_class=per_class, init=init)

        return lab.each(seeds, work)

    for per_class in labels:
        for budget in (0, *budgets):
            start = f"{budget} steps of pre-training" if budget else "from scratch"
            yield Row(f"{per_class} labels a class, {start}", tuned(per_class, budget))


STUDIES: dict[str, Callable[..., Iterator[Row]]] = {"motion": motion, "probe": probe, "few_labels": few_labels}
