"""The function that the card names: settings as plain values to models of MViT."""

from __future__ import annotations

from typing import Any

from torch import nn

from vidmodels.backbones.mvit import MViT, MViTConfig
from vidmodels.core.label_sets import NumClasses
from vidmodels.heads.clip import Activation
from vidmodels.heads.tokens import with_head

# the model of images: one frame, a joint table of positions (MViT, section 4.4)
IMAGE: dict[str, Any] = {
    "num_frames": 1, "patch": (1, 7, 7), "patch_stride": (1, 4, 4), "patch_padding": (0, 3, 3), "kv_stride": (1, 4, 4),
    "pool_kernel": (1, 3, 3), "positions": "joint",
}  # fmt: skip


def mvit(
    num_classes: NumClasses = 400,
    dropout: float = 0.0,
    activation: Activation | None = None,
    detection: bool = False,
    image: bool = False,
    **fields: Any,
) -> nn.Module:
    """A classifier of clips, (image) of images, or (detection) a detector of actions.

    activation: by default softmax for a classifier, sigmoid for a detector. fields: of MViTConfig, whose defaults are those
    of MViT-B.
    """
    config = MViTConfig(**{**(IMAGE if image else {}), **fields})
    return with_head(MViT(config), num_classes, dropout, activation, detection)
