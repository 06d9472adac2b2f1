"""Heads that name the class of a clip from the feature maps of its pathways.

N clips, C channels, T frames, H height, W width, P positions of a pooled map, D features, K classes (of all label sets).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from vidmodels.core.label_sets import NumClasses, total_of
from vidmodels.heads.projection import label_sets_of, linear_layers, make_projection, split_sets

Activation = Literal["softmax", "sigmoid"]
Average = Literal["scores", "logits"]


class ClipHead(nn.Module):
    """Average pooling, dropout and a linear layer (SlowFast, section 3.5), fully convolutional on crops larger than trained.

    dims: channels of each pathway's map; window: side of the pooling window in cells of the map, the training crop / 32
    (None: the whole map). A larger map leaves P > 1 positions: `average` says whether the mean is taken over their scores
    (PySlowFast) or their logits (PyTorchVideo). A smaller one is pooled whole; time always is.
    """

    def __init__(
        self,
        dims: Sequence[int],
        num_classes: NumClasses,
        window: int | None = None,
        dropout: float = 0.0,
        activation: Activation = "softmax",
        average: Average = "scores",
    ) -> None:
        super().__init__()
        self.num_classes, self.label_sets = total_of(num_classes), label_sets_of(num_classes)
        self.window, self.activation, self.average = window, activation, average
        self.dropout = nn.Dropout(dropout)
        self.projection = make_projection(sum(dims), num_classes)
        init_classifier(self.projection)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Logits [N, K] of maps [N, C, T, H, W], one for each pathway."""
        logits = self.projection(self.dropout(self.positions(maps)))
        return mean_over_positions(logits, self.activation, self.average, self.training, self.label_sets)

    def positions(self, maps: Sequence[Tensor]) -> Tensor:
        """What the linear layer takes, at each position: [N, P, D]."""
        pooled = [pool_windows(each, self.window) for each in maps]
        return torch.cat(pooled, dim=1).flatten(2).transpose(1, 2)

    def pool(self, maps: Sequence[Tensor]) -> Tensor:
        """Embedding [N, D]: the mean over all positions."""
        return self.positions(maps).mean(1)


def pool_windows(x: Tensor, window: int | None) -> Tensor:
    """Means of a map [N, C, T, H, W] over all time and windows of `window` x `window` cells at stride 1: [N, C, H', W']."""
    height, width = x.shape[3:]
    if window is None or (window >= height and window >= width):
        return x.mean((2, 3, 4)).unsqueeze(-1).unsqueeze(-1)
    return functional.avg_pool2d(x.mean(2), (min(window, height), min(window, width)), stride=1)


def mean_over_positions(
    logits: Tensor, activation: Activation, average: Average, training: bool, label_sets: Mapping[str, int] | None = None
) -> Tensor:
    """One answer [N, K] from logits [N, P, K] of P positions; label_sets: parts of K that have a softmax of their own.

    Averaging scores is not averaging logits: for "scores" the answer's activation is the mean of the positions'
    activations, so that a caller may apply the activation as always. While training logits are averaged.
    """
    if logits.shape[1] == 1:
        return logits.squeeze(1)
    if average == "logits" or training:
        return logits.mean(1)
    if activation == "softmax":
        logs = torch.cat([part.log_softmax(-1) for part in split_sets(logits, label_sets)], dim=-1)
        return logs.logsumexp(1) - math.log(logits.shape[1])
    return torch.logit(logits.sigmoid().mean(1), eps=1e-6)


def init_classifier(projection: nn.Module) -> None:
    """N(0, 0.01) weights and zero bias, the start of all ConvNet classifiers of this family (SlowFast, section 4)."""
    for layer in linear_layers(projection):
        nn.init.normal_(layer.weight, std=0.01)
        nn.init.zeros_(layer.bias)
