"""Recipes of Slow networks that start from weights of contrastive learning (`--init`; Feichtenhofer et al. 2021, appendix).

MoCo was trained with batch norms of each GPU, the others with synchronised ones, and fine-tuning keeps to that: recipes that
end with `_syncbn` are for BYOL, SimCLR and SwAV. Learning rates hold for 64 clips.
"""

from __future__ import annotations

from vidmodels.core.recipe import (
    AugmentSection,
    ClassifierSection,
    ClassifyRecipe,
    ClipSection,
    DataSection,
    DetectRecipe,
    EvalSection,
    OptimSection,
    ScheduleSection,
    TrainSection,
    ava_convnet,
    tiny_classifier,
)

_COLOURS = AugmentSection(flip=0.5, jitter=(0.4, 0.4, 0.4, 0.1), grey=0.2)


def _tuned(frames: int, lr: float, schedule: ScheduleSection, decay: float, dropout: float) -> ClassifyRecipe:
    clip = ClipSection(num_frames=frames, frame_stride=8, fps=30, size=224, crop="random_short_side")
    return ClassifyRecipe(
        model=ClassifierSection(name=f"slow_r50_{frames}x8", dropout=dropout),
        data=DataSection(clip=clip, augment=AugmentSection(flip=0.5)),
        optim=OptimSection(name="sgd", lr=lr, lr_batch=64, weight_decay=decay),
        schedule=schedule.replace(batch_size=64),
        train=TrainSection(checkpoint_every=1000, eval_every_epochs=10),
        evaluation=EvalSection(num_clips=10, num_crops=3, size=256),
    )


def slow_r50_8x8_linear_k400() -> ClassifyRecipe:
    """A linear layer on a frozen trunk, Kinetics-400: 66.6 (MoCo), 67.4 (BYOL) top-1 with two clips, 71.0 and 70.1 with four.

    The trunk's batch norms go on to follow the statistics of what they see, as in the published run.
    """
    base = _tuned(8, 0.5, ScheduleSection(epochs=60, warmup_epochs=8), 0.0, 0.0)
    return base.replace(train=base.train.replace(freeze=("backbone.*",)))


def slow_r50_8x8_ucf101() -> ClassifyRecipe:
    """Fine-tuning on UCF101 or HMDB51 from MoCo: 91.3 top-1 on split 1 of UCF101 with two clips, 94.5 with four."""
    base = _tuned(8, 0.005, ScheduleSection(epochs=200, warmup_epochs=0), 1e-4, 0.5)
    return base.replace(data=base.data.replace(augment=_COLOURS))


def slow_r50_8x8_ucf101_syncbn() -> ClassifyRecipe:
    """The same from BYOL (94.0 and 94.7), SimCLR (88.3) or SwAV (90.2)."""
    base = _tuned(8, 0.01, ScheduleSection(epochs=200, warmup_epochs=0), 0.0, 0.8)
    return base.replace(data=base.data.replace(augment=_COLOURS), train=base.train.replace(sync_bn=True))


def slow_r50_8x8_ssv2() -> ClassifyRecipe:
    """Something-Something v2: 52.7 (MoCo), 54.4 (BYOL), 51.4 (SimCLR), 52.5 (SwAV) top-1 with two clips.

    One frame of each of 8 segments, and no flip, because left and right are classes.
    """
    schedule = ScheduleSection(epochs=22, warmup_epochs=0.19, milestones=(14.0, 18.0))
    base = _tuned(8, 0.12, schedule, 1e-6, 0.5)
    clip = base.data.clip.replace(sampling="segment")
    return base.replace(data=base.data.replace(clip=clip, augment=AugmentSection(flip=0.0)), evaluation=EvalSection(size=256))


def slow_r50_16x8_charades() -> ClassifyRecipe:
    """Charades, 157 classes, any number at once: 33.5 mAP from MoCo with three clips (34.7 from Kinetics with labels)."""
    base = _tuned(16, 0.2, ScheduleSection(epochs=60, warmup_epochs=5, milestones=(40.0, 50.0)), 1e-4, 0.5)
    return base.replace(data=base.data.replace(multi_label=True), evaluation=base.evaluation.replace(combine="max"))


def slow_r50_8x8_ava() -> DetectRecipe:
    """AVA 2.2: 19.7 (MoCo), 22.8 (BYOL), 17.5 (SimCLR), 19.2 (SwAV) mAP with two clips, 21.9 with four of MoCo.

    32 epochs with steps of 0.1 at 16, 24 and 28; `--data.detections` of score 0.8 or more.
    """
    base = ava_convnet("slow_r50_8x8_ava", 8, 8)
    schedule = base.schedule.replace(epochs=32, milestones=(16.0, 24.0, 28.0))
    return base.replace(
        data=base.data.replace(min_score=0.8), optim=base.optim.replace(lr=0.3), schedule=schedule,
        train=base.train.replace(precise_bn=0),
    )  # fmt: skip


def i3d_tiny_probe() -> ClassifyRecipe:
    """A linear layer on the frozen trunk of a tiny contrastive model, on the synthetic world."""
    base = tiny_classifier("i3d_tiny", lr=1e-2)
    return base.replace(
        optim=base.optim.replace(weight_decay=0.0), train=base.train.replace(freeze=("backbone.*",), precise_bn=60)
    )
