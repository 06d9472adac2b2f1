"""The recipes of action detectors on AVA that several systems share (files of PySlowFast)."""

from __future__ import annotations

from vidmodels.core.recipe.data import AugmentSection, ClipSection
from vidmodels.core.recipe.detect import DetectorSection, DetectRecipe, KeyFramesSection
from vidmodels.core.recipe.train import OptimSection, ScheduleSection, TrainSection


def ava_convnet(name: str, num_frames: int, frame_stride: int) -> DetectRecipe:
    """8 GPUs of 8 clips from Kinetics weights (`--init`): 20 epochs, 5 of them warm-up, steps of 0.1 at 10 and 15.

    `--data.detections` adds a person detector's boxes of 0.9 overlap or more, and the rest of them as negatives.
    """
    return DetectRecipe(
        model=DetectorSection(name=name, dropout=0.5),
        data=KeyFramesSection(clip=_clip(num_frames, frame_stride), negatives=True, augment=AugmentSection(flip=0.5)),
        optim=OptimSection(name="sgd", lr=0.1, lr_batch=64, weight_decay=1e-7),
        schedule=ScheduleSection(epochs=20, batch_size=64, warmup_epochs=5, start_lr=0.000125, milestones=(10.0, 15.0)),
        train=TrainSection(precise_bn=200, checkpoint_every=1000, eval_every_epochs=5),
    )


def ava_transformer(name: str, num_frames: int, frame_stride: int) -> DetectRecipe:
    """From Kinetics weights (`--init`) on 64 GPUs with 8 clips each: 30 epochs, half cosine, 5 epochs of warm-up.

    Whole frames are evaluated; the papers' main figures are of centre crops.
    """
    return DetectRecipe(
        model=DetectorSection(name=name, drop_path=0.4, dropout=0.5),
        data=KeyFramesSection(clip=_clip(num_frames, frame_stride), augment=AugmentSection(flip=0.5)),
        optim=OptimSection(name="sgd", lr=0.6, lr_batch=512, weight_decay=1e-8),
        schedule=ScheduleSection(epochs=30, batch_size=512, warmup_epochs=5),
        train=TrainSection(checkpoint_every=1000, eval_every_epochs=5),
    )


def _clip(num_frames: int, frame_stride: int) -> ClipSection:
    return ClipSection(num_frames=num_frames, frame_stride=frame_stride, fps=30, size=224, crop="random_short_side")
