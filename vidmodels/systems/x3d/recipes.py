"""The published recipes of X3D (PySlowFast's files), and the one for laptops.

The learning rate holds for a batch in clips, `optim.lr_batch`; SGD, momentum 0.9, no decay on batch norms, no pre-training.
"""

from __future__ import annotations

from vidmodels.core.recipe import (
    AugmentSection,
    ClassifierSection,
    ClassifyRecipe,
    ClipSection,
    DataSection,
    DetectEvalSection,
    DetectorSection,
    DetectRecipe,
    EvalSection,
    KeyFramesSection,
    OptimSection,
    ScheduleSection,
    SyntheticSection,
    TrainSection,
    tiny_classifier,
)

FPS = 30  # strides count frames at 30 per second, whatever the video's own rate


def _kinetics(
    name: str, num_frames: int, frame_stride: int, size: int, short_side: tuple[int, int], test_size: int
) -> ClassifyRecipe:
    """8 GPUs of 16 clips: half cosine over 300 epochs, 35 of them warm-up, precise batch norms, 10 clips x 3 crops."""
    clip = ClipSection(
        num_frames=num_frames, frame_stride=frame_stride, fps=FPS, size=size, crop="random_short_side", short_side=short_side
    )
    return ClassifyRecipe(
        model=ClassifierSection(name=name, dropout=0.5),
        data=DataSection(clip=clip, augment=AugmentSection(flip=0.5)),
        optim=OptimSection(name="sgd", lr=0.1, lr_batch=128, weight_decay=5e-5),
        schedule=ScheduleSection(epochs=300, batch_size=128, warmup_epochs=35, start_lr=0.01),
        train=TrainSection(precise_bn=200, checkpoint_every=1000, eval_every_epochs=10),
        evaluation=EvalSection(num_clips=10, num_crops=3, size=test_size),
    )


def x3d_xs_k400() -> ClassifyRecipe:
    """X3D-XS on Kinetics-400 from random weights: 69.5 top-1."""
    return _kinetics("x3d_xs", 4, 12, 160, (182, 228), 182)


def x3d_s_k400() -> ClassifyRecipe:
    """X3D-S on Kinetics-400 from random weights: 73.5 top-1."""
    return _kinetics("x3d_s", 13, 6, 160, (182, 228), 182)


def x3d_m_k400() -> ClassifyRecipe:
    """X3D-M on Kinetics-400 from random weights: 76.2 top-1."""
    return _kinetics("x3d_m", 16, 5, 224, (256, 320), 256)


def x3d_l_k400() -> ClassifyRecipe:
    """X3D-L on Kinetics-400 from random weights: 77.5 top-1; half the batch, 256 epochs."""
    base = _kinetics("x3d_l", 16, 5, 312, (356, 446), 356)
    return base.replace(
        optim=base.optim.replace(lr=0.05, lr_batch=64),
        schedule=base.schedule.replace(epochs=256, batch_size=64),
    )


def x3d_tiny() -> ClassifyRecipe:
    """A tiny X3D on the synthetic world: about 91 % after 1,000 steps."""
    return tiny_classifier("x3d_tiny", lr=3e-3)


def _ava(name: str) -> DetectRecipe:
    """From Kinetics-400 weights (`--init`). No recipe of X3D's detectors was published: these are the settings of SlowFast's,
    8 GPUs of 8 clips, 20 epochs, 5 of them warm-up, steps of 0.1 at 10 and 15."""
    clip = ClipSection(num_frames=16, frame_stride=5, fps=FPS, size=224, crop="random_short_side")
    return DetectRecipe(
        model=DetectorSection(name=name, dropout=0.5),
        data=KeyFramesSection(clip=clip, negatives=True, augment=AugmentSection(flip=0.5)),
        optim=OptimSection(name="sgd", lr=0.1, lr_batch=64, weight_decay=1e-7),
        schedule=ScheduleSection(epochs=20, batch_size=64, warmup_epochs=5, start_lr=0.000125, milestones=(10.0, 15.0)),
        train=TrainSection(precise_bn=200, checkpoint_every=1000, eval_every_epochs=5),
    )


def x3d_m_ava() -> DetectRecipe:
    """X3D-M on AVA: offered, not a published recipe, and never run to its end."""
    return _ava("x3d_m_ava")


def x3d_l_ava() -> DetectRecipe:
    """X3D-L on AVA at 224 px: offered, not a published recipe, and never run to its end."""
    return _ava("x3d_l_ava")


def x3d_tiny_detector() -> DetectRecipe:
    """A tiny detector on the crowded synthetic world, two or three shapes with motions of their own.

    73 mAP after 400 steps of 16 clips (one seed), still learning: the recipe has 1,000.
    """
    clip = ClipSection(num_frames=16, frame_stride=1, size=64, crop="center")
    return DetectRecipe(
        model=DetectorSection(name="x3d_tiny_detector"),
        # a mirrored motion is another class
        data=KeyFramesSection(
            clip=clip, synthetic=SyntheticSection(size=64), augment=AugmentSection(flip=0.0, color_jitter=0.3)
        ),
        optim=OptimSection(lr=3e-3, weight_decay=0.05, clip_norm=1.0),
        schedule=ScheduleSection(epochs=8, batch_size=16, warmup_epochs=0.5),
        train=TrainSection(checkpoint_every=250),
        evaluation=DetectEvalSection(batch_size=32),
    )
