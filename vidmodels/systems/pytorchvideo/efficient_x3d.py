"""EfficientX3D, PyTorchVideo's X3D for phones: the network of X3D with a head that pools the whole map."""

from __future__ import annotations

from torch import nn

from vidmodels.backbones.x3d import X3D, X3DConfig
from vidmodels.core.errors import ConfigError, did_you_mean
from vidmodels.core.label_sets import NumClasses
from vidmodels.heads.classifier import ClipClassifier
from vidmodels.heads.clip import Activation
from vidmodels.heads.x3d import X3DHead

EXPANSIONS = {"XS": 2.2, "S": 2.2, "M": 2.2, "L": 5.0}  # depth factors; XS, S and M differ in their clips only


def efficient_x3d(
    expansion: str = "XS",
    num_frames: int = 4,
    size: int = 160,
    num_classes: NumClasses = 400,
    dropout: float = 0.5,
    activation: Activation = "softmax",
    drop_path: float = 0.0,
) -> nn.Module:
    """A classifier. The number of frames and the size change no weight. Raises ConfigError for an unknown expansion.

    `vidmodels.inference.deploy.deploy` turns it into the form that runs fastest.
    """
    if expansion not in EXPANSIONS:
        hint = did_you_mean(expansion, EXPANSIONS)
        raise ConfigError(f"there is no expansion {expansion!r}{hint}: choose one of {', '.join(EXPANSIONS)}")
    if min(num_frames, size) < 1:
        raise ConfigError(f"num_frames {num_frames} and size {size} must be 1 or more")
    backbone = X3D(X3DConfig(depth_factor=EXPANSIONS[expansion], drop_path=drop_path))
    head = X3DHead(backbone.dims[0], backbone.inner, num_classes, dropout=dropout, activation=activation)
    return ClipClassifier(backbone, head)
