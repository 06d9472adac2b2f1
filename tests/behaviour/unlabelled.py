"""Learning without labels, by contrast and by masked features: what a linear layer or few labels make of the encoders."""

from __future__ import annotations

from collections.abc import Iterator

from tests.behaviour.rows import Row
from tests.behaviour.runs import Lab

FRAMEWORKS = ("simclr", "moco", "byol", "swav")
# steps of 64 videos, and of 16 clips
CONTRAST_STEPS, FEATURE_STEPS = 1500, 5000
FEATURES = "maskfeat_tiny_pretrain"


def contrast(lab: Lab, seeds: range, steps: int = CONTRAST_STEPS) -> Iterator[Row]:
    """What a linear layer reads from a frozen encoder after contrastive learning: two clips of a video at different times
    (rho 2) against two crops of one (rho 1), four clips, and random weights (Feichtenhofer et al. 2021, section 4.1)."""
    yield Row("random weights", tuple(lab.probe(s, None, "rho_simclr_tiny") for s in seeds))
    variants = {
        "rho 2": (),
        "rho 1, two crops of one clip": ("--data.clip.repeat-times", "same"),
        "rho 4": ("--data.clip.repeats", "4"),
    }
    for framework in FRAMEWORKS:
        for name, words in variants.items():
            yield Row(f"{framework}, {name}, {steps} steps", contrasted(lab, seeds, framework, steps, name, *words))


def contrasted(lab: Lab, seeds: range, framework: str, steps: int, name: str, *words: str) -> tuple[float, ...]:
    """Accuracy of a linear probe after contrastive learning, for each seed."""
    recipe = f"rho_{framework}_tiny"
    run_name = f"{recipe}-{steps}-{name.split(',')[0].replace(' ', '')}"

    def work(seed: int) -> float:
        run, _ = lab.pretrain_by("pretrain_contrastive", recipe, run_name, seed, steps, *words, batch=64)
        return lab.probe(seed, run, f"{recipe}")

    return lab.each(seeds, work)


def masked_features(
    lab: Lab, seeds: range, budgets: tuple[int, ...] = (FEATURE_STEPS // 2, FEATURE_STEPS), steps: int = 600
) -> Iterator[Row]:
    """Histograms of oriented gradients against pixels as what is predicted, and what steps of pre-training are worth: a linear
    layer on the frozen encoder, and fine-tuning on five and twenty labels a class (MaskFeat, section 5)."""
    yield Row("random weights, linear probe", tuple(lab.probe(s, None, FEATURES) for s in seeds))
    for per_class in (5, 20):
        yield Row(f"{per_class} labels a class, from scratch", tuned(lab, seeds, per_class, steps, None, 0))
    for target in ("hog", "pixel"):
        for budget in budgets:
            runs = lab.each(seeds, lambda s, target=target, budget=budget: predicted(lab, s, target, budget))
            shares = tuple(metrics["loss"] / metrics["mean_loss"] for _, metrics in runs)
            yield Row(f"{target}, {budget} steps: loss / loss of the mean", shares, percent=False)
            probes = tuple(lab.probe(s, run, FEATURES) for s, (run, _) in zip(seeds, runs))
            yield Row(f"{target}, {budget} steps, linear probe", probes)
            for per_class in (5, 20):
                values = tuned(lab, seeds, per_class, steps, target, budget)
                yield Row(f"{per_class} labels a class, {target}, {budget} steps", values)


def predicted(lab: Lab, seed: int, target: str, steps: int) -> tuple[str, dict[str, float]]:
    """The folder and the metrics of a run of masked feature prediction."""
    words = ("--task.target", target)
    return lab.pretrain_by("pretrain_maskfeat", "maskfeat_tiny", f"maskfeat-{target}-{steps}", seed, steps, *words)


def tuned(lab: Lab, seeds: range, per_class: int, steps: int, target: str | None, budget: int) -> tuple[float, ...]:
    """Accuracy after fine-tuning on few labels, from masked features or (target None) from scratch."""

    def work(seed: int) -> float:
        init = None if target is None else predicted(lab, seed, target, budget)[0]
        name = f"maskfeat-few{per_class}-{target}-{budget}-{steps}"
        return lab.classify(name, seed, steps, recipe="maskfeat_tiny_classifier", per_class=per_class, init=init)

    return lab.each(seeds, work)
