"""The head of transformers, one token or the mean of all to logits, and the models that it makes of a backbone of tokens.

N clips, L tokens, D channels, K classes.
"""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor, nn

from vidmodels.core.label_sets import NumClasses, total_of
from vidmodels.heads.classifier import ClipClassifier
from vidmodels.heads.clip import Activation
from vidmodels.heads.projection import label_sets_of, linear_layers, make_projection
from vidmodels.heads.roi_action import ActionDetector, RoiActionHead
from vidmodels.layers.transformer import LAYER_NORM_EPS


class TokenHead(nn.Module):
    """Class token or mean, dropout and a linear layer.

    pool: class (the first token) or mean (of all others). class_token: whether the sequences have one. norm: a LayerNorm
    after pooling, for backbones that leave out their last one. bias: start of the linear layer's bias.
    """

    def __init__(
        self,
        dim: int,
        num_classes: NumClasses,
        pool: Literal["class", "mean"] = "class",
        class_token: bool = True,
        dropout: float = 0.0,
        activation: Activation = "softmax",
        norm: bool = False,
        bias: float = 0.0,
    ) -> None:
        super().__init__()
        if pool == "class" and not class_token:
            raise ValueError("pool 'class' needs a class token: choose pool 'mean'")
        self.num_classes, self.label_sets = total_of(num_classes), label_sets_of(num_classes)
        self.activation = activation
        self.pool_mode, self.class_token = pool, class_token
        self.norm = nn.LayerNorm(dim, LAYER_NORM_EPS) if norm else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.projection = make_projection(dim, num_classes)
        for layer in linear_layers(self.projection):
            nn.init.trunc_normal_(layer.weight, std=0.02)
            nn.init.constant_(layer.bias, bias)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits [N, K] of tokens [N, L, D]."""
        return self.projection(self.dropout(self.pool(tokens)))

    def pool(self, tokens: Tensor) -> Tensor:
        """Embedding [N, D]."""
        if self.pool_mode == "class":
            return self.norm(tokens[:, 0])
        return self.norm(tokens[:, int(self.class_token) :].mean(1))


def with_head(
    backbone: Any,
    num_classes: NumClasses,
    dropout: float = 0.0,
    activation: Activation | None = None,
    detection: bool = False,
) -> nn.Module:
    """A classifier of clips or (detection) a detector of actions on a backbone of tokens.

    backbone: with `dim` and a `config` that says `class_token`, `final_norm`, `init`, and for a detector `stride`, the pixels
    of a cell of its map. The class token answers, or the mean of all tokens where there is none or the last norm is left to
    the head. activation: by default softmax for a classifier, sigmoid for a detector.
    """
    config = backbone.config
    if detection:
        head = RoiActionHead([backbone.dim], num_classes, config.stride, True, dropout, activation or "sigmoid")
        return ActionDetector(backbone, head)
    mean = not config.class_token or not config.final_norm
    return ClipClassifier(
        backbone,
        TokenHead(
            backbone.dim, num_classes, "mean" if mean else "class", config.class_token, dropout, activation or "softmax",
            norm=not config.final_norm, bias=0.02 if config.init == "video" else 0.0,
        ),
    )  # fmt: skip
