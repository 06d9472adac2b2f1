"""The functions that the card names: settings as plain values to contrastive models."""

from __future__ import annotations

from typing import Any

from vidmodels.backbones.resnet3d import ResNet3d
from vidmodels.backbones.resnet3d_archs import ResNetOptions, resnet_config
from vidmodels.systems.rho_contrastive.model import ContrastiveConfig, ContrastiveModel

_HEADS: dict[str, dict[str, Any]] = {
    "moco": {}, "simclr": {}, "swav": {"norm": True},
    "byol": {"norm": True, "layers": 2, "hidden": 4096, "dim": 256, "predictor_layers": 2},
}  # fmt: skip


def contrastive(
    framework: str = "moco", arch: str = "slow", num_frames: int = 8, size: int = 224, **settings: Any
) -> ContrastiveModel:
    """A residual network on clips (`arch`: Slow as published, or i3d, c2d) with the heads of a framework as published.

    settings: fields of ContrastiveConfig and of ResNetOptions. Neither the number of frames nor the size changes a weight.
    """
    names = ContrastiveConfig.__dataclass_fields__
    heads = {key: value for key, value in settings.items() if key in names}
    trunk = {key: value for key, value in settings.items() if key not in names}
    config = ContrastiveConfig(**{"framework": framework, **_HEADS.get(framework, {}), **heads})
    return ContrastiveModel(ResNet3d(resnet_config(arch, ResNetOptions(**{"identity_start": False, **trunk}))), config)
