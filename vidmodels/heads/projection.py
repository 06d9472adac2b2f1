"""The last layer of heads: features to the logits of one set of classes, or of several at once.

D features, K classes of all sets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from vidmodels.core.errors import ConfigError
from vidmodels.core.label_sets import NumClasses, check_set_name


class Projections(nn.ModuleDict):
    """A linear layer for each label set over the same features; all logits in one row, sets in the order of their names."""

    def __init__(self, in_features: int, sizes: Mapping[str, int]) -> None:
        super().__init__()
        self.in_features = in_features
        for name in sorted(sizes):
            check_set_name(name)
            if hasattr(self, name):
                raise ConfigError(f"a label set cannot be called {name!r}, a word of PyTorch's modules: choose another name")
            self[name] = nn.Linear(in_features, sizes[name])

    def forward(self, features: Tensor) -> Tensor:
        """Logits [..., K] of features [..., D]."""
        return torch.cat([layer(features) for layer in self.values()], dim=-1)


def make_projection(in_features: int, num_classes: NumClasses) -> Any:
    """A linear layer, or Projections for several label sets; both have `in_features`. Raises ConfigError."""
    sizes = {"": num_classes} if isinstance(num_classes, int) else num_classes
    if not sizes or min(sizes.values()) < 1:
        raise ConfigError(f"num_classes {num_classes!r} leaves nothing to tell apart: give each label set one class or more")
    return nn.Linear(in_features, num_classes) if isinstance(num_classes, int) else Projections(in_features, num_classes)


def linear_layers(projection: nn.Module) -> tuple[nn.Linear, ...]:
    """The layers of what `make_projection` made."""
    return tuple(layer for layer in projection.modules() if isinstance(layer, nn.Linear))


def label_sets_of(num_classes: NumClasses) -> dict[str, int] | None:
    """The classes of each label set in the order of the logits; None where there is one set without a name."""
    return None if isinstance(num_classes, int) else {name: num_classes[name] for name in sorted(num_classes)}


def split_sets(logits: Tensor, label_sets: Mapping[str, int] | None) -> Sequence[Tensor]:
    """The logits [..., K] of each label set, or all of them where there is one."""
    return (logits,) if label_sets is None else logits.split(list(label_sets.values()), dim=-1)
