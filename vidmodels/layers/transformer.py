"""The pre-norm transformer block that plain vision transformers are made of.

N clips, L tokens, D channels, h heads.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import StochasticDepth

LAYER_NORM_EPS = 1e-6


class Attention(nn.Module):
    """Multi-head self-attention (Vaswani et al. 2017, section 3.2) with one projection for query, key and value.

    Scale is (D / h)^-0.5. Raises ValueError where `dim` is not a multiple of `num_heads`.
    """

    def __init__(self, dim: int, num_heads: int, qkv_bias: bool = True) -> None:
        super().__init__()
        if dim % num_heads:
            raise ValueError(f"dim {dim} is not a multiple of num_heads {num_heads}")
        self.num_heads = num_heads
        self.qkv = nn.Linear(dim, 3 * dim, bias=qkv_bias)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        n, length, dim = x.shape
        q, k, v = self.qkv(x).view(n, length, 3, self.num_heads, dim // self.num_heads).permute(2, 0, 3, 1, 4)
        out = attend(q, k, v)
        return self.proj(out.transpose(1, 2).reshape(n, length, dim))


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Scaled dot-product attention of q, k, v [N, h, L, D / h], fused where that is faster.

    On a CPU the fused kernel works through bfloat16 slowly: up to 1,024 tokens the plain products are 1.6 to 6 times
    as fast, forward and backward (AVX512-BF16, torch 2.14); in float32 the fused kernel always wins.
    """
    # under autocast the fused kernel would take float32 inputs as bfloat16 too
    half = q.dtype is torch.bfloat16 or torch.is_autocast_enabled("cpu")
    if q.device.type != "cpu" or not half or k.shape[-2] > 1024:
        return functional.scaled_dot_product_attention(q, k, v)
    weights = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    return weights.softmax(-1).to(v.dtype) @ v


class Mlp(nn.Module):
    """Linear, GELU (erf), Linear."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(functional.gelu(self.fc1(x)))


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)); each branch is dropped for a clip with probability `drop_path`."""

    def __init__(self, dim: int, num_heads: int, mlp_ratio: float = 4.0, drop_path: float = 0.0, qkv_bias: bool = True) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, LAYER_NORM_EPS)
        self.attn = Attention(dim, num_heads, qkv_bias)
        self.norm2 = nn.LayerNorm(dim, LAYER_NORM_EPS)
        self.mlp = Mlp(dim, int(dim * mlp_ratio))
        self.drop_path = StochasticDepth(drop_path, "row") if drop_path > 0 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.attn(self.norm1(x)))
        return x + self.drop_path(self.mlp(self.norm2(x)))


def drop_path_rates(largest: float, depth: int) -> list[float]:
    """Rates of stochastic depth rising linearly from 0 at the first block to `largest` at the last (Huang et al. 2016)."""
    return [largest * i / max(depth - 1, 1) for i in range(depth)]


def init_transformer(module: nn.Module) -> None:
    """Xavier-uniform linear layers with zero biases, LayerNorm 1 and 0 (MAE-ST code; to be given to `Module.apply`)."""
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.LayerNorm):
        nn.init.ones_(module.weight)
        nn.init.zeros_(module.bias)
