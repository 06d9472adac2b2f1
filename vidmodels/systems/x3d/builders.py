"""The functions that the card names: settings as plain values to models of the X3D family."""

from __future__ import annotations

from typing import Any

from torch import nn

from vidmodels.backbones.x3d import X3D, X3DConfig
from vidmodels.core.errors import ConfigError
from vidmodels.core.label_sets import NumClasses
from vidmodels.heads.classifier import ClipClassifier
from vidmodels.heads.clip import Activation, Average
from vidmodels.heads.roi_action import ActionDetector
from vidmodels.heads.x3d import X3DActionHead, X3DHead

DETECTION = {"strides": (2, 2, 2, 1), "dilations": (1, 1, 1, 2)}  # res5 keeps the grid at 1/16 (SlowFast, section 5)


def x3d(
    num_frames: int = 16,
    size: int | None = 224,
    num_classes: NumClasses = 400,
    head_dim: int = 2048,
    dropout: float = 0.5,
    activation: Activation | None = None,
    average: Average = "scores",
    lin_norm: bool = False,
    detection: bool = False,
    **network: Any,
) -> nn.Module:
    """X3D, a classifier or (detection) a detector of actions.

    size: side of the training crop in pixels, from which the classifier's pooling window follows (None: it pools all);
    head_dim: width of the features; activation: by default softmax for a classifier, sigmoid for a detector; lin_norm: see
    X3DHead. network: fields of X3DConfig. The number of frames changes no weight. Raises ConfigError for
    settings that cannot be.
    """
    if num_frames < 1:
        raise ConfigError(f"num_frames {num_frames} must be 1 or more")
    if detection and lin_norm:
        raise ConfigError("lin_norm is not offered with detection: leave one of them out")
    backbone = X3D(X3DConfig(**{**(DETECTION if detection else {}), **network}))
    dim, inner, stride = backbone.dims[0], backbone.inner, backbone.config.stride
    if detection:
        action = X3DActionHead(dim, inner, num_classes, head_dim, stride, dropout, activation or "sigmoid")
        return ActionDetector(backbone, action)
    window = None if size is None else -(-size // stride)
    head = X3DHead(dim, inner, num_classes, head_dim, window, dropout, activation or "softmax", average, lin_norm)
    return ClipClassifier(backbone, head)
