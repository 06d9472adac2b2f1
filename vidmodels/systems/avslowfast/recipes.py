"""The published recipes of AVSlowFast (files of the authors' public code), and one for laptops.

Learning rates hold for a batch in clips, `optim.lr_batch`; SGD, momentum 0.9, no decay on batch norms.
"""

from __future__ import annotations

from vidmodels.core.recipe import (
    AugmentSection,
    ClassifierSection,
    ClassifyRecipe,
    ClipSection,
    DataSection,
    EvalSection,
    OptimSection,
    ScheduleSection,
    SoundSection,
    SynchronyModelSection,
    SynchronyRecipe,
    SyntheticSection,
    TrainSection,
    tiny_classifier,
)

EASY = SoundSection(easy_part=96 / 196, easy_share=0.75)
"""Misaligned sounds of other videos until epoch 96 of 196, then for three quarters of a batch; DropPathway is the models'."""


def _kinetics(name: str, batch_size: int, precise_bn: int) -> ClassifyRecipe:
    """8 GPUs: half cosine over 196 epochs, 34 of them warm-up; tested on 10 clips of 3 crops, each with its own sound."""
    return ClassifyRecipe(
        model=ClassifierSection(name=name, dropout=0.5),
        data=_kinetics_data(),
        sound=EASY,
        optim=OptimSection(name="sgd", lr=0.1, lr_batch=batch_size, weight_decay=1e-4),
        schedule=ScheduleSection(epochs=196, batch_size=batch_size, warmup_epochs=34, start_lr=0.01),
        train=TrainSection(precise_bn=precise_bn, checkpoint_every=1000, eval_every_epochs=10),
        evaluation=EvalSection(num_clips=10, num_crops=3, size=256),
    )


def _kinetics_data() -> DataSection:
    clip = ClipSection(num_frames=32, frame_stride=2, fps=30, size=224, crop="random_short_side", short_side=(256, 320))
    return DataSection(clip=clip, augment=AugmentSection(flip=0.5))


def avslowfast_r50_4x16_k400() -> ClassifyRecipe:
    """AVSlowFast 4x16 R50 on Kinetics-400 from random weights: 77.0 top-1."""
    return _kinetics("avslowfast_r50_4x16", 64, 200)


def avslowfast_r50_8x8_k400() -> ClassifyRecipe:
    """AVSlowFast 8x8 R50 on Kinetics-400 from random weights."""
    return _kinetics("avslowfast_r50_8x8", 32, 400)


def avslowfast_r101_8x8_k400() -> ClassifyRecipe:
    """AVSlowFast 8x8 R101 on Kinetics-400 from random weights: 78.8 top-1. Settings of 8x8 R50, as no file has its own."""
    return _kinetics("avslowfast_r101_8x8", 32, 400)


def avslowfast_r50_4x16_epic() -> ClassifyRecipe:
    """AVSlowFast 4x16 R50 on EPIC-KITCHENS from Kinetics weights (`--init`), a head for verbs and one for nouns.

    Uncertain: 30 epochs at a rate of 0.01 are not from a published file, and batch, warm-up and augmentation are Kinetics'.
    """
    base = _kinetics("avslowfast_r50_4x16", 64, 200)
    return base.replace(
        data=base.data.replace(format="epic_kitchens"),
        optim=base.optim.replace(lr=0.01),
        schedule=ScheduleSection(epochs=30, batch_size=64, warmup_epochs=2, start_lr=0.001),
        train=base.train.replace(eval_every_epochs=5),
    )


def avslowfast_tiny() -> ClassifyRecipe:
    """A tiny AVSlowFast on the synthetic world with sound."""
    base = tiny_classifier("avslowfast_tiny", lr=4e-3, epochs=12)
    return base.replace(
        data=base.data.replace(synthetic=SyntheticSection(sound=True)),
        sound=SoundSection(drop_clips=0.2),
    )


def avslowfast_r50_4x16_selfsup() -> SynchronyRecipe:
    """AVSlowFast 4x16 R50 from synchrony alone, on Kinetics-400 without labels: the settings of its classifier.

    The paper adds the prediction of rotations, which is not here.
    """
    return SynchronyRecipe(
        model=SynchronyModelSection(name="avslowfast_r50_4x16"),
        data=_kinetics_data(),
        sound=EASY,
        optim=OptimSection(name="sgd", lr=0.1, lr_batch=64, weight_decay=1e-4),
        schedule=ScheduleSection(epochs=196, batch_size=64, warmup_epochs=34, start_lr=0.01),
        train=TrainSection(checkpoint_every=1000),
    )


def avslowfast_tiny_selfsup() -> SynchronyRecipe:
    """A tiny AVSlowFast from synchrony alone, with clips of a second.

    For own videos: in the synthetic world sounds do not follow the motion, so that there is nothing to learn.
    """
    clip = ClipSection(num_frames=16, frame_stride=1, fps=16, size=32, crop="center")
    return SynchronyRecipe(
        model=SynchronyModelSection(name="avslowfast_tiny"),
        data=DataSection(synthetic=SyntheticSection(sound=True), clip=clip, augment=AugmentSection(flip=0.5, shift=4)),
        sound=SoundSection(drop_pathway=0.8, sync_levels=("res3", "res4", "res5")),
        optim=OptimSection(lr=2e-3, weight_decay=0.05, clip_norm=1.0),
        schedule=ScheduleSection(epochs=8, batch_size=16, warmup_epochs=0.8),
        train=TrainSection(checkpoint_every=500),
    )
