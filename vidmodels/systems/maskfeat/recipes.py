"""The published recipes of MaskFeat (paper, appendix; files of PySlowFast), and those for laptops.

A batch is counted in videos; learning rates hold for a number of clips (videos x repeats), `optim.lr_batch`.
"""

from __future__ import annotations

from vidmodels.core.recipe import (
    WHOLE_VIDEO,
    AugmentSection,
    ClassifierSection,
    ClassifyRecipe,
    ClipSection,
    DataSection,
    DetectRecipe,
    EvalSection,
    FeatureModelSection,
    FeatureRecipe,
    OptimSection,
    ScheduleSection,
    TrainSection,
    ava_transformer,
    tiny_classifier,
)

_MIXED = AugmentSection(rand_augment="m7-mstd0.5-inc1", erasing=0.25, mixup=0.8, cutmix=1.0, label_smoothing=0.1)


def _video(size: str, epochs: float) -> FeatureRecipe:
    """The files: base rate 1e-4 for a machine of 32 clips. Colours are left alone: changing them harms the histograms."""
    return FeatureRecipe(
        model=FeatureModelSection(name=f"maskfeat_mvit_{size}_pretrain"),
        data=DataSection(clip=ClipSection(num_frames=16, frame_stride=4, fps=30, size=224, crop_area=(0.5, 1.0))),
        optim=OptimSection(lr=8e-4, lr_batch=256, weight_decay=0.05, clip_norm=0.02),
        schedule=ScheduleSection(epochs=epochs, batch_size=256, warmup_epochs=10, start_lr=1e-6, end_lr=1e-6),
        train=TrainSection(checkpoint_every=1000),
    )


def maskfeat_mvit_s_k400() -> FeatureRecipe:
    """MViT-S on Kinetics-400, 300 epochs: 82.2 top-1 after fine-tuning."""
    return _video("s", 300)


def maskfeat_mvit_l_k400() -> FeatureRecipe:
    """MViT-L on Kinetics-400, 300 epochs."""
    return _video("l", 300)


def maskfeat_mvit_l_k400_long() -> FeatureRecipe:
    """MViT-L on Kinetics-400, 800 epochs: the strongest."""
    return _video("l", 800)


def _image(size: str) -> FeatureRecipe:
    """ImageNet-1K, 1600 epochs as for the published models (the files say 300)."""
    return FeatureRecipe(
        model=FeatureModelSection(name=f"maskfeat_vit_{size}_pretrain"),
        data=DataSection(clip=ClipSection(num_frames=1, frame_stride=1, size=224, crop_area=(0.5, 1.0))),
        optim=OptimSection(lr=2e-4, lr_batch=256, weight_decay=0.05, clip_norm=0.02),
        schedule=ScheduleSection(epochs=1600, batch_size=2048, warmup_epochs=30, start_lr=1e-6, end_lr=1e-6),
        train=TrainSection(checkpoint_every=1000),
    )


def maskfeat_vit_b_imagenet() -> FeatureRecipe:
    """ViT-B on ImageNet-1K: 84.0 top-1 after fine-tuning."""
    return _image("b")


def maskfeat_vit_l_imagenet() -> FeatureRecipe:
    """ViT-L on ImageNet-1K: 85.7 top-1 after fine-tuning."""
    return _image("l")


def _finetune(
    name: str, lr: float, lr_batch: int, layer_decay: float, drop_path: float, schedule: ScheduleSection
) -> ClassifyRecipe:
    clip = ClipSection(num_frames=16, frame_stride=4, fps=30, size=224, repeats=2, crop_area=(0.08, 1.0))
    return ClassifyRecipe(
        model=ClassifierSection(name=name, drop_path=drop_path),
        data=DataSection(clip=clip, augment=_MIXED),
        optim=OptimSection(lr=lr, lr_batch=lr_batch, weight_decay=0.05, layer_decay=layer_decay, clip_norm=5.0),
        schedule=schedule,
        train=TrainSection(checkpoint_every=1000),
        evaluation=EvalSection(num_clips=10),
    )


