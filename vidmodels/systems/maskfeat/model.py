"""MaskFeat (Wei et al. 2022, "Masked Feature Prediction for Self-Supervised Visual Pre-Training"): a transformer that sees all
tokens of a clip, some of them replaced by one learned token, and says what was there.

N clips, C colours, T frames, H height, W width, L tokens, T' x H' x W' their grid, D channels, P values of a token's target.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from vidmodels.backbones.mvit import MViT, MViTConfig
from vidmodels.core.errors import ConfigError
from vidmodels.layers.positions import Grid
from vidmodels.layers.transformer import LAYER_NORM_EPS
from vidmodels.ops.block_masking import to_grid


class MaskedFeaturePredictor(nn.Module):
    """An encoder without its last norm, and a norm and a linear layer for each depth at which targets are predicted.

    mask_cell: pixels of the cells that are masked as a whole; each covers whole tokens of the stem's grid and of the
    predictions'. widths: predicted values of a token at each depth, or one number for all; depths: blocks whose output is
    used, the last by default.
    """

    no_decay: frozenset[str] = frozenset()
    num_classes = 0

    def __init__(
        self, encoder: MViTConfig, widths: int | tuple[int, ...], depths: tuple[int, ...] | None = None, mask_cell: int = 32
    ) -> None:
        super().__init__()
        self.depths = depths or (encoder.depth - 1,)
        if list(self.depths) != sorted({*self.depths}) or not all(0 <= depth < encoder.depth for depth in self.depths):
            raise ConfigError(f"depths {self.depths} must rise and lie between 0 and {encoder.depth - 1}")
        self.widths = widths if isinstance(widths, tuple) else (widths,) * len(self.depths)
        self.mask_cell = mask_cell
        self.backbone = MViT(encoder)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, encoder.dim))
        nn.init.trunc_normal_(self.mask_token, std=0.02)
        shapes = encoder.blocks()
        self.feature_dim = self.backbone.dim
        self.heads = nn.ModuleList(
            PredictionHead(shapes[depth].dim_out, width) for depth, width in zip(self.depths, self.widths, strict=True)
        )

    def forward(self, clips: Tensor, mask: Tensor) -> list[Tensor]:
        """Predictions [N, T', H', W', P] of all tokens of each depth's grid.

        clips: [N, C, T, H, W] normalised; mask: bool [N, *mask_grid(clips)], True where the encoder sees the mask token.
        """
        x, grid = self.backbone.embed(clips, partial(self._replaced, mask=mask))
        first = int(self.backbone.config.class_token)
        predictions = {}
        block: Any
        for i, block in enumerate(self.backbone.layers):
            x, grid = block(x, grid), block.grid_after(grid)
            if i in self.depths:
                predictions[i] = self.heads[self.depths.index(i)](x[:, first:]).unflatten(1, grid)
            if i == self.depths[-1]:
                break
        return list(predictions.values())

    def mask_grid(self, clips: Tensor) -> Grid:
        """The grid of cells that are masked as a whole. Raises ConfigError for clips that are not whole cells."""
        h, w = clips.shape[-2:]
        if h % self.mask_cell or w % self.mask_cell:
            raise ConfigError(f"clips of {h} x {w} pixels are not whole cells of {self.mask_cell}, which are masked together")
        frames = clips.shape[2] if clips.ndim == 5 else 1
        return frames // self.backbone.config.patch_stride[0], h // self.mask_cell, w // self.mask_cell

    def features(self, clips: Tensor) -> Tensor:
        """Pooled embedding [N, D]: the mean of all tokens but the class token, as a classifier takes it (without its norm)."""
        return self.backbone(clips)[:, int(self.backbone.config.class_token) :].mean(1)

    def blocks(self) -> list[nn.Module]:
        """Blocks, for checkpointing of activations, compilation and sharding."""
        return self.backbone.blocks()

    def layer_id(self, name: str) -> int:
        """Layer of a parameter: 0 the stem, the tokens and the mask token, i + 1 block i, above them the heads."""
        if name.startswith("backbone."):
            return self.backbone.layer_id(name.removeprefix("backbone."))
        return 0 if name == "mask_token" else self.backbone.num_layers

    def _replaced(self, tokens: Tensor, grid: Grid, mask: Tensor) -> Tensor:
        masked = to_grid(mask, grid).unsqueeze(-1)
        return torch.where(masked, self.mask_token.to(tokens.dtype), tokens)


class PredictionHead(nn.Module):
    """Tokens [N, L, D] to values [N, L, P] of a target (MaskFeat, section 3.1)."""

    def __init__(self, dim: int, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim, LAYER_NORM_EPS)
        self.projection = nn.Linear(dim, width)
        nn.init.trunc_normal_(self.projection.weight, std=0.02)
        nn.init.zeros_(self.projection.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.projection(self.norm(tokens))
