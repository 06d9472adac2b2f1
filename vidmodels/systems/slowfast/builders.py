"""The functions that the card names: settings as plain values to models of the SlowFast family."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from vidmodels.backbones.resnet3d import NonLocalConfig, ResNet3d
from vidmodels.backbones.resnet3d_archs import ResNetOptions, resnet_config
from vidmodels.backbones.slowfast import SlowFast
from vidmodels.core.errors import ConfigError
from vidmodels.core.label_sets import NumClasses
from vidmodels.heads.classifier import ClipClassifier
from vidmodels.heads.clip import Activation, Average, ClipHead
from vidmodels.heads.roi_action import ActionDetector, RoiActionHead

DETECTION = {"strides": (1, 2, 2, 1), "dilations": (1, 1, 1, 2)}  # res5 keeps the grid at 1/16 (SlowFast, section 5)


@dataclass(frozen=True)
class HeadSettings:
    """What the heads of the family vary.

    size: side of the training crop in pixels, from which the classifier's pooling window follows (None: it pools all).
    activation: by default softmax for a classifier, sigmoid for a detector.
    """

    num_classes: NumClasses = 400
    size: int | None = 224
    dropout: float = 0.5
    activation: Activation | None = None
    average: Average = "scores"
    roi_aligned: bool = True


def slowfast(
    alpha: int = 4,
    beta_inv: int = 8,
    lateral_kernel: int = 7,
    lateral_ratio: int = 2,
    fast_temporal_blocks: Sequence[int] | None = None,
    detection: bool = False,
    num_frames: int = 32,
    **settings: Any,
) -> nn.Module:
    """SlowFast, a classifier or (detection) a detector of actions.

    alpha: Fast's frames for each of Slow; beta_inv: by which Fast's channels are fewer; fast_temporal_blocks: blocks of
    Fast's stages with a temporal kernel, by default all. settings: fields of HeadSettings and of ResNetOptions.
    """
    if num_frames % alpha:
        raise ConfigError(f"num_frames {num_frames} is not a multiple of alpha {alpha}, the Fast frames for each Slow one")
    options, head = _split(settings, detection)
    time = None if fast_temporal_blocks is None else tuple(fast_temporal_blocks)
    thin = replace(options, width_divisor=beta_inv, temporal_blocks=time, non_local=(NonLocalConfig(),) * 4)
    backbone = SlowFast(resnet_config("slow", options), resnet_config("fast", thin), alpha, lateral_kernel, lateral_ratio)
    return _with_head(backbone, head, detection)


def single_pathway(arch: str = "slow", detection: bool = False, num_frames: int = 8, **settings: Any) -> nn.Module:
    """C2D, I3D or Slow-only, a classifier or (detection) a detector of actions.

    settings: fields of HeadSettings and of ResNetOptions. The number of frames changes no weight.
    """
    options, head = _split(settings, detection)
    return _with_head(ResNet3d(resnet_config(arch, options)), head, detection)


def _split(settings: dict[str, Any], detection: bool) -> tuple[ResNetOptions, HeadSettings]:
    """Settings of the network and of the head; non-local blocks are given by `non_local_*`."""
    names = HeadSettings.__dataclass_fields__
    head = HeadSettings(**{key: value for key, value in settings.items() if key in names})
    rest = {key: value for key, value in settings.items() if key not in names}
    after = rest.pop("non_local_after", ((), (), (), ()))
    pools = rest.pop("non_local_pool", (1, 2, 2))
    each = pools if isinstance(pools[0], (list, tuple)) else (pools,) * 4
    affinity, group = rest.pop("non_local_affinity", "softmax"), rest.pop("non_local_group", 1)
    groups = group if isinstance(group, (list, tuple)) else (group,) * 4
    looks = tuple(NonLocalConfig(tuple(a), tuple(p), affinity, g) for a, p, g in zip(after, each, groups))
    changes = {**(DETECTION if detection else {}), **rest}
    return ResNetOptions(non_local=looks, **changes), head


def _with_head(backbone: ResNet3d | SlowFast, settings: HeadSettings, detection: bool) -> nn.Module:
    last = backbone.slow if isinstance(backbone, SlowFast) else backbone
    cell = last.config.stride
    if detection:
        activation = settings.activation or "sigmoid"
        head = RoiActionHead(backbone.dims, settings.num_classes, cell, settings.roi_aligned, settings.dropout, activation)
        return ActionDetector(backbone, head)
    window = None if settings.size is None else -(-settings.size // cell)
    activation = settings.activation or "softmax"
    clip = ClipHead(backbone.dims, settings.num_classes, window, settings.dropout, activation, settings.average)
    return ClipClassifier(backbone, clip)
