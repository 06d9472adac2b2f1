"""A classifier of features that were computed before: several streams over time, each with gaps (PyTorchVideo's multi-stream).

N samples, L steps of a stream, C channels of its features, D channels inside, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from vidmodels.core.errors import ConfigError
from vidmodels.heads.clip import Activation, init_classifier
from vidmodels.layers.positions import sincos

Encoder = Literal["none", "lstm", "transformer"]
Pooling = Literal["mean", "max", "sum"]


@dataclass(frozen=True)
class StreamConfig:
    """One stream. features: channels that it comes with; dim: channels inside; encoder: what looks along time, with `depth`
    layers (the transformer with `num_heads` heads); pooling: over the steps that are there."""

    features: int
    dim: int = 256
    encoder: Encoder = "none"
    pooling: Pooling = "mean"
    depth: int = 1
    num_heads: int = 4
    dropout: float = 0.0


def masked_pool(x: Tensor, valid: Tensor, pooling: Pooling) -> Tensor:
    """Mean, maximum or sum [N, C] over the valid steps of x [N, L, C]; valid: bool [N, L]. Zeros where no step is."""
    there = valid.unsqueeze(-1)
    if pooling == "max":
        largest = x.masked_fill(~there, -torch.inf).amax(1)
        return torch.where(valid.any(1, keepdim=True), largest, 0)
    total = x.masked_fill(~there, 0).sum(1)
    return total if pooling == "sum" else total / there.sum(1).clamp(min=1)


class Stream(nn.Module):
    """Features of one stream to one vector; a learned vector stands for a stream that a sample lacks."""

    def __init__(self, config: StreamConfig) -> None:
        super().__init__()
        self.config = config
        dim = config.dim
        self.project = nn.Linear(config.features, dim)
        self.encoder: nn.Module | None = None
        if config.encoder == "lstm":
            self.encoder = nn.LSTM(dim, dim, config.depth, batch_first=True, dropout=config.dropout if config.depth > 1 else 0)
        elif config.encoder == "transformer":
            if dim % config.num_heads or dim % 2:
                raise ConfigError(f"dim {dim} of a stream must be even and a multiple of num_heads {config.num_heads}")
            layer = nn.TransformerEncoderLayer(
                dim, config.num_heads, 4 * dim, config.dropout, "gelu", batch_first=True, norm_first=True
            )
            self.encoder = nn.TransformerEncoder(layer, config.depth, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(dim)
        self.absent = nn.Parameter(torch.zeros(dim))

    def forward(self, features: Tensor, valid: Tensor | None = None) -> Tensor:
        """[N, D] of features [N, L, C]; valid: bool [N, L], which steps are there (all by default)."""
        if features.ndim != 3 or features.shape[2] != self.config.features:
            raise ConfigError(
                f"features of shape {tuple(features.shape)} do not fit a stream of [N, L, {self.config.features}]"
            )
        if valid is None:
            valid = torch.ones(features.shape[:2], dtype=torch.bool, device=features.device)
        elif valid.shape != features.shape[:2]:
            raise ConfigError(f"a mask of shape {tuple(valid.shape)} does not fit features of {tuple(features.shape)}")
        # what is not there may be anything, not finite even
        x = self.project(features.masked_fill(~valid.unsqueeze(-1), 0))
        pooled = self.norm(masked_pool(self._encode(x, valid), valid, self.config.pooling))
        return torch.where(valid.any(1, keepdim=True), pooled, self.absent)

    def _encode(self, x: Tensor, valid: Tensor) -> Tensor:
        if self.encoder is None:
            return x
        if isinstance(self.encoder, nn.LSTM):
            return self._run_lstm(self.encoder, x, valid)
        places = sincos(x.shape[1], x.shape[2]).to(x)
        # a row without any step would give no weights at all; its answer is not used
        hidden = ~valid & valid.any(1, keepdim=True)
        return self.encoder(x + places, src_key_padding_mask=hidden)

    def _run_lstm(self, lstm: nn.LSTM, x: Tensor, valid: Tensor) -> Tensor:
        """The network sees the valid steps one after the other, and its answers go back to their places."""
        order = valid.int().argsort(dim=1, descending=True, stable=True).unsqueeze(-1)
        lengths = valid.sum(1).clamp(min=1).cpu()
        packed = nn.utils.rnn.pack_padded_sequence(x.take_along_dim(order, 1), lengths, batch_first=True, enforce_sorted=False)
        out, _ = nn.utils.rnn.pad_packed_sequence(lstm(packed)[0], batch_first=True, total_length=x.shape[1])
        return torch.zeros_like(out).scatter(1, order.expand_as(out), out)


class MultiStream(nn.Module):
    """Streams by name, concatenated, and a linear layer."""

    def __init__(
        self,
        streams: Mapping[str, StreamConfig],
        num_classes: int,
        dropout: float = 0.0,
        activation: Activation = "softmax",
    ) -> None:
        super().__init__()
        if not streams:
            raise ConfigError("a multi-stream classifier needs one stream at least")
        self.streams = nn.ModuleDict({name: Stream(config) for name, config in streams.items()})
        self.num_classes, self.activation = num_classes, activation
        self.dropout = dropout
        self.projection = nn.Linear(sum(config.dim for config in streams.values()), num_classes)
        init_classifier(self.projection)

    def forward(self, features: Mapping[str, Tensor], valid: Mapping[str, Tensor] | None = None) -> Tensor:
        """Logits [N, K] of features by stream, [N, L, C] each, L of its own; valid: masks [N, L] of some of them."""
        return self.projection(functional.dropout(self.features(features, valid), self.dropout, self.training))

    def features(self, features: Mapping[str, Tensor], valid: Mapping[str, Tensor] | None = None) -> Tensor:
        """What the linear layer takes."""
        masks: Mapping[str, Any] = valid or {}
        if features.keys() != self.streams.keys() or not masks.keys() <= features.keys():
            raise ConfigError(
                f"features of {', '.join(features)} with masks of {', '.join(masks) or 'none'} do not fit the streams "
                f"{', '.join(self.streams)}: give features of each, masks of some"
            )
        return torch.cat([stream(features[name], masks.get(name)) for name, stream in self.streams.items()], dim=1)
