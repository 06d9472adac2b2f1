"""The function that the card names: settings as plain values to models of MViTv2."""

from __future__ import annotations

from typing import Any

from torch import nn

from vidmodels.backbones.mvit import MViT, MViTConfig
from vidmodels.core.label_sets import NumClasses
from vidmodels.heads.clip import Activation
from vidmodels.heads.tokens import with_head

# what MViTv2 changes about MViT (section 4.1)
IMPROVED: dict[str, Any] = {
    "positions": "none", "relative_space": True, "relative_time": True, "residual": "grid", "growth": "attention",
    "pool_every_query": True,
}  # fmt: skip
# the model of images: no time, no class token, and the code that it comes from adds its query to every token
IMAGE: dict[str, Any] = {
    "num_frames": 1, "patch": (1, 7, 7), "patch_stride": (1, 4, 4), "patch_padding": (0, 3, 3), "kv_stride": (1, 4, 4),
    "pool_kernel": (1, 3, 3), "relative_time": False, "residual": "all", "class_token": False, "init": "image",
}  # fmt: skip


def mvitv2(
    num_classes: NumClasses = 400,
    dropout: float = 0.0,
    activation: Activation | None = None,
    detection: bool = False,
    image: bool = False,
    **fields: Any,
) -> nn.Module:
    """A classifier of clips, (image) of images, or (detection) a detector of actions.

    activation: by default softmax for a classifier, sigmoid for a detector. fields: of MViTConfig, in place of those of
    MViTv2-S. The class token answers, or the mean of all tokens in a model without one.
    """
    config = MViTConfig(**{**IMPROVED, **(IMAGE if image else {}), **fields})
    return with_head(MViT(config), num_classes, dropout, activation, detection)
