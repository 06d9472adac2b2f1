"""The blocks of multiscale vision transformers: attention between pooled queries, keys and values.

N clips, L tokens of a grid of T x H x W (a class token comes first), D channels, h heads of d channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import StochasticDepth

from vidmodels.layers.positions import Grid
from vidmodels.layers.relative import RelativePositions, relative_attention
from vidmodels.layers.transformer import LAYER_NORM_EPS, attend

Triple = tuple[int, int, int]
PoolMode = Literal["conv", "max", "avg"]
Residual = Literal["none", "grid", "all"]


@dataclass(frozen=True)
class Pooling:
    """How tokens are pooled: kernel and stride over (T, H, W)."""

    kernel: Triple
    stride: Triple

    def grid(self, grid: Grid) -> Grid:
        """The grid after pooling one of this size."""
        t, h, w = ((n + 2 * (k // 2) - k) // s + 1 for n, k, s in zip(grid, self.kernel, self.stride))
        return t, h, w


@dataclass(frozen=True)
class BlockShape:
    """Everything that one block's construction depends on.

    dim_in, dim, dim_out: channels of the input, inside of the attention, and of the output; q_pool, kv_pool: None where
    nothing is pooled; q_stride: the query's stride, also of the skip; grid: of the input, for the relative tables.
    """

    dim_in: int
    dim: int
    dim_out: int
    num_heads: int
    q_stride: Triple
    kv_stride: Triple
    q_pool: Pooling | None
    kv_pool: Pooling | None
    grid: Grid
    drop_path: float = 0.0


@dataclass(frozen=True)
class BlockOptions:
    """What all blocks of a model have in common; see MViTConfig."""

    class_token: bool = True
    pool_mode: PoolMode = "conv"
    relative_space: bool = False
    relative_time: bool = False
    residual: Residual = "none"
    mlp_ratio: float = 4.0
    qkv_bias: bool = True
    pool_norm_eps: float = LAYER_NORM_EPS


class TokenPool(nn.Module):
    """Pools the grid's tokens of all heads alike; the class token passes (MViT, section 3.1).

    A convolution is depthwise, without bias, shared by the heads, and followed by a LayerNorm over each head's channels of
    all tokens, the class token's included.
    """

    def __init__(self, pooling: Pooling, head_dim: int, mode: PoolMode, norm_eps: float = LAYER_NORM_EPS) -> None:
        super().__init__()
        self.pooling, self.mode = pooling, mode
        if mode == "conv":
            # of one head; the weight is repeated for all of them
            self.conv = nn.Conv3d(head_dim, head_dim, pooling.kernel, pooling.stride, groups=head_dim, bias=False)
            self.norm = nn.LayerNorm(head_dim, norm_eps)

    def forward(self, x: Tensor, grid: Grid, num_heads: int, class_token: bool) -> Tensor:
        """x: [N, L, h * d] on `grid` -> [N, L', h, d]."""
        weight = self.conv.weight.repeat(num_heads, 1, 1, 1, 1) if self.mode == "conv" else None
        x = pool_tokens(x, grid, self.pooling, self.mode, class_token, weight).unflatten(-1, (num_heads, -1))
        return self.norm(x) if self.mode == "conv" else x


def pool_tokens(
    x: Tensor, grid: Grid, pooling: Pooling, mode: PoolMode, class_token: bool, weight: Tensor | None = None
) -> Tensor:
    """Pool tokens [N, (1 +) L, D] of a grid to [N, (1 +) L', D]; weight: [D, 1, kernel] of a depthwise convolution."""
    first = int(class_token)
    # tokens are channels-last as they lie: of one clip nothing is copied, and the kernels for this layout are 5 to 20
    # times as fast on a CPU as those for N x C x T x H x W
    volume = x[:, first:].unflatten(1, grid).permute(0, 4, 1, 2, 3).contiguous(memory_format=torch.channels_last_3d)
    kernel, stride, padding = pooling.kernel, pooling.stride, [k // 2 for k in pooling.kernel]
    if mode == "conv":
        assert weight is not None
        volume = functional.conv3d(volume, weight, stride=stride, padding=padding, groups=x.shape[-1])
    elif mode == "max":
        volume = functional.max_pool3d(volume, kernel, stride, padding)
    else:
        # padded by hand: torch refuses maps that are smaller than the kernel, though its own padding would make up for it
        t, h, w = padding
        volume = functional.avg_pool3d(functional.pad(volume, (w, w, h, h, t, t)), kernel, stride)
    pooled = volume.permute(0, 2, 3, 4, 1).flatten(1, 3)
    return torch.cat([x[:, :1], pooled], dim=1) if class_token else pooled


class PooledAttention(nn.Module):
    """Attention whose keys and values, and where the stage begins whose queries, are pooled (MViT, section 3.1).

    With relative positions and the residual of the pooled queries it is that of MViTv2 (section 4.1). `residual`: which
    tokens get their query added: those of the grid (video code), all of them (image code), or none.
    """

    def __init__(self, shape: BlockShape, options: BlockOptions) -> None:
        super().__init__()
        self.shape, self.options = shape, options
        head_dim = shape.dim // shape.num_heads
        self.qkv = nn.Linear(shape.dim_in, 3 * shape.dim, bias=options.qkv_bias)
        rest = head_dim, options.pool_mode, options.pool_norm_eps
        self.pool_q = TokenPool(shape.q_pool, *rest) if shape.q_pool else None
        self.pool_k = TokenPool(shape.kv_pool, *rest) if shape.kv_pool else None
        self.pool_v = TokenPool(shape.kv_pool, *rest) if shape.kv_pool else None
        self.relative: RelativePositions | None = None
        if options.relative_space or options.relative_time:
            # the published tables have the lengths of whole quotients, although pooling rounds up
            q_grid, k_grid = _divided(shape.grid, shape.q_stride), _divided(shape.grid, shape.kv_stride)
            # along time a table is as long as the block's input
            times = (shape.grid[0], *q_grid[1:]), (shape.grid[0], *k_grid[1:])
            self.relative = RelativePositions(*times, head_dim, options.relative_space, options.relative_time)
        self.proj = nn.Linear(shape.dim, shape.dim)

    def forward(self, x: Tensor, grid: Grid) -> Tensor:
        """x: [N, L, dim_in] -> [N, L', dim], L' tokens on the grid of the pooled queries."""
        weights = self.qkv.weight.chunk(3)
        biases = self.qkv.bias.chunk(3) if self.qkv.bias is not None else (None,) * 3
        # one product each, so that pooling finds each lying densely
        q, k, v = (
            self._pooled(functional.linear(x, weight, bias), pool, grid)
            for weight, bias, pool in zip(weights, biases, (self.pool_q, self.pool_k, self.pool_v))
        )
        first = int(self.options.class_token)
        if self.relative is None:
            out = attend(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)).transpose(1, 2)
        else:
            k_grid = self.shape.kv_pool.grid(grid) if self.shape.kv_pool else grid
            terms = self.relative.terms(q[:, first:], self.grid_after(grid), k_grid)
            out = relative_attention(q, k, v, terms, k_grid, self.options.class_token)
        if self.options.residual == "grid" and first:
            added = q.new_ones(q.shape[1], 1, 1)
            added[0] = 0
            out = torch.addcmul(out, q, added)
        elif self.options.residual != "none":
            out = out + q
        return self.proj(out.flatten(2))

    def grid_after(self, grid: Grid) -> Grid:
        """The grid of the pooled queries."""
        return self.shape.q_pool.grid(grid) if self.shape.q_pool else grid

    def _pooled(self, x: Tensor, pool: TokenPool | None, grid: Grid) -> Tensor:
        if pool is None:
            return x.unflatten(-1, (self.shape.num_heads, -1))
        return pool(x, grid, self.shape.num_heads, self.options.class_token)


class GrowingMlp(nn.Module):
    """Linear, GELU (erf), Linear, to another number of channels where `dim_out` is one."""

    def __init__(self, dim: int, hidden: int, dim_out: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim_out)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(functional.gelu(self.fc1(x)))


class MViTBlock(nn.Module):
    """Pooled attention and an MLP, each on normed tokens, with a skip that is pooled like the queries (MViT, section 3.2).

    Where channels grow, the skip is a linear layer of the normed tokens: of those before the attention in a block that
    grows in it (MViTv2, section 4.1), else of those before the MLP.
    """

    def __init__(self, shape: BlockShape, options: BlockOptions) -> None:
        super().__init__()
        self.shape, self.class_token = shape, options.class_token
        self.norm1 = nn.LayerNorm(shape.dim_in, LAYER_NORM_EPS)
        self.attn = PooledAttention(shape, options)
        self.norm2 = nn.LayerNorm(shape.dim, LAYER_NORM_EPS)
        self.mlp = GrowingMlp(shape.dim, int(shape.dim * options.mlp_ratio), shape.dim_out)
        grows = shape.dim_in != shape.dim_out
        self.project = nn.Linear(shape.dim_in, shape.dim_out) if grows else None
        strides = shape.q_stride
        self.skip = Pooling(_odd(strides), strides) if max(strides) > 1 else None
        self.drop_path = StochasticDepth(shape.drop_path, "row") if shape.drop_path > 0 else nn.Identity()

    def forward(self, x: Tensor, grid: Grid) -> Tensor:
        """x: [N, (1 +) L, dim_in] on `grid` -> [N, (1 +) L', dim_out] on `grid_after(grid)`."""
        grows_in_attention = self.shape.dim != self.shape.dim_in
        normed = self.norm1(x)
        skip = self.project(normed) if self.project is not None and grows_in_attention else x
        if self.skip is not None:
            skip = pool_tokens(skip, grid, self.skip, "max", self.class_token)
        x = skip + self.drop_path(self.attn(normed, grid))
        normed = self.norm2(x)
        skip = self.project(normed) if self.project is not None and not grows_in_attention else x
        return skip + self.drop_path(self.mlp(normed))

    def grid_after(self, grid: Grid) -> Grid:
        """The grid of the block's output."""
        return self.attn.grid_after(grid)


def _divided(grid: Grid, stride: Triple) -> Grid:
    return grid[0] // stride[0], grid[1] // stride[1], grid[2] // stride[2]


def _odd(strides: Triple) -> Triple:
    """stride + 1 where tokens are skipped, else 1: 3 for 2."""
    t, h, w = (s + 1 if s > 1 else 1 for s in strides)
    return t, h, w
