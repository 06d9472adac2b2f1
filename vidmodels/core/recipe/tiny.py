"""The laptop's recipes, which the systems share: tiny models of the synthetic world's motions."""

from __future__ import annotations

from vidmodels.core.recipe.data import AugmentSection, ClipSection, DataSection, SyntheticSection
from vidmodels.core.recipe.detect import DetectEvalSection, DetectorSection, DetectRecipe, KeyFramesSection
from vidmodels.core.recipe.tasks import ClassifierSection, ClassifyRecipe
from vidmodels.core.recipe.train import OptimSection, ScheduleSection, TrainSection

WHOLE_VIDEO = ClipSection(num_frames=16, frame_stride=1, size=32, crop="center")
"""All that a video of the synthetic world has: 16 frames of 32 x 32 pixels."""


def tiny_classifier(name: str, lr: float, epochs: int = 8) -> ClassifyRecipe:
    """A tiny model of the zoo from random weights: AdamW, 16 clips a step, a tenth of the epochs warm up.

    2,000 videos make 125 steps of an epoch. The classes are motions, so that nothing may mirror a clip.
    """
    return ClassifyRecipe(
        model=ClassifierSection(name=name),
        data=DataSection(clip=WHOLE_VIDEO, augment=AugmentSection(flip=0.0, shift=4, color_jitter=0.3)),
        optim=OptimSection(lr=lr, weight_decay=0.05, clip_norm=1.0),
        schedule=ScheduleSection(epochs=epochs, batch_size=16, warmup_epochs=epochs / 10),
        train=TrainSection(checkpoint_every=500),
    )


def tiny_detector(name: str, lr: float, epochs: int) -> DetectRecipe:
    """A tiny detector on the crowded world of 64 x 64 pixels: two or three shapes with motions of their own."""
    data = KeyFramesSection(
        clip=WHOLE_VIDEO.replace(size=64),
        synthetic=SyntheticSection(size=64),
        augment=AugmentSection(flip=0.0, color_jitter=0.3),
    )
    return DetectRecipe(
        model=DetectorSection(name=name),
        data=data,
        optim=OptimSection(lr=lr, weight_decay=0.05, clip_norm=1.0),
        schedule=ScheduleSection(epochs=epochs, batch_size=16, warmup_epochs=0.5),
        train=TrainSection(checkpoint_every=250),
        evaluation=DetectEvalSection(batch_size=32),
    )
