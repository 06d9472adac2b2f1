"""The plain vision transformer on space-time patches: clips to tokens.

N clips, C colours, T frames, H height, W width, L tokens, K kept tokens, D channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from vidmodels.layers.positions import PosInit, make_positions
from vidmodels.layers.transformer import Block, drop_path_rates, init_transformer
from vidmodels.ops.masking import gather_tokens
from vidmodels.ops.patches import patch_grid, patchify


@dataclass(frozen=True)
class ViTConfig:
    """Geometry of a vision transformer; patch is (frames, rows, columns), size the side of the position table's crop.

    pos_init: how the learned positions begin, small and random as published, or as sines and cosines of the place.
    """

    dim: int
    depth: int
    num_heads: int
    num_frames: int = 16
    size: int = 224
    patch: tuple[int, int, int] = (2, 16, 16)
    mlp_ratio: float = 4.0
    qkv_bias: bool = True
    class_token: bool = True
    separable: bool = True
    pos_init: PosInit = "normal"
    drop_path: float = 0.0

    @property
    def grid(self) -> tuple[int, int, int]:
        return patch_grid((self.num_frames, self.size, self.size), self.patch)


class VideoViT(nn.Module):
    """Patch embedding, positions, class token and blocks (MAE-ST, section 4.1); without a final norm.

    Clips of any size that the patch divides are taken: positions are interpolated.
    """

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.config = config
        self.patch_embed = nn.Conv3d(3, config.dim, config.patch, config.patch)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, config.dim)) if config.class_token else None
        self.pos = make_positions(config.grid, config.dim, config.class_token, config.separable, config.pos_init)
        rates = drop_path_rates(config.drop_path, config.depth)
        self.blocks = nn.ModuleList(
            Block(config.dim, config.num_heads, config.mlp_ratio, rate, config.qkv_bias) for rate in rates
        )
        self.apply(init_transformer)
        nn.init.xavier_uniform_(self.patch_embed.weight.view(config.dim, -1))
        assert self.patch_embed.bias is not None
        nn.init.zeros_(self.patch_embed.bias)
        if self.cls_token is not None:
            nn.init.trunc_normal_(self.cls_token, std=0.02)

    def grid_of(self, clips: Tensor) -> tuple[int, int, int]:
        """The token grid (T', H', W') of clips [N, C, T, H, W]. Raises ConfigError where patches do not divide them."""
        t, h, w = clips.shape[2:]
        return patch_grid((t, h, w), self.config.patch)

    def forward(self, clips: Tensor, keep: Tensor | None = None) -> Tensor:
        """Tokens [N, (1 +) L, D] after the last block, class token first; with `keep` [N, K] those K tokens only.

        Dropped patches are not even embedded: the cost is that of the kept ones (MAE-ST, section 4.2).
        """
        x = self.embed(clips, keep)
        for block in self.blocks:
            x = block(x)
        return x

    def embed(self, clips: Tensor, keep: Tensor | None = None) -> Tensor:
        """The sequence before the first block."""
        grid = self.grid_of(clips)
        patches = patchify(clips, self.config.patch, channels_last=False)
        positions = self.pos.tokens(grid)
        if keep is not None:
            patches, positions = gather_tokens(patches, keep), gather_tokens(positions, keep)
        # the convolution's kernel is its stride, so it is a linear map of each patch, and a faster one
        x = functional.linear(patches, self.patch_embed.weight.flatten(1), self.patch_embed.bias) + positions
        if self.cls_token is not None:
            assert self.pos.cls is not None
            first = self.cls_token + self.pos.cls
            # x.shape[0]: tracers take len(x) for a constant
            x = torch.cat([first.expand(x.shape[0], -1, -1).to(x.dtype), x], dim=1)
        return x

    def layer_id(self, name: str) -> int:
        """Layer of a parameter for layer-wise learning rates: 0 the stem and the tokens, i + 1 block i."""
        return int(name.split(".")[1]) + 1 if name.startswith("blocks.") else 0
