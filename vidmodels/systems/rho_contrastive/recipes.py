"""The published recipes of persistent contrastive learning (paper, appendix; files of PySlowFast), 200 epochs of Kinetics-400.

rho is the number of clips of a video, `data.clip.repeats`. A batch is counted in videos: 512 on 64 GPUs.
"""

from __future__ import annotations

from vidmodels.core.recipe import (
    AugmentSection,
    ClipSection,
    ContrastiveModelSection,
    ContrastiveRecipe,
    ContrastiveTaskSection,
    DataSection,
    OptimSection,
    ScheduleSection,
    TrainSection,
)

VIDEOS = 512
MACHINES = 8  # of 8 GPUs with 8 videos each


def _pretrain(framework: str, rho: int, lr: float, frames: int = 8, stride: int = 8) -> ContrastiveRecipe:
    """lr: of the file, for one machine. The warm-up begins at 0.001 a machine and has no restart."""
    moco = framework == "moco"
    end = "" if frames == 8 else f"_{frames}x{stride}"
    clip = ClipSection(
        num_frames=frames, frame_stride=stride, fps=30, size=224, repeats=rho, repeat_times="sorted", crop_area=(0.2, 0.766)
    )
    momentum = {"moco": 0.994, "byol": 0.996}.get(framework, 0.994)
    return ContrastiveRecipe(
        model=ContrastiveModelSection(name=f"rho_{framework}_slow_r50{end}"),
        task=ContrastiveTaskSection(temperature=0.5 if framework == "byol" else 0.1, momentum=momentum),
        data=DataSection(clip=clip, augment=AugmentSection(jitter=(0.6, 0.6, 0.6, 0.15), jitter_p=0.8, grey=0.2, blur=0.5)),
        optim=OptimSection(
            name="sgd" if moco else "lars", nesterov=moco, lr=lr * MACHINES, lr_batch=VIDEOS * rho, betas=(0.9, 0.999),
            weight_decay=1e-4 if moco else 1e-6,
        ),
        schedule=ScheduleSection(epochs=200, batch_size=VIDEOS, warmup_epochs=35, start_lr=0.001 * MACHINES),
        train=TrainSection(sync_bn=not moco, checkpoint_every=1000, precision="auto" if moco else "float32"),
    )  # fmt: skip


def rho_moco_rho2_k400() -> ContrastiveRecipe:
    """MoCo, two clips: 66.6 top-1 of a linear probe."""
    return _pretrain("moco", 2, 0.05)


def rho_moco_rho4_k400() -> ContrastiveRecipe:
    """MoCo, four clips: 71.0 top-1 of a linear probe."""
    return _pretrain("moco", 4, 0.1)


def rho_byol_rho2_k400() -> ContrastiveRecipe:
    """BYOL, two clips: 67.4 top-1 of a linear probe."""
    return _pretrain("byol", 2, 0.6)


def rho_byol_rho4_k400() -> ContrastiveRecipe:
    """BYOL, four clips: 70.1 top-1 of a linear probe."""
    return _pretrain("byol", 4, 1.2)


def rho_byol_rho4_k400_16x4() -> ContrastiveRecipe:
    """BYOL, four clips of 16 x 4 frames: 71.1 top-1 of a linear probe."""
    return _pretrain("byol", 4, 1.2, 16, 4)


def rho_simclr_rho2_k400() -> ContrastiveRecipe:
    """SimCLR, two clips: 61.5 top-1 of a linear probe."""
    return _pretrain("simclr", 2, 0.6)


def rho_swav_rho2_k400() -> ContrastiveRecipe:
    """SwAV, two clips: 62.6 top-1 of a linear probe."""
    return _pretrain("swav", 2, 0.6)


def _tiny(framework: str) -> ContrastiveRecipe:
    """The synthetic world: two clips of eight frames of each video, 64 videos a step.

    Half of the clips are differences of their frames, because background and texture, which a video keeps, would otherwise be
    all that is learned; no clip is mirrored, because left and right are classes.
    """
    clip = ClipSection(num_frames=8, frame_stride=1, size=32, repeats=2, repeat_times="sorted", crop_area=(0.25, 1.0))
    augment = AugmentSection(flip=0.0, jitter=(0.8, 0.8, 0.8, 0.4), grey=0.2, difference=0.5)
    return ContrastiveRecipe(
        model=ContrastiveModelSection(name=f"rho_{framework}_tiny"),
        task=ContrastiveTaskSection(temperature=0.5 if framework == "byol" else 0.1, momentum=0.98),
        data=DataSection(clip=clip, augment=augment, val_fraction=0.1),
        optim=OptimSection(lr=2e-3, weight_decay=1e-4),
        schedule=ScheduleSection(epochs=24, batch_size=64, warmup_epochs=1.5),
        train=TrainSection(checkpoint_every=250, precision="float32"),
    )


def rho_moco_tiny() -> ContrastiveRecipe:
    """The default: MoCo on the synthetic world, minutes on two cores."""
    return _tiny("moco")


def rho_byol_tiny() -> ContrastiveRecipe:
    """BYOL on the synthetic world."""
    return _tiny("byol")


def rho_simclr_tiny() -> ContrastiveRecipe:
    """SimCLR on the synthetic world."""
    return _tiny("simclr")


def rho_swav_tiny() -> ContrastiveRecipe:
    """SwAV on the synthetic world."""
    return _tiny("swav")
