"""The head that names what each given person does, and the detector that it makes of any backbone with maps.

N clips, C channels, T frames, H height, W width, R boxes, S side of a pooled box, D features, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import roi_align

from vidmodels.core.errors import ConfigError
from vidmodels.core.label_sets import NumClasses
from vidmodels.heads.clip import Activation, init_classifier


class RoiActionHead(nn.Module):
    """Mean over time, RoIAlign, maximum over the box, dropout, linear layer (SlowFast, section 5).

    dims: channels of each pathway's map; stride: pixels of a cell of the map (16 for ConvNets with a dilated res5, 32 for
    MViT); aligned: whether RoIAlign shifts by half a cell, as PyTorch-trained models have it, those from Caffe2 and
    PyTorchVideo not.
    """

    def __init__(
        self,
        dims: Sequence[int],
        num_classes: NumClasses,
        stride: int = 16,
        aligned: bool = True,
        dropout: float = 0.0,
        activation: Activation = "sigmoid",
        resolution: int = 7,
    ) -> None:
        super().__init__()
        if not isinstance(num_classes, int):
            raise ConfigError(f"a detector of actions has one set of classes, not {', '.join(num_classes)}: give their number")
        self.num_classes, self.activation = num_classes, activation
        self.stride, self.aligned, self.resolution = stride, aligned, resolution
        self.dropout = nn.Dropout(dropout)
        self.projection = nn.Linear(sum(dims), num_classes)
        init_classifier(self.projection)

    def forward(self, maps: Sequence[Tensor], boxes: Tensor) -> Tensor:
        """Logits [R, K] of boxes [R, 5], rows of (clip, x1, y1, x2, y2) in pixels of the clips; maps [N, C, T, H, W]."""
        return self.projection(self.dropout(self.pool(maps, boxes)))

    def pool(self, maps: Sequence[Tensor], boxes: Tensor) -> Tensor:
        """What the linear layer takes for each box: [R, D]."""
        return torch.cat([self._pool_box(each.mean(2), boxes) for each in maps], dim=1)

    def _pool_box(self, image: Tensor, boxes: Tensor) -> Tensor:
        # a sampling ratio of 0 takes as many samples of a cell as the box covers; half precision would move the boxes
        cells = roi_align(image.float(), boxes.float(), self.resolution, 1 / self.stride, 0, self.aligned)
        return functional.max_pool2d(cells, self.resolution).flatten(1)


class ActionDetector(nn.Module):
    """A backbone and a RoI head: clips and the boxes of people to logits of what each does.

    backbone: `maps(clips)` -> one map [N, C, T, H, W] per pathway, and what ClipClassifier asks for.
    """

    backbone: Any

    def __init__(self, backbone: Any, head: RoiActionHead) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head
        self.num_classes: int = head.num_classes
        self.activation: str = head.activation
        self.feature_dim: int = head.projection.in_features
        self.memory_format: torch.memory_format = getattr(backbone, "memory_format", torch.contiguous_format)
        self.no_decay = frozenset(f"backbone.{pattern}" for pattern in backbone.no_decay)

    def forward(self, clips: Tensor, boxes: Tensor) -> Tensor:
        """Logits [R, K] of boxes [R, 5], rows of (clip, x1, y1, x2, y2) in pixels of clips [N, C, T, H, W]."""
        return self.head(self.backbone.maps(clips), boxes)

    def features(self, clips: Tensor, boxes: Tensor) -> Tensor:
        """Embedding of each box [R, D]: what the head's linear layer takes."""
        return self.head.pool(self.backbone.maps(clips), boxes)

    def blocks(self) -> list[nn.Module]:
        """Blocks, for checkpointing of activations, compilation and sharding."""
        return self.backbone.blocks()

    def layer_id(self, name: str) -> int:
        """Layer of a parameter for layer-wise learning rates: the backbone's 0..num_layers - 1, the head above them."""
        if name.startswith("backbone."):
            return self.backbone.layer_id(name.removeprefix("backbone."))
        return self.backbone.num_layers
