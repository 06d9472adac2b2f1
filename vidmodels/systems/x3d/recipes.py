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
    DetectRecipe,
    EvalSection,
    OptimSection,
    ScheduleSection,
    TrainSection,
    ava_convnet,
    tiny_classifier,
    tiny_detector,
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


def x2d_k400() -> ClassifyRecipe:
    """The image network on Kinetics-400, from which the family was expanded: a base for `pipelines/expand_x3d.py`.

    One frame of the 48 that a clip of XS spans. Its length is for candidates that are compared, not for a published figure.
    """
    base = _kinetics("x2d", 1, 48, 112, (128, 160), 128)
    return base.replace(
        schedule=base.schedule.replace(epochs=60, warmup_epochs=7),
        evaluation=base.evaluation.replace(num_clips=3, num_crops=1),
    )


def x2d_tiny() -> ClassifyRecipe:
    """The image network in the size of x3d_tiny on the synthetic world: one frame, at chance; the base of a tiny expansion.

    Its frame stands for 8 of a video's 16, so that there is room for more frames of the same time and of a longer one.
    """
    base = tiny_classifier("x2d_tiny", lr=3e-3, epochs=4)
    return base.replace(
        data=base.data.replace(clip=base.data.clip.replace(num_frames=1, frame_stride=8, size=24)),
    )


def x3d_tiny() -> ClassifyRecipe:
    """A tiny X3D on the synthetic world: about 97 % after its 1,500 steps, 91 % after 1,000."""
    base = tiny_classifier("x3d_tiny", lr=3e-3)
    return base.replace(schedule=base.schedule.replace(epochs=12))


def x3d_m_ava() -> DetectRecipe:
    """X3D-M on AVA by the settings of SlowFast's detectors: no recipe was published, and this was never run to its end."""
    return ava_convnet("x3d_m_ava", 16, 5)


def x3d_l_ava() -> DetectRecipe:
    """X3D-L on AVA at 224 px, as X3D-M."""
    return ava_convnet("x3d_l_ava", 16, 5)


def x3d_tiny_detector() -> DetectRecipe:
    """A tiny detector on the crowded synthetic world, two or three shapes with motions of their own.

    73 mAP after 400 steps of 16 clips (one seed), still learning: the recipe has 1,000.
    """
    return tiny_detector("x3d_tiny_detector", lr=3e-3, epochs=8)
