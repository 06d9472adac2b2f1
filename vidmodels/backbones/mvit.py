"""Multiscale vision transformers, of video and of images: clips to tokens whose grid shrinks while their channels grow.

N clips, C colours, T frames, H height, W width, L tokens, D channels; T' x H' x W' a grid of tokens.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from vidmodels.backbones.mvit_attention import BlockOptions, BlockShape, MViTBlock, Pooling, PoolMode, Residual, Triple
from vidmodels.core.errors import ConfigError
from vidmodels.layers.positions import Grid, make_positions
from vidmodels.layers.transformer import LAYER_NORM_EPS, drop_path_rates

Positions = Literal["separable", "joint", "none"]
Growth = Literal["mlp", "attention"]
Init = Literal["video", "image", "xavier"]
_CHOICES = {"pool_mode": PoolMode, "positions": Positions, "residual": Residual, "growth": Growth, "init": Init}


@dataclass(frozen=True)
class MViTConfig:
    """Geometry of a multiscale vision transformer; the defaults are those of MViT-B 16x4.

    num_frames, size: the clips that tables of positions are made for; others resize them. patch*: the stem's convolution.
    stage_starts: first blocks of the stages after the first, in which heads double and queries are pooled by q_strides (one
    for each, or one for all). kv_stride: that of keys and values in the first stage; each query's stride divides it.
    pool_kernel: of all pooling; None: stride + 1 where tokens are skipped. pool_every_query: queries are pooled in all
    blocks, with stride 1 inside of stages. pool_unstrided: keys and values are pooled also where their stride is 1.
    growth: channels double in the attention of a stage's first block, or in the MLP of the block before it.
    residual: which tokens get their pooled query added after the attention. init: how weights begin, see `init_mvit`.
    pool_norm_eps: of the norms after pooling, 1e-5 in PyTorchVideo. reverse_channels: the weights expect BGR. final_norm:
    False leaves it to the head.
    """

    dim: int = 96
    depth: int = 16
    num_heads: int = 1
    num_frames: int = 16
    size: int = 224
    patch: Triple = (3, 7, 7)
    patch_stride: Triple = (2, 4, 4)
    patch_padding: Triple = (1, 3, 3)
    stage_starts: tuple[int, ...] = (1, 3, 14)
    q_strides: Triple | tuple[Triple, ...] = (1, 2, 2)
    kv_stride: Triple = (1, 8, 8)
    pool_kernel: Triple | None = (3, 3, 3)
    pool_mode: PoolMode = "conv"
    pool_every_query: bool = False
    pool_unstrided: bool = True
    class_token: bool = True
    positions: Positions = "separable"
    relative_space: bool = False
    relative_time: bool = False
    residual: Residual = "none"
    growth: Growth = "mlp"
    mlp_ratio: float = 4.0
    qkv_bias: bool = True
    pool_norm_eps: float = LAYER_NORM_EPS
    drop_path: float = 0.0
    init: Init = "video"
    reverse_channels: bool = False
    final_norm: bool = True

    def __post_init__(self) -> None:
        for name, value in vars(self).items():  # a file's metadata have lists
            object.__setattr__(self, name, _tuples(value))
        for name, choice in _CHOICES.items():
            if (value := getattr(self, name)) not in get_args(choice):
                raise ConfigError(f"{name} {value!r} does not exist: choose one of {', '.join(get_args(choice))}")
        if self.dim % self.num_heads:
            raise ConfigError(f"dim {self.dim} is not a multiple of num_heads {self.num_heads}")
        starts = self.stage_starts
        if list(starts) != sorted({*starts}) or not all(0 < start < self.depth for start in starts):
            raise ConfigError(f"stage_starts {starts} must rise and lie between 0 and the depth {self.depth}")
        if min(self.grid) < 1:
            raise ConfigError(f"clips of {self.num_frames} frames of side {self.size} are smaller than the stem's stride")
        if not isinstance(self.q_strides[0], int) and len(self.q_strides) != len(starts):
            raise ConfigError(f"q_strides has {len(self.q_strides)} strides for the {len(starts)} stages after the first")

    @property
    def grid(self) -> Grid:
        """The grid of tokens after the stem, as the tables are made for it."""
        t, h, w = (n // s for n, s in zip((self.num_frames, self.size, self.size), self.patch_stride))
        return t, h, w

    @property
    def stride(self) -> int:
        """Pixels of a cell of the last map. Raises ConfigError for cells that are not square, which no RoI head takes."""
        return self.stride_after(self.depth - 1)

    def stride_after(self, block: int) -> int:
        """Pixels of a cell of the map after a block; see `stride`."""
        strides = [self.patch_stride, *map(self._q_stride, range(block + 1))]
        height, width = (math.prod(stride[axis] for stride in strides) for axis in (1, 2))
        if height != width:
            raise ConfigError(
                f"the map after block {block} has cells of {height} x {width} pixels: give patch_stride and q_strides that "
                "are equal in height and width"
            )
        return height

    @property
    def is_image(self) -> bool:
        """Whether the model takes single frames."""
        return self.num_frames == 1

    @property
    def pools(self) -> bool:
        """Whether anything is pooled; otherwise it is a plain vision transformer."""
        return any(shape.q_pool or shape.kv_pool for shape in self.blocks())

    @property
    def options(self) -> BlockOptions:
        return BlockOptions(
            self.class_token, self.pool_mode, self.relative_space, self.relative_time, self.residual, self.mlp_ratio,
            self.qkv_bias, self.pool_norm_eps,
        )  # fmt: skip

    def blocks(self) -> list[BlockShape]:
        """The shape of each block (MViT, sections 3.2 and 3.3; MViTv2, section 4.1 for growth in the attention)."""
        shapes = []
        dim, heads, grid, kv_stride = self.dim, self.num_heads, self.grid, self.kv_stride
        rates = drop_path_rates(self.drop_path, self.depth)
        for i in range(self.depth):
            starts = i in self.stage_starts
            q_stride = self._q_stride(i)
            heads *= 2 if starts else 1
            kv_stride = _map(lambda kv, q: max(kv // q, 1), kv_stride, q_stride)
            if self.growth == "attention":
                inside = after = dim * (2 if starts else 1)
            else:
                inside, after = dim, dim * (2 if i + 1 in self.stage_starts else 1)
            q_pool = self._pooling(q_stride) if starts or self.pool_every_query else None
            kv_pool = self._pooling(kv_stride) if self.pool_unstrided or max(kv_stride) > 1 else None
            shapes.append(BlockShape(dim, inside, after, heads, q_stride, kv_stride, q_pool, kv_pool, grid, rates[i]))
            dim, grid = after, _map(lambda n, s: n // s, grid, q_stride)
        return shapes

    def _q_stride(self, block: int) -> Triple:
        if block not in self.stage_starts:
            return 1, 1, 1
        strides: Any = self.q_strides
        return strides if isinstance(strides[0], int) else strides[self.stage_starts.index(block)]

    def _pooling(self, stride: Triple) -> Pooling | None:
        kernel = self.pool_kernel or _map(lambda s, _: s + 1 if s > 1 else 1, stride, stride)
        return Pooling(kernel, stride) if max(*kernel, *stride) > 1 else None


class MViT(nn.Module):
    """Stem, tokens' positions, blocks and final norm (Fan et al. 2021; Li et al. 2022).

    Clips of any length and crop are taken: tables of positions are resized. A model of images (num_frames 1) takes
    [N, C, H, W] or [N, C, 1, H, W].
    """

    # the published recipes decay positions and class tokens like other weights
    no_decay: frozenset[str] = frozenset()

    def __init__(self, config: MViTConfig) -> None:
        super().__init__()
        self.config = config
        shapes = config.blocks()
        self.patch_embed = nn.Conv3d(3, config.dim, config.patch, config.patch_stride, config.patch_padding)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, config.dim)) if config.class_token else None
        separable = config.positions == "separable"
        tables = config.positions != "none"
        self.pos = make_positions(config.grid, config.dim, config.class_token, separable) if tables else None
        self.layers = nn.ModuleList(MViTBlock(shape, config.options) for shape in shapes)
        self.dim = shapes[-1].dim_out
        self.norm = nn.LayerNorm(self.dim, LAYER_NORM_EPS) if config.final_norm else nn.Identity()
        self.num_layers = config.depth + 1
        init_mvit(self, config.init)
        if self.cls_token is not None:
            nn.init.trunc_normal_(self.cls_token, std=0.02)

    def forward(self, clips: Tensor) -> Tensor:
        """Normed tokens [N, (1 +) L, D] of clips [N, C, T, H, W], class token first."""
        return self.tokens(clips)[0]

    def maps(self, clips: Tensor) -> list[Tensor]:
        """The one map [N, D, T', H', W'] of normed tokens, without the class token."""
        x, grid = self.tokens(clips)
        return [x[:, int(self.config.class_token) :].transpose(1, 2).unflatten(2, grid)]

    def tokens(self, clips: Tensor) -> tuple[Tensor, Grid]:
        """Normed tokens [N, (1 +) L, D] and their grid."""
        x, grid = self.embed(clips)
        block: Any
        for block in self.layers:
            x, grid = block(x, grid), block.grid_after(grid)
        return self.norm(x), grid

    def embed(self, clips: Tensor, replace: Callable[[Tensor, Grid], Tensor] | None = None) -> tuple[Tensor, Grid]:
        """The sequence before the first block and its grid (MViT, section 3.2: overlapping cubes).

        replace: changes the tokens [N, L, D] of a grid before they get their positions, as masked pre-training does.
        """
        x = self.patch_embed(self._checked(clips))
        t, h, w = x.shape[2:]
        x = x.flatten(2).transpose(1, 2)
        if replace is not None:
            x = replace(x, (t, h, w))
        if self.pos is not None:
            x = x + self.pos.tokens((t, h, w))
        if self.cls_token is None:
            return x.contiguous(), (t, h, w)
        first = self.cls_token if self.pos is None or self.pos.cls is None else self.cls_token + self.pos.cls
        # x.shape[0]: tracers take len(x) for a constant
        return torch.cat([first.expand(x.shape[0], -1, -1).to(x.dtype), x], dim=1), (t, h, w)

    def blocks(self) -> list[nn.Module]:
        """Blocks, for checkpointing of activations, compilation and sharding."""
        return list(self.layers)

    def layer_id(self, name: str) -> int:
        """Layer of a parameter for layer-wise learning rates: 0 stem, class token and positions, i + 1 block i; the norm
        is with the head."""
        if name.startswith("layers."):
            return int(name.split(".")[1]) + 1
        return self.num_layers if name.startswith("norm.") else 0

    def _checked(self, clips: Tensor) -> Tensor:
        if clips.ndim == 4 and self.config.is_image:
            clips = clips.unsqueeze(2)
        if clips.ndim != 5 or clips.shape[1] != 3 or (self.config.is_image and clips.shape[2] != 1):
            wanted = "[N, 3, H, W] or [N, 3, 1, H, W]" if self.config.is_image else "[N, 3, T, H, W]"
            raise ConfigError(f"the model takes {wanted}, not {tuple(clips.shape)}: give a batch of that shape")
        return clips.flip(1) if self.config.reverse_channels else clips


def init_mvit(model: nn.Module, init: Init) -> None:
    """Start weights: linear layers from a truncated normal of deviation 0.02, norms at 1.

    video: convolutions begin like linear layers and every bias at 0.02, as in the video code; image: convolutions as torch
    begins them and biases at zero, as in the image code; xavier: like image, but linear layers Xavier-uniform, for narrow
    models, whose branches 0.02 leaves without effect.
    """
    bias = 0.02 if init == "video" else 0.0
    for module in model.modules():
        if isinstance(module, nn.Linear) and init == "xavier":
            nn.init.xavier_uniform_(module.weight)
        elif isinstance(module, nn.Linear) or (isinstance(module, nn.Conv3d) and init == "video"):
            nn.init.trunc_normal_(module.weight, std=0.02)
        if isinstance(module, nn.LayerNorm):
            nn.init.ones_(module.weight)
        if isinstance(module, nn.Linear | nn.LayerNorm) and module.bias is not None:
            nn.init.constant_(module.bias, bias)


def _map(function: Any, a: Any, b: Any) -> Triple:
    """A function of two values, axis by axis."""
    t, h, w = (function(x, y) for x, y in zip(a, b))
    return t, h, w


def _tuples(value: Any) -> Any:
    """Lists, also those in lists, as tuples."""
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value
