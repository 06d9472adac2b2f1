"""What is learned, against what the papers argue against: each study is a table of accuracies on the synthetic world."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.behaviour.hearing import sound_accuracy, sound_world
from tests.behaviour.rows import Row
from tests.behaviour.runs import Lab
from tests.behaviour.searches import expansion, masking
from tests.behaviour.unlabelled import contrast, masked_features
from vidmodels import zoo
from vidmodels.core.recipe import ClassifyRecipe

# a clip of 16 frames a millisecond apart is one frame, repeated
ONE_FRAME = ("--data.clip.fps", "1000")
# patches long enough in time for motion to be seen without pre-training
VIDEO = "mae_st_tiny_8x4x4_classifier"
# recipes of the families' tiny forms, and steps of 16 clips from random weights
FAMILIES = {
    "slowfast_tiny": 1000,
    "i3d_tiny": 1000,
    "r2plus1d_tiny": 1000,
    "csn_tiny": 1000,
    "x3d_tiny": 1500,
    "mvit_tiny_classifier": 2500,
    "mvitv2_tiny_video_classifier": 2500,
}
# steps of 16 clips of pre-training
BUDGETS = (2500, 5000)


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


def families(lab: Lab, seeds: range) -> Iterator[Row]:
    """The tiny form of each family from random weights, and SlowFast on one frame, which cannot tell motions apart."""
    for name, steps in FAMILIES.items():
        yield _recipe(lab, seeds, name, steps)
    yield _recipe(lab, seeds, "slowfast_tiny", FAMILIES["slowfast_tiny"], "on one random frame", *ONE_FRAME)


def slowfast(lab: Lab, seeds: range) -> Iterator[Row]:
    """Two pathways against Slow alone, widened to their multiply-adds (SlowFast, section 4.1)."""
    for name in ("slowfast_tiny", "slow_tiny"):
        yield _recipe(lab, seeds, name, FAMILIES["slowfast_tiny"])


def pooling(lab: Lab, seeds: range) -> Iterator[Row]:
    """Pooled attention against plain vision transformers of as many multiply-adds, whose patches are 2 x 8 x 8 (those of this
    size usually are) or long in time (MViT, section 4.1)."""
    for name in ("mvit_tiny_classifier", "mae_st_tiny_narrow_classifier", "mae_st_tiny_8x4x4_narrow_classifier"):
        yield _recipe(lab, seeds, name, FAMILIES["mvit_tiny_classifier"])


def expanded(lab: Lab, seeds: range) -> Iterator[Row]:
    """X3D against C2D and I3D scaled in width alone to as many multiply-adds or a few more (X3D, section 4.2)."""
    for name in ("x3d_tiny", "c2d_tiny", "i3d_tiny"):
        yield _recipe(lab, seeds, name, FAMILIES["i3d_tiny"])


def _recipe(lab: Lab, seeds: range, recipe: str, steps: int, how: str = "", *words: str) -> Row:
    """The accuracy of a recipe after so many steps, with what a clip costs its model."""
    model = zoo.entry(zoo.recipes(ClassifyRecipe)[recipe]().model.name)
    name = f"{recipe}-{steps}{'-' if how else ''}{how.replace(' ', '-')}"
    values = lab.each(seeds, lambda s: lab.classify(name, s, steps, *words, recipe=recipe))
    return Row(f"{model.name}{how and ' '}{how}, {(model.macs or 0) / 1e6:.0f} M multiply-adds, {steps} steps", values)


def detector(lab: Lab, seeds: range, steps: int = 500) -> Iterator[Row]:
    """A tiny detector with given boxes, frame mAP at 0.5, and the same on clips that repeat the key frame."""

    def detected(name: str, *words: str) -> tuple[float, ...]:
        return lab.each(seeds, lambda s: lab.detect(f"{name}-{steps}", s, steps, *words))

    yield Row(f"clips around the key frame, {steps} steps", detected("detector"))
    yield Row(f"the key frame alone, repeated, {steps} steps", detected("detector-frame", *ONE_FRAME))


def sound(lab: Lab, seeds: range, steps: int = 1500) -> Iterator[Row]:
    """A tiny AVSlowFast on videos with sound and on the same without: four classes are told in pairs by sound alone, where
    pictures can reach one half; with the other eight, sound says nothing."""
    for name, silent in (("pictures and sound", False), ("pictures alone", True)):
        sound_world(lab, silent)  # made once, not by each seed
        found = lab.each(seeds, lambda s, silent=silent: sound_accuracy(lab, s, steps, silent))
        yield Row(f"{name}, {steps} steps: classes that sound tells", tuple(told for told, _ in found))
        yield Row(f"{name}, {steps} steps: the others", tuple(others for _, others in found))


STUDIES: dict[str, Callable[..., Iterator[Row]]] = {
    "motion": motion,
    "probe": probe,
    "few_labels": few_labels,
    "families": families,
    "slowfast": slowfast,
    "pooling": pooling,
    "expanded": expanded,
    "detector": detector,
    "sound": sound,
    "contrast": contrast,
    "masked_features": masked_features,
    "expansion": expansion,
    "masking": masking,
}