def maskfeat_mvit_s_k400_finetune() -> ClassifyRecipe:
    """MViT-S on Kinetics-400 from a pre-trained encoder (`--init`): 82.2 top-1 (from random weights 81.1)."""
    schedule = ScheduleSection(epochs=100, batch_size=256, warmup_epochs=20, start_lr=1e-6, end_lr=1e-6)
    return _finetune("maskfeat_mvit_s", 6e-4, 32, 0.75, 0.1, schedule)


def maskfeat_mvit_l_k400_finetune() -> ClassifyRecipe:
    """MViT-L on Kinetics-400 from a pre-trained encoder (`--init`): 84.3 top-1.

    Its rate is not certain in the files; it is that of S.
    """
    schedule = ScheduleSection(epochs=75, batch_size=256, warmup_epochs=5, start_lr=1e-8, end_lr=1e-5)
    return _finetune("maskfeat_mvit_l", 6e-4, 32, 0.875, 0.2, schedule)


def _finetune_image(size: str, lr: float, lr_batch: int, layer_decay: float, epochs: float, warmup: float) -> ClassifyRecipe:
    schedule = ScheduleSection(epochs=epochs, batch_size=1024, warmup_epochs=warmup, start_lr=1e-6, end_lr=1e-6)
    base = _finetune(f"maskfeat_vit_{size}", lr, lr_batch, layer_decay, 0.1, schedule)
    clip = ClipSection(num_frames=1, frame_stride=1, size=224, crop_area=(0.08, 1.0))
    augment = _MIXED.replace(rand_augment="m9-mstd0.5-inc1")
    return base.replace(data=base.data.replace(clip=clip, augment=augment), evaluation=EvalSection())


def maskfeat_vit_b_imagenet_finetune() -> ClassifyRecipe:
    """ViT-B on ImageNet-1K from a pre-trained encoder (`--init`): 84.0 top-1."""
    return _finetune_image("b", 2e-3, 512, 0.65, epochs=100, warmup=20)


def maskfeat_vit_l_imagenet_finetune() -> ClassifyRecipe:
    """ViT-L on ImageNet-1K from a pre-trained encoder (`--init`): 85.7 top-1."""
    return _finetune_image("l", 1e-3, 256, 0.75, epochs=50, warmup=5)


def maskfeat_mvit_s_ava() -> DetectRecipe:
    """MViT-S on AVA 2.2 after fine-tuning on Kinetics (`--init`)."""
    return ava_transformer("maskfeat_mvit_s_ava", 16, 4)


def maskfeat_mvit_l_ava() -> DetectRecipe:
    """MViT-L on AVA 2.2 after fine-tuning on Kinetics (`--init`); the paper's 39.8 mAP is of a larger input."""
    return ava_transformer("maskfeat_mvit_l_ava", 16, 4)


def maskfeat_tiny() -> FeatureRecipe:
    """The default: tiny masked feature prediction on the synthetic world, minutes on two cores."""
    return FeatureRecipe(
        data=DataSection(clip=WHOLE_VIDEO, augment=AugmentSection(flip=0.0)),
        optim=OptimSection(lr=2e-3, weight_decay=0.05, clip_norm=1.0),
        schedule=ScheduleSection(epochs=8, batch_size=16, warmup_epochs=0.8),
        train=TrainSection(checkpoint_every=500, precision="float32"),
    )


def maskfeat_tiny_classifier() -> ClassifyRecipe:
    """A tiny classifier on the synthetic world, from random weights or (`--init`) pre-trained ones."""
    base = tiny_classifier("maskfeat_tiny", lr=1e-3, epochs=20)
    return base.replace(train=base.train.replace(precision="float32"))


def maskfeat_tiny_probe() -> ClassifyRecipe:
    """A linear probe of the tiny encoder (`--init`): everything but the head is frozen."""
    base = maskfeat_tiny_classifier()
    return base.replace(optim=base.optim.replace(lr=1e-2, weight_decay=0.0), train=base.train.replace(freeze=("backbone.*",)))
