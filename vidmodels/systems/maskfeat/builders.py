"""The functions that the card names: settings as plain values to models of MaskFeat."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from vidmodels.backbones.mvit import MViT, MViTConfig
from vidmodels.core.label_sets import NumClasses
from vidmodels.heads.clip import Activation
from vidmodels.heads.projection import linear_layers
from vidmodels.heads.tokens import with_head
from vidmodels.losses.feature_targets import TargetKind, target_width
from vidmodels.systems.maskfeat.model import MaskedFeaturePredictor

# attention of MViTv2, but channels grow in the MLPs; the head has the last norm
VIDEO: dict[str, Any] = {
    "positions": "none", "relative_space": True, "relative_time": True, "residual": "grid", "growth": "mlp",
    "pool_every_query": True, "final_norm": False,
}  # fmt: skip
# a plain vision transformer of images
IMAGE: dict[str, Any] = {
    "num_frames": 1, "patch": (1, 16, 16), "patch_stride": (1, 16, 16), "patch_padding": (0, 0, 0), "stage_starts": (),
    "kv_stride": (1, 1, 1), "pool_kernel": None, "pool_unstrided": False, "positions": "joint", "final_norm": False,
}  # fmt: skip


def masked_feature_predictor(
    target: TargetKind = "hog",
    outputs: int | None = None,
    depths: tuple[int, ...] | None = None,
    mask_cell: int = 32,
    image: bool = False,
    **fields: Any,
) -> MaskedFeaturePredictor:
    """A model that predicts a target of masked cells (MaskFeat, section 3).

    target: what is predicted, which says how many values a token has; outputs: their number where a teacher gives them.
    depths: blocks after which it is predicted, the last by default. fields: of MViTConfig, in place of those of S. By default
    the last stage keeps its resolution, so that tokens have 16 pixels, as the published models do.
    """
    config = _config(image, {"q_strides": ((1, 2, 2), (1, 2, 2), (1, 1, 1)), **fields} if not image else fields)
    depths = tuple(depths) if depths else (config.depth - 1,)
    widths = tuple(target_width(target, config.stride_after(depth), outputs) for depth in depths)
    return MaskedFeaturePredictor(config, widths, depths, mask_cell)


def classifier(
    num_classes: NumClasses = 400,
    dropout: float = 0.0,
    activation: Activation | None = None,
    detection: bool = False,
    image: bool = False,
    head_scale: float = 0.001,
    **fields: Any,
) -> nn.Module:
    """A classifier of clips, (image) of images, or (detection) a detector of actions, to be fine-tuned: the mean of the
    tokens, a norm and a linear layer whose first weights are multiplied by `head_scale` (MaskFeat, appendix)."""
    model: Any = with_head(MViT(_config(image, fields)), num_classes, dropout, activation, detection)
    with torch.no_grad():
        for layer in linear_layers(model.head.projection):
            layer.weight.mul_(head_scale)
            layer.bias.mul_(head_scale)
    return model


def _config(image: bool, fields: dict[str, Any]) -> MViTConfig:
    return MViTConfig(**{**(IMAGE if image else VIDEO), **fields})
