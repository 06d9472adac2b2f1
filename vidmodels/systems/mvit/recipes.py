"""The published recipes of MViT (paper, appendix; files of PySlowFast), and one for laptops.

A batch is counted in videos; learning rates hold for a number of clips (videos x repeats), `optim.lr_batch`. Where the
files scale a rate by the number of machines, it is that of the 16 machines (8 for images) that the paper had.
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
    ava_transformer,
    tiny_classifier,
)

REPEATS = 2  # clips of each decoded video


def _kinetics(name: str, frames: int, stride: int, drop_path: float) -> ClassifyRecipe:
    """From random weights on 128 GPUs with 4 clips each."""
    clip = ClipSection(num_frames=frames, frame_stride=stride, fps=30, size=224, repeats=REPEATS, crop_area=(0.08, 1.0))
    augment = AugmentSection(rand_augment="m7-mstd0.5-n4", erasing=0.25, mixup=0.8, cutmix=1.0, label_smoothing=0.1)
    return ClassifyRecipe(
        model=ClassifierSection(name=name, drop_path=drop_path, dropout=0.5),
        data=DataSection(clip=clip, augment=augment),
        optim=OptimSection(lr=1.6e-3, lr_batch=512, weight_decay=0.05, clip_norm=1.0),
        schedule=ScheduleSection(epochs=200, batch_size=256, warmup_epochs=30, start_lr=1.6e-5, end_lr=1.6e-5),
        train=TrainSection(checkpoint_every=1000),
        evaluation=EvalSection(num_clips=5),
    )


def mvit_b_16x4_k400() -> ClassifyRecipe:
    """B on Kinetics-400, 16 frames x 4: 78.4 top-1."""
    return _kinetics("mvit_b_16x4", 16, 4, drop_path=0.2)


def mvit_b_32x3_k400() -> ClassifyRecipe:
    """B on Kinetics-400, 32 frames x 3: 80.2 top-1."""
    return _kinetics("mvit_b_32x3", 32, 3, drop_path=0.2)


def mvit_b_64x3_k400() -> ClassifyRecipe:
    """B on Kinetics-400, 64 frames x 3, from the 32 x 3 model (`--train.init`): 81.2 top-1.

    The rate of these 5 epochs was not published; this is a tenth of the one from random weights.
    """
    base = _kinetics("mvit_b_64x3", 64, 3, drop_path=0.2)
    return base.replace(
        optim=base.optim.replace(lr=1.6e-4),
        schedule=base.schedule.replace(epochs=5, warmup_epochs=0),
        evaluation=EvalSection(num_clips=3, num_crops=3),
    )


def mvit_b_16x4_k600() -> ClassifyRecipe:
    """B on Kinetics-600, 16 frames x 4: 82.1 top-1."""
    return _kinetics("mvit_b_16x4", 16, 4, drop_path=0.2)


def mvit_b24_32x3_k600() -> ClassifyRecipe:
    """24 blocks on Kinetics-600, 32 frames x 3: 84.1 top-1."""
    return _kinetics("mvit_b24_32x3", 32, 3, drop_path=0.3)


def _ssv2(name: str, frames: int, stride: int) -> ClassifyRecipe:
    """Something-Something v2 from Kinetics (`--train.init`): segments, no flip (left and right are classes).

    Epochs and drop path are not certain for MViT; they are MViTv2's.
    """
    base = _kinetics(name, frames, stride, drop_path=0.4)
    clip = base.data.clip.replace(sampling="segment", repeats=1, crop="random_short_side", short_side_inverse=True)
    return base.replace(
        data=base.data.replace(clip=clip, augment=base.data.augment.replace(flip=0.0)),
        optim=OptimSection(name="sgd", lr=0.02, lr_batch=512, weight_decay=1e-4, nesterov=True),
        schedule=ScheduleSection(epochs=100, batch_size=512, warmup_epochs=3, start_lr=8e-4, end_lr=8e-6),
        evaluation=EvalSection(num_clips=1, num_crops=3),
    )


def mvit_b_16x4_ssv2() -> ClassifyRecipe:
    """B on Something-Something v2 from Kinetics (`--train.init`), 16 frames: 64.7 top-1 from K400, 66.2 from K600."""
    return _ssv2("mvit_b_16x4", 16, 4)


def mvit_b_32x3_ssv2() -> ClassifyRecipe:
    """B on Something-Something v2 from Kinetics (`--train.init`), 32 frames: 67.1 top-1 from K400, 67.8 from K600."""
    return _ssv2("mvit_b_32x3", 32, 3)


def mvit_b_16_imagenet() -> ClassifyRecipe:
    """The image model of 16 blocks on ImageNet-1K, by the recipe of DeiT (Touvron et al. 2021): 83.0 top-1."""
    clip = ClipSection(num_frames=1, frame_stride=1, size=224, crop_area=(0.08, 1.0))
    augment = AugmentSection(rand_augment="m9-mstd0.5-n6", erasing=0.25, mixup=0.8, cutmix=1.0, label_smoothing=0.1)
    return ClassifyRecipe(
        model=ClassifierSection(name="mvit_b_16_image", drop_path=0.1),
        data=DataSection(clip=clip, augment=augment),
        optim=OptimSection(lr=2e-3, lr_batch=2048, weight_decay=0.05, clip_norm=1.0),
        schedule=ScheduleSection(epochs=300, batch_size=2048, warmup_epochs=70, start_lr=8e-8, end_lr=8e-6),
        train=TrainSection(checkpoint_every=1000),
    )


def mvit_tiny_classifier() -> ClassifyRecipe:
    """The tiny classifier on the synthetic world from random weights: about 94 % after 2,500 steps.

    float32, because pooling by depthwise convolutions is slower in bfloat16 on a CPU.
    """
    base = tiny_classifier("mvit_tiny", lr=1e-3, epochs=20)
    return base.replace(train=base.train.replace(precision="float32"))


def mvit_b_16x4_ava() -> DetectRecipe:
    """B on AVA 2.2, 16 frames x 4: 24.5 mAP from Kinetics-400, 26.1 from Kinetics-600."""
    return ava_transformer("mvit_b_16x4_ava", 16, 4)


def mvit_b_64x3_ava() -> DetectRecipe:
    """B on AVA 2.2, 64 frames x 3: 27.3 mAP from Kinetics-400."""
    return ava_transformer("mvit_b_64x3_ava", 64, 3)


def mvit_b24_32x3_ava() -> DetectRecipe:
    """24 blocks on AVA 2.2, 32 frames x 3: 28.7 mAP from Kinetics-600."""
    return ava_transformer("mvit_b24_32x3_ava", 32, 3)
