"""The recipe of PyTorchVideo's trainer on Kinetics-400, and recipes for laptops."""

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
    TrainSection,
    tiny_classifier,
)

FPS = 30  # strides count frames at 30 per second, whatever the video's own rate


def _kinetics(name: str, num_frames: int, frame_stride: int, dropout: float) -> ClassifyRecipe:
    """64 GPUs of 8 clips, rate 0.8, Nesterov, half cosine over 196 epochs, 34 of them warm-up, precise batch norms.

    It is published for SlowFast; for these networks no other is.
    """
    clip = ClipSection(num_frames=num_frames, frame_stride=frame_stride, fps=FPS, size=224, crop="random_short_side")
    return ClassifyRecipe(
        model=ClassifierSection(name=name, dropout=dropout),
        data=DataSection(clip=clip, augment=AugmentSection(flip=0.5)),
        optim=OptimSection(name="sgd", nesterov=True, lr=0.8, lr_batch=512, weight_decay=1e-4),
        schedule=ScheduleSection(epochs=196, batch_size=512, warmup_epochs=34, start_lr=0.01),
        train=TrainSection(precise_bn=200, checkpoint_every=1000, eval_every_epochs=10),
        evaluation=EvalSection(num_clips=10, num_crops=3, size=256),
    )


def csn_r101_k400() -> ClassifyRecipe:
    """The channel-separated network on Kinetics-400: the published weights reach 77.0 top-1."""
    return _kinetics("csn_r101", 32, 2, dropout=0.0)


def r2plus1d_r50_k400() -> ClassifyRecipe:
    """R(2+1)D on Kinetics-400: the published weights reach 76.0 top-1."""
    return _kinetics("r2plus1d_r50", 16, 4, dropout=0.5)


def csn_tiny() -> ClassifyRecipe:
    """A tiny channel-separated network on the synthetic world: about 96 % after 1,000 steps."""
    return tiny_classifier("csn_tiny", lr=4e-3)


def r2plus1d_tiny() -> ClassifyRecipe:
    """A tiny R(2+1)D on the synthetic world: about 92 % after 1,000 steps."""
    return tiny_classifier("r2plus1d_tiny", lr=2e-3)
