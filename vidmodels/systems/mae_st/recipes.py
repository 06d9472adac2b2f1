"""The published recipes of MAE-ST (paper, tables 4 and 5; files of both repositories), and those for laptops.

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
    EvalSection,
    MaskedModelSection,
    MaskedRecipe,
    MaskedTaskSection,
    OptimSection,
    ScheduleSection,
    TrainSection,
    tiny_classifier,
)

REPEATS = 4  # clips of each decoded video in pre-training


def _pretrain(size: str, passes: int, warmup: int, videos_per_node: int) -> MaskedRecipe:
    """The PySlowFast files: base rate 1e-4 for one node of `videos_per_node` videos; here a run on 16 nodes."""
    return MaskedRecipe(
        model=MaskedModelSection(name=f"mae_st_vit_{size}_pretrain"),
        task=MaskedTaskSection(mask_ratio=0.9),
        data=DataSection(clip=ClipSection(num_frames=16, frame_stride=4, size=224, repeats=REPEATS, crop_area=(0.5, 1.0))),
        optim=OptimSection(
            lr=1.6e-3, lr_batch=16 * videos_per_node * REPEATS, betas=(0.9, 0.95), weight_decay=0.05, clip_norm=0.02
        ),
        schedule=ScheduleSection(epochs=passes, batch_size=16 * videos_per_node, warmup_epochs=warmup, end_lr=1e-6),
        train=TrainSection(activation_checkpointing=size == "h", explode_factor=5.0, checkpoint_every=1000),
    )


def mae_st_vit_b_k400() -> MaskedRecipe:
    """ViT-B on Kinetics-400, 800 effective epochs."""
    return _pretrain("b", passes=200, warmup=60, videos_per_node=64)


def mae_st_vit_l_k400() -> MaskedRecipe:
    """ViT-L on Kinetics-400, 800 effective epochs: 200 passes of 4 clips."""
    return _pretrain("l", passes=200, warmup=30, videos_per_node=32)


def mae_st_vit_l_k600() -> MaskedRecipe:
    """ViT-L on Kinetics-600, 1600 effective epochs."""
    return _pretrain("l", passes=400, warmup=30, videos_per_node=32)


def mae_st_vit_l_k700() -> MaskedRecipe:
    """ViT-L on Kinetics-700, 1600 effective epochs."""
    return _pretrain("l", passes=400, warmup=30, videos_per_node=32)


def mae_st_vit_h_k400() -> MaskedRecipe:
    """ViT-H on Kinetics-400, 1600 effective epochs."""
    return _pretrain("h", passes=400, warmup=60, videos_per_node=32)


def mae_st_vit_h_k600() -> MaskedRecipe:
    """ViT-H on Kinetics-600, 1600 effective epochs."""
    return _pretrain("h", passes=400, warmup=60, videos_per_node=32)


def mae_st_vit_h_k700() -> MaskedRecipe:
    """ViT-H on Kinetics-700, 1600 effective epochs."""
    return _pretrain("h", passes=400, warmup=60, videos_per_node=32)


def mae_st_vit_l_k400_single_purpose() -> MaskedRecipe:
    """ViT-L by the single-purpose command: 100 passes, rate 1.6e-3 per 256 videos, 5 passes of warm-up."""
    base = _pretrain("l", passes=100, warmup=5, videos_per_node=32)
    return base.replace(optim=base.optim.replace(lr_batch=256 * REPEATS))


def _finetune(size: str, lr: float, layer_decay: float, drop_path: float, epochs: int, dropout: float = 0.3) -> ClassifyRecipe:
    """The PySlowFast files: `lr` for one node of 16 videos x 2 repeats."""
    clip = ClipSection(num_frames=16, frame_stride=4, size=224, repeats=2, crop_area=(0.08, 1.0))
    augment = AugmentSection(rand_augment="m7-mstd0.5", erasing=0.25, mixup=0.8, cutmix=1.0, label_smoothing=0.1)
    return ClassifyRecipe(
        model=ClassifierSection(name=f"mae_st_vit_{size}", drop_path=drop_path, dropout=dropout),
        data=DataSection(clip=clip, augment=augment),
        optim=OptimSection(lr=lr, lr_batch=32, weight_decay=0.05, layer_decay=layer_decay, clip_norm=5.0),
        schedule=ScheduleSection(epochs=epochs, batch_size=128, warmup_epochs=5, start_lr=1e-8, end_lr=1e-6),
        train=TrainSection(checkpoint_every=1000),
        evaluation=EvalSection(num_clips=7, num_crops=3),
    )


def mae_st_vit_b_k400_finetune() -> ClassifyRecipe:
    """ViT-B on Kinetics-400 from a pre-trained encoder (`--init`)."""
    return _finetune("b", lr=6e-4, layer_decay=0.65, drop_path=0.1, epochs=75)


def mae_st_vit_l_k400_finetune() -> ClassifyRecipe:
    """ViT-L on Kinetics-400 from a pre-trained encoder (`--init`): 84.8 top-1 after 1600 effective epochs."""
    return _finetune("l", lr=3e-4, layer_decay=0.75, drop_path=0.2, epochs=50)


def mae_st_vit_h_k400_finetune() -> ClassifyRecipe:
    """ViT-H on Kinetics-400 from a pre-trained encoder (`--init`): 85.1 top-1."""
    return _finetune("h", lr=3e-4, layer_decay=0.8, drop_path=0.2, epochs=75, dropout=0.5)


def mae_st_vit_l_k400_finetune_single_purpose() -> ClassifyRecipe:
    """ViT-L by the single-purpose command: rate 2.4e-3 per 256 clips."""
    base = mae_st_vit_l_k400_finetune()
    return base.replace(optim=base.optim.replace(lr=2.4e-3, lr_batch=256))


def mae_st_vit_l_ssv2_finetune() -> ClassifyRecipe:
    """ViT-L on Something-Something v2: segment sampling, no flip (left and right are classes), 1 clip x 3 crops.

    The number of epochs is not certain in the paper.
    """
    base = _finetune("l", lr=3e-4, layer_decay=0.75, drop_path=0.2, epochs=40)
    clip = base.data.clip.replace(sampling="segment")
    data = base.data.replace(clip=clip, augment=base.data.augment.replace(flip=0.0))
    return base.replace(data=data, evaluation=EvalSection(num_clips=1, num_crops=3))


def mae_st_vit_l_k400_scratch() -> ClassifyRecipe:
    """ViT-L on Kinetics-400 from random weights: 400 epochs, 71.4 top-1."""
    return _finetune("l", lr=3e-4, layer_decay=1.0, drop_path=0.2, epochs=400)


def mae_st_tiny() -> MaskedRecipe:
    """The default: a tiny masked autoencoder on the synthetic world, minutes on two cores.

    Whole time steps are masked, not random patches as on real video: here two neighbouring visible steps give a random
    patch away without any knowledge of motion, the only thing that tells this world's classes apart. Figures of both, and
    what is not shown yet: tests/behaviour/RESULTS.md. Small batches, because steps count here, not clips;
    plain pixels, because dark background patches blown up to unit variance would dominate the loss.
    """
    clip = WHOLE_VIDEO.replace(repeats=2)
    return MaskedRecipe(
        model=MaskedModelSection(name="mae_st_vit_tiny_pretrain"),
        task=MaskedTaskSection(mask_ratio=0.75, mask_sampling="frame", target="pixel"),
        data=DataSection(clip=clip, augment=AugmentSection(flip=0.0)),
        optim=OptimSection(lr=2e-3, betas=(0.9, 0.99), weight_decay=0.05, clip_norm=1.0),
        schedule=ScheduleSection(epochs=4, batch_size=4, warmup_epochs=0.4),
        train=TrainSection(checkpoint_every=500),
    )


def mae_st_tiny_long() -> MaskedRecipe:
    """The tiny masked autoencoder for a quarter of an hour: until its features tell motions apart.

    16 clips of as many videos a step: two maskings of one video teach less. tests/behaviour/RESULTS.md has what a linear
    probe and a few labels make of it, and after how many steps.
    """
    base = mae_st_tiny()
    return base.replace(
        data=base.data.replace(clip=WHOLE_VIDEO),
        optim=base.optim.replace(lr=3e-3),
        schedule=base.schedule.replace(epochs=40, batch_size=16, warmup_epochs=2.4),
    )


def mae_st_tiny_classifier() -> ClassifyRecipe:
    """A tiny classifier on the synthetic world from random weights."""
    return tiny_classifier("mae_st_vit_tiny", lr=1e-3, epochs=20)


def mae_st_tiny_8x4x4_classifier() -> ClassifyRecipe:
    """A tiny classifier whose patches are long in time and small in space: seven minutes from random weights.

    As many tokens as the other tiny models have, but each holds eight frames of four by four pixels, in which a linear layer
    sees motion; with two frames of eight by eight it takes attention to find it, and many more steps
    (tests/behaviour/RESULTS.md).
    """
    base = mae_st_tiny_classifier()
    return base.replace(
        model=base.model.replace(name="mae_st_vit_tiny_8x4x4"),
        schedule=base.schedule.replace(epochs=12, warmup_epochs=1.2),
    )


def mae_st_tiny_narrow_classifier() -> ClassifyRecipe:
    """A plain transformer at the multiply-adds of `mvit_tiny`, with patches of 2 x 8 x 8: the control."""
    base = mae_st_tiny_classifier()
    return base.replace(model=base.model.replace(name="mae_st_vit_tiny_narrow"))


def mae_st_tiny_8x4x4_narrow_classifier() -> ClassifyRecipe:
    """A plain transformer at the multiply-adds of `mvit_tiny`, with patches of 8 x 4 x 4."""
    base = mae_st_tiny_8x4x4_classifier()
    return base.replace(model=base.model.replace(name="mae_st_vit_tiny_8x4x4_narrow"))


def mae_st_tiny_probe() -> ClassifyRecipe:
    """A linear probe of the tiny encoder (`--init`): everything but the head is frozen."""
    base = mae_st_tiny_classifier()
    return base.replace(
        optim=base.optim.replace(lr=1e-2, weight_decay=0.0),
        train=base.train.replace(freeze=("encoder.*", "norm.*")),
    )
