"""Persistent contrastive learning (Feichtenhofer et al. 2021): one network, its slow copy, and what they remember.

B videos, C colours, T frames, H height, W width, D channels of the pooled features, E width of an embedding, Q keys of the
queue, M videos of the memory, K prototypes.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from vidmodels.backbones.resnet3d import ResNet3d
from vidmodels.core.errors import ConfigError
from vidmodels.heads.contrastive import ContrastiveMLP

Framework = Literal["moco", "byol", "simclr", "swav"]


@dataclass(frozen=True)
class ContrastiveConfig:
    """Projection, prediction and memories.

    layers, hidden, norm, dim: of the projection, `dim` its output. predictor_layers: of the prediction, 0 for none.
    queue: keys that MoCo keeps; prototypes: of SwAV; memory: videos whose embeddings are kept for nearest neighbours.
    """

    framework: Framework = "moco"
    layers: int = 3
    hidden: int = 2048
    norm: bool = False
    dim: int = 128
    predictor_layers: int = 0
    queue: int = 65536
    prototypes: int = 1000
    memory: int = 0

    def __post_init__(self) -> None:
        if self.framework not in get_args(Framework):
            raise ConfigError(f"unknown framework {self.framework!r}: choose one of {', '.join(get_args(Framework))}")

    @property
    def has_momentum(self) -> bool:
        """Whether keys come from a slow copy of the network."""
        return self.framework in ("moco", "byol")


class Embedding(NamedTuple):
    """pooled: [B, D]; projection: [B, E]; prediction: [B, E], the projection where there is no predictor."""

    pooled: Tensor
    projection: Tensor
    prediction: Tensor


class Embedder(nn.Module):
    """Backbone, global average, projection and prediction."""

    def __init__(self, backbone: ResNet3d, config: ContrastiveConfig) -> None:
        super().__init__()
        self.backbone = backbone
        dim = sum(backbone.dims)
        self.projection = ContrastiveMLP(dim, config.hidden, config.dim, config.layers, config.norm)
        has = config.predictor_layers > 0
        self.prediction = (
            ContrastiveMLP(config.dim, config.hidden, config.dim, config.predictor_layers, config.norm) if has else None
        )

    def forward(self, clips: Tensor) -> Embedding:
        """Embeddings of clips [B, C, T, H, W], none of unit length."""
        pooled = self.pool(clips)
        projection = self.projection(pooled)
        return Embedding(pooled, projection, projection if self.prediction is None else self.prediction(projection))

    def pool(self, clips: Tensor) -> Tensor:
        """[B, D], whatever the size of the clips."""
        return torch.cat([part.mean((2, 3, 4)) for part in self.backbone.maps(clips)], dim=1)


class ContrastiveModel(nn.Module):
    """The network that learns, and for MoCo and BYOL the slow copy that gives keys.

    The buffers travel with the weights: `queue` [Q, E] and where it is written next (`pointer`), `iteration`, the number of
    updates of the slow copy, and `memory` [M, E], the last embedding of each video.
    """

    no_decay: frozenset[str] = frozenset()

    def __init__(self, backbone: ResNet3d, config: ContrastiveConfig) -> None:
        super().__init__()
        self.config = config
        self.online = Embedder(backbone, config)
        self.momentum = copy.deepcopy(self.online).requires_grad_(False) if config.has_momentum else None
        self.feature_dim, self.projection_dim = sum(backbone.dims), config.dim
        self.memory_format = backbone.memory_format
        spread = (config.dim / 3) ** -0.5
        self.prototypes = nn.Linear(config.dim, config.prototypes, bias=False) if config.framework == "swav" else None
        if config.framework == "moco":
            self.register_buffer("queue", torch.empty(config.queue, config.dim).uniform_(-spread, spread))
            self.register_buffer("pointer", torch.zeros(1, dtype=torch.long))
        if config.has_momentum:
            self.register_buffer("iteration", torch.zeros(1, dtype=torch.long))
        if config.memory:
            self.register_buffer("memory", torch.empty(config.memory, config.dim).uniform_(-spread, spread))

    queue: Tensor
    pointer: Tensor
    iteration: Tensor
    memory: Tensor

    def forward(self, clips: Tensor) -> Embedding:
        """Of clips [B, C, T, H, W], by the network that learns; projection and prediction of unit length."""
        pooled, projection, prediction = self.online(clips)
        projection = functional.normalize(projection.float(), dim=1)
        alone = self.online.prediction is None
        return Embedding(pooled, projection, projection if alone else functional.normalize(prediction.float(), dim=1))

    def scores(self, projection: Tensor) -> Tensor:
        """Of the prototypes, [B, K]."""
        assert self.prototypes is not None
        return self.prototypes(projection)

    @torch.no_grad()
    def keys(self, clips: Tensor) -> Tensor:
        """Projections of unit length [B, E] by the slow copy (BYOL's keys are projections too, not predictions)."""
        assert self.momentum is not None
        return functional.normalize(self.momentum.projection(self.momentum.pool(clips)).float(), dim=1)

    @torch.no_grad()
    def follow(self, momentum: float) -> None:
        """theta_m <- m theta_m + (1 - m) theta, once a step and before any key; the first time it is a copy.

        Parameters only: statistics of batch norms are the slow copy's own.
        """
        assert self.momentum is not None
        share = 0.0 if self.iteration.item() == 0 else momentum
        slow: list[Tensor] = list(self.momentum.parameters())
        fast: list[Tensor] = list(self.online.parameters())
        torch._foreach_lerp_(slow, fast, 1 - share)
        self.iteration += 1

    @torch.no_grad()
    def enqueue(self, keys: Tensor) -> None:
        """Write keys [n, E] over the oldest of the queue. Raises ConfigError for a queue that they do not divide."""
        size, count = len(self.queue), len(keys)
        if size % count:
            raise ConfigError(f"the queue of {size} keys is not a multiple of the {count} that are written at once")
        start = int(self.pointer.item())
        self.queue[start : start + count] = keys.to(self.queue.dtype)
        self.pointer.fill_((start + count) % size)

    @torch.no_grad()
    def normalise_prototypes(self) -> None:
        """Rows of unit length, in place, before each step of SwAV."""
        assert self.prototypes is not None
        self.prototypes.weight.copy_(functional.normalize(self.prototypes.weight, dim=1))

    @torch.no_grad()
    def remember(self, projection: Tensor, rows: Tensor) -> None:
        """Keep embeddings [n, E] as those of videos `rows` int64 [n]; a row of -1 is left out."""
        kept = rows >= 0
        self.memory[rows[kept]] = projection[kept].to(self.memory.dtype)

    def features(self, clips: Tensor) -> Tensor:
        """Pooled embedding [N, D]."""
        return self.online.pool(clips)

    def projections(self, clips: Tensor) -> Tensor:
        """What the loss compares, of unit length [N, E]."""
        return self(clips).projection

    def blocks(self) -> list[nn.Module]:
        """Blocks of the network that learns, for checkpointing of activations, compilation and sharding."""
        return self.online.backbone.blocks()

    def layer_id(self, name: str) -> int:
        """Layer of a parameter: the backbone's, everything else above them."""
        prefix = "online.backbone."
        backbone = self.online.backbone
        return backbone.layer_id(name.removeprefix(prefix)) if name.startswith(prefix) else backbone.num_layers
