"""A backbone and a head as one model: clips to logits.

N clips, C colours, T frames, H height, W width, D features, K classes.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class ClipClassifier(nn.Module):
    """Any backbone with a head that takes what it gives.

    backbone: clips -> maps or tokens, with `blocks()`, `layer_id(name)`, `num_layers` and `no_decay`, and perhaps
    `memory_format`, the layout in which it is fastest; head: those -> logits [N, K], with `pool` (-> [N, D]),
    `projection`, `num_classes` (K), `label_sets` (None: one) and `activation`, softmax or sigmoid, that turns logits to scores.
    """

    backbone: Any
    head: Any

    def __init__(self, backbone: Any, head: Any) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head
        self.num_classes: int = head.num_classes
        self.label_sets: dict[str, int] | None = head.label_sets
        self.activation: str = head.activation
        self.feature_dim: int = head.projection.in_features
        self.memory_format: torch.memory_format = getattr(backbone, "memory_format", torch.contiguous_format)
        self.no_decay = frozenset(f"backbone.{pattern}" for pattern in backbone.no_decay)

    def forward(self, clips: Tensor) -> Tensor:
        """Logits [N, K] of clips [N, C, T, H, W]."""
        return self.head(self.backbone(clips))

    def features(self, clips: Tensor) -> Tensor:
        """Pooled embedding [N, D]: what the head's linear layer takes."""
        return self.head.pool(self.backbone(clips))

    def blocks(self) -> list[nn.Module]:
        """Blocks, for checkpointing of activations, compilation and sharding."""
        return self.backbone.blocks()

    def layer_id(self, name: str) -> int:
        """Layer of a parameter for layer-wise learning rates: the backbone's 0..num_layers - 1, the head above them."""
        if name.startswith("backbone."):
            return self.backbone.layer_id(name.removeprefix("backbone."))
        return self.backbone.num_layers
