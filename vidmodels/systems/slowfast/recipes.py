"""The published recipes of the SlowFast family (paper, sections 4 and 5; PySlowFast's files), and those for laptops.

Learning rates hold for a batch in clips, `optim.lr_batch`; SGD, momentum 0.9, no decay on batch norms.
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
    MultigridSection,
    OptimSection,
    ScheduleSection,
    TrainSection,
    ava_convnet,
    tiny_classifier,
    tiny_detector,
)
from vidmodels.systems.slowfast.transfer import (  # noqa: F401  (the card names them)
    i3d_tiny_probe,
    slow_r50_8x8_ava,
    slow_r50_8x8_linear_k400,
    slow_r50_8x8_ssv2,
    slow_r50_8x8_ucf101,
    slow_r50_8x8_ucf101_syncbn,
    slow_r50_16x8_charades,
)

FPS = 30  # strides count frames at 30 per second, whatever the video's own rate
MULTIGRID = MultigridSection(long_cycle=True, short_cycle=True)
THIRTY_VIEWS = EvalSection(num_clips=10, num_crops=3, size=256)


def _kinetics(name: str, num_frames: int, frame_stride: int) -> ClassifyRecipe:
    """8 GPUs of 8 clips: half cosine over 196 epochs, 34 of them warm-up, precise batch norms."""
    clip = ClipSection(num_frames=num_frames, frame_stride=frame_stride, fps=FPS, size=224, crop="random_short_side")
    return ClassifyRecipe(
        model=ClassifierSection(name=name, dropout=0.5),
        data=DataSection(clip=clip, augment=AugmentSection(flip=0.5)),
        optim=OptimSection(name="sgd", lr=0.1, lr_batch=64, weight_decay=1e-4),
        schedule=ScheduleSection(epochs=196, batch_size=64, warmup_epochs=34, start_lr=0.01),
        train=TrainSection(precise_bn=200, checkpoint_every=1000, eval_every_epochs=10),
        evaluation=THIRTY_VIEWS,
    )


def slowfast_r50_8x8_k400() -> ClassifyRecipe:
    """SlowFast 8x8 R50 on Kinetics-400 from random weights: 77.0 top-1."""
    return _kinetics("slowfast_r50_8x8", 32, 2)


def slowfast_r50_4x16_k400() -> ClassifyRecipe:
    """SlowFast 4x16 R50 on Kinetics-400 from random weights: 75.6 top-1; 256 epochs, as all models of 4 slow frames."""
    base = _kinetics("slowfast_r50_4x16", 32, 2)
    return base.replace(schedule=base.schedule.replace(epochs=256))


def slowfast_r101_8x8_k400() -> ClassifyRecipe:
    """SlowFast 8x8 R101 on Kinetics-400 from random weights: 77.9 top-1."""
    return _kinetics("slowfast_r101_8x8", 32, 2)


def slowfast_r101_16x8_k400() -> ClassifyRecipe:
    """SlowFast 16x8 R101 on Kinetics-400 from random weights: 78.9 top-1."""
    return _kinetics("slowfast_r101_16x8", 64, 2)


def slowfast_r50_8x8_k400_stepwise() -> ClassifyRecipe:
    """SlowFast 8x8 R50 with steps of 0.1 at 94, 154 and 196 of 239 epochs, the baseline of multigrid training: 76.8."""
    base = _kinetics("slowfast_r50_8x8", 32, 2)
    return base.replace(schedule=base.schedule.replace(epochs=239, milestones=(94.0, 154.0, 196.0)))


def slowfast_r50_8x8_k400_multigrid() -> ClassifyRecipe:
    """SlowFast 8x8 R50 by multigrid training, 3.4 times fewer steps than the stepwise baseline: 76.6 (that one: 76.8)."""
    return slowfast_r50_8x8_k400_stepwise().replace(multigrid=MULTIGRID)


def slow_r50_8x8_k400() -> ClassifyRecipe:
    """Slow-only 8x8 R50 on Kinetics-400 from random weights: 74.8 top-1."""
    return _kinetics("slow_r50_8x8", 8, 8)


def slow_r50_4x16_k400() -> ClassifyRecipe:
    """Slow-only 4x16 R50 on Kinetics-400 from random weights: 72.7 top-1."""
    base = _kinetics("slow_r50_4x16", 4, 16)
    return base.replace(schedule=base.schedule.replace(epochs=256))


def i3d_r50_8x8_k400() -> ClassifyRecipe:
    """I3D 8x8 R50 on Kinetics-400: 73.5 top-1."""
    return _kinetics("i3d_r50_8x8", 8, 8)


def i3d_nln_r50_8x8_k400() -> ClassifyRecipe:
    """I3D 8x8 R50 with non-local blocks on Kinetics-400: 74.0 top-1."""
    return _kinetics("i3d_nln_r50_8x8", 8, 8)


def c2d_r50_8x8_k400() -> ClassifyRecipe:
    """C2D 8x8 R50 on Kinetics-400: 67.2 top-1."""
    return _kinetics("c2d_r50_8x8", 8, 8)


def slowfast_r50_16x8_charades() -> ClassifyRecipe:
    """SlowFast 16x8 R50 on Charades from Kinetics weights (`--init`): 38.9 mAP; 157 classes, any number at once.

    Views are joined by the largest score of each class. Frames are at 24 per second.
    """
    base = _kinetics("slowfast_r50_16x8", 64, 2)
    clip = base.data.clip.replace(fps=24.0, short_side=(256, 340), short_side_inverse=True)
    return base.replace(
        data=base.data.replace(clip=clip, multi_label=True),
        optim=base.optim.replace(lr=0.0375, lr_batch=16),
        schedule=base.schedule.replace(epochs=57, batch_size=16, warmup_epochs=4, start_lr=1e-4, milestones=(41.0, 49.0)),
        train=base.train.replace(sync_bn=True),
        evaluation=THIRTY_VIEWS.replace(combine="max"),
    )


def slowfast_r50_16x8_charades_multigrid() -> ClassifyRecipe:
    """The same by multigrid training: 38.6 mAP. Batch norms go over 8 clips, so over four workers of two."""
    base = slowfast_r50_16x8_charades()
    return base.replace(train=base.train.replace(sync_bn=False), multigrid=MULTIGRID)


def slowfast_r50_16x8_ssv2() -> ClassifyRecipe:
    """SlowFast 16x8 R50 on Something-Something v2 from Kinetics weights (`--init`): 63.0 top-1.

    One frame of each of 64 segments, and no flip, because left and right are classes.
    """
    base = _kinetics("slowfast_r50_16x8", 64, 2)
    clip = base.data.clip.replace(sampling="segment", short_side_inverse=True)
    return base.replace(
        data=base.data.replace(clip=clip, augment=AugmentSection(flip=0.0)),
        optim=base.optim.replace(lr=0.03, lr_batch=16, weight_decay=1e-6),
        schedule=base.schedule.replace(epochs=22, batch_size=16, warmup_epochs=0.19, start_lr=1e-4, milestones=(14.0, 18.0)),
        train=base.train.replace(sync_bn=True),
        evaluation=EvalSection(num_clips=1, num_crops=1, size=256),
    )


def slowfast_r50_16x8_ssv2_multigrid() -> ClassifyRecipe:
    """The same by multigrid training: 63.5 top-1."""
    base = slowfast_r50_16x8_ssv2()
    return base.replace(train=base.train.replace(sync_bn=False), multigrid=MULTIGRID)


def slowfast_tiny() -> ClassifyRecipe:
    """A tiny SlowFast on the synthetic world: about 96 % after 1,000 steps, five minutes of one core."""
    return tiny_classifier("slowfast_tiny", lr=4e-3)


def slowfast_tiny_two_heads() -> ClassifyRecipe:
    """A tiny SlowFast that says how something moves and of what colour it is, two label sets of the synthetic world.

    One seed reached 85 and 97 % after 1,000 steps, and both at once in 84 %; after 400 the motions were at 22 %.
    """
    base = tiny_classifier("slowfast_tiny", lr=4e-3)
    return base.replace(data=base.data.replace(synthetic=base.data.synthetic.replace(colors=True)))


def slowfast_tiny_multigrid() -> ClassifyRecipe:
    """`slowfast_tiny` by multigrid training, to try it: about 76 % after its 282 steps, as `slowfast_tiny` after as many.

    Its videos are too small to gain from it: 4 frames of 16 pixels lose what tells their motions apart.
    """
    base = slowfast_tiny()
    return base.replace(
        optim=base.optim.replace(lr=1e-3),
        schedule=base.schedule.replace(milestones=(5.0, 7.0)),
        multigrid=MULTIGRID,
    )


def slow_tiny() -> ClassifyRecipe:
    """Slow alone on 4 of the 16 frames, widened to the multiply-adds of `slowfast_tiny`."""
    base = tiny_classifier("slow_tiny", lr=4e-3)
    return base.replace(data=base.data.replace(clip=base.data.clip.replace(num_frames=4, frame_stride=4)))


def i3d_tiny() -> ClassifyRecipe:
    """A tiny I3D on the synthetic world: about 96 % after 1,000 steps."""
    return tiny_classifier("i3d_tiny", lr=4e-3)


def c2d_tiny() -> ClassifyRecipe:
    """A tiny C2D on the synthetic world, which is blind to the order of frames: the control, about 39 %."""
    return tiny_classifier("c2d_tiny", lr=4e-3)


def slowfast_r50_8x8_ava() -> DetectRecipe:
    """SlowFast 8x8 R50 on AVA 2.2 from Kinetics-400: 24.8 mAP."""
    return ava_convnet("slowfast_r50_8x8_ava", 32, 2)


def slowfast_nln_r101_8x8_ava() -> DetectRecipe:
    """SlowFast 8x8 R101 with non-local blocks on AVA 2.2 from Kinetics-600: 29.1 mAP (28.2 on AVA 2.1).

    How these weights were trained is not known here: the settings are those of R50.
    """
    return ava_convnet("slowfast_nln_r101_8x8_ava", 32, 2)


def slowfast_nln_r101_16x8_ava() -> DetectRecipe:
    """SlowFast 16x8 R101 with non-local blocks on AVA 2.2 from Kinetics-600, as 8x8: 29.4 mAP."""
    return ava_convnet("slowfast_nln_r101_16x8_ava", 64, 2)


def slow_r50_4x16_ava() -> DetectRecipe:
    """Slow-only 4x16 R50 on AVA 2.2 from Kinetics-400: 19.5 mAP; its people are boxes of score 0.9 or more."""
    base = ava_convnet("slow_r50_4x16_ava", 4, 16)
    return base.replace(data=base.data.replace(min_score=0.9))


def slowfast_tiny_detector() -> DetectRecipe:
    """A tiny detector on the crowded synthetic world, two or three shapes with motions of their own: 99 mAP in minutes."""
    return tiny_detector("slowfast_tiny_detector", lr=4e-3, epochs=4)
