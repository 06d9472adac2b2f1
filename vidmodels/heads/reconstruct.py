"""The small decoder of a masked autoencoder: encoded tokens to predicted patches.

N clips, L tokens of which K were encoded, D channels of the encoder, E of the decoder, P values of a patch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vidmodels.layers.positions import PosInit, make_positions
from vidmodels.layers.transformer import LAYER_NORM_EPS, Block, init_transformer
from vidmodels.ops.masking import gather_tokens


@dataclass(frozen=True)
class DecoderConfig:
    """Shape of the decoder and which of the two published forms it has.

    own_class_token: a learned class token of its own (the single-purpose code), else the encoder's, projected
    (PySlowFast). separable: positions as a spatial and a temporal table, else joint. pos_init: how they begin.
    The number of heads is part of the function but not of the weights' shapes: 16 in the single-purpose code, 8 in PySlowFast.
    """

    dim: int = 512
    depth: int = 4
    num_heads: int = 16
    mlp_ratio: float = 4.0
    own_class_token: bool = True
    separable: bool = True
    pos_init: PosInit = "normal"


class MaskedDecoder(nn.Module):
    """Mask tokens at the dropped places, blocks, norm and a linear layer to the patches (MAE-ST, section 4.3)."""

    def __init__(
        self,
        config: DecoderConfig,
        encoder_dim: int,
        grid: tuple[int, int, int],
        patch_values: int,
        class_token: bool = True,
        qkv_bias: bool = True,
    ) -> None:
        super().__init__()
        self.config = config
        self.class_token = class_token
        self.embed = nn.Linear(encoder_dim, config.dim)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, config.dim))
        own = class_token and config.own_class_token
        self.cls_token = nn.Parameter(torch.zeros(1, 1, config.dim)) if own else None
        self.pos = make_positions(grid, config.dim, class_token, config.separable, config.pos_init)
        self.blocks = nn.ModuleList(
            Block(config.dim, config.num_heads, config.mlp_ratio, qkv_bias=qkv_bias) for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(config.dim, LAYER_NORM_EPS)
        self.pred = nn.Linear(config.dim, patch_values)
        self.apply(init_transformer)
        nn.init.normal_(self.mask_token, std=0.02)
        if self.cls_token is not None:
            nn.init.trunc_normal_(self.cls_token, std=0.02)

    def forward(self, latent: Tensor, restore: Tensor, grid: tuple[int, int, int]) -> Tensor:
        """Predicted patches [N, L, P] of all tokens in natural order.

        latent: [N, (1 +) K, D] normed tokens of the encoder, class token first; restore: int64 [N, L].
        """
        x = self.embed(latent)
        cls, x = (x[:, :1], x[:, 1:]) if self.class_token else (None, x)
        missing = restore.shape[1] - x.shape[1]
        filled = torch.cat([x, self.mask_token.expand(len(x), missing, -1).to(x.dtype)], dim=1)
        x = gather_tokens(filled, restore) + self.pos.tokens(grid)
        if cls is not None:
            first = self.cls_token.expand(len(x), -1, -1) if self.cls_token is not None else cls
            assert self.pos.cls is not None
            x = torch.cat([first.to(x.dtype) + self.pos.cls, x], dim=1)
        for block in self.blocks:
            x = block(x)
        x = self.pred(self.norm(x))
        return x[:, 1:] if cls is not None else x
