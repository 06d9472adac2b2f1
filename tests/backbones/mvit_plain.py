"""Multiscale vision transformers once more, written plainly on a state dict with PySlowFast's key names: what our model is
held against.

N clips, T x H x W grid, L tokens, D channels, h heads of d channels.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

Triple = tuple[int, int, int]


@dataclass(frozen=True)
class Shape:
    """Geometry of a small model; image: keys and strides of a model of single pictures."""

    dim: int = 8
    heads: int = 1
    depth: int = 4
    starts: tuple[int, ...] = (1, 3)
    frames: int = 4
    size: int = 32
    kernel: Triple | None = (3, 3, 3)
    mode: str = "conv"
    q_strides: tuple[Triple, ...] = ((1, 2, 2), (1, 2, 2))
    kv_stride: Triple = (1, 4, 4)
    cls: bool = True
    positions: str = "separable"
    space: bool = False
    time: bool = False
    residual: str = "none"  # grid, all
    in_attention: bool = False
    every_q: bool = False
    mean_first: bool = False  # mean over tokens, then norm
    image: bool = False
    classes: int = 5
    bias: bool = True
    extra: dict[str, Any] = field(default_factory=dict)  # of the configuration

    @property
    def patch(self) -> tuple[Triple, Triple, Triple]:
        return ((1, 7, 7), (1, 4, 4), (0, 3, 3)) if self.image else ((3, 7, 7), (2, 4, 4), (1, 3, 3))

    @property
    def grid(self) -> Triple:
        stride = self.patch[1]
        return self.frames // stride[0], self.size // stride[1], self.size // stride[2]


V2 = Shape(positions="none", space=True, time=True, residual="grid", in_attention=True, every_q=True)
IMAGE = Shape(image=True, frames=1, kernel=(1, 3, 3), positions="joint")
V2_IMAGE = Shape(
    image=True, frames=1, kernel=(1, 3, 3), positions="none", space=True, residual="all", in_attention=True, every_q=True,
    cls=False,
)  # fmt: skip


@dataclass(frozen=True)
class Block:
    """One block: widths, heads, strides, kernels (None: no pool), the grid that its tables are made for."""

    dim: int
    inside: int
    out: int
    heads: int
    q_stride: Triple
    kv_stride: Triple
    q_kernel: Triple | None
    kv_kernel: Triple | None
    grid: Triple


def blocks(s: Shape) -> list[Block]:
    found, dim, heads, grid, kv = [], s.dim, s.heads, s.grid, s.kv_stride
    for i in range(s.depth):
        stride: Triple = s.q_strides[s.starts.index(i)] if i in s.starts else (1, 1, 1)
        if i in s.starts:
            heads *= 2
            kv = (max(kv[0] // stride[0], 1), max(kv[1] // stride[1], 1), max(kv[2] // stride[2], 1))
        grows = i in s.starts if s.in_attention else i + 1 in s.starts
        out = dim * 2 if grows else dim
        inside = out if s.in_attention else dim
        q = _kernel(s, stride) if s.every_q or i in s.starts else None
        found.append(Block(dim, inside, out, heads, stride, kv, q, _kernel(s, kv), grid))
        dim, grid = out, (grid[0] // stride[0], grid[1] // stride[1], grid[2] // stride[2])
    return found


def _kernel(s: Shape, stride: Triple) -> Triple | None:
    a, b, c = s.kernel or (n + 1 if n > 1 else n for n in stride)
    return None if a * b * c * stride[0] * stride[1] * stride[2] == 1 else (a, b, c)


def manifest(s: Shape) -> dict[str, tuple[int, ...]]:
    """Keys and shapes of the published state dict."""
    kernel = s.patch[0][1:] if s.image else s.patch[0]
    shapes: dict[str, tuple[int, ...]] = {"patch_embed.proj.weight": (s.dim, 3, *kernel), "patch_embed.proj.bias": (s.dim,)}
    t, h, w = s.grid
    if s.cls:
        shapes["cls_token"] = (1, 1, s.dim)
    if s.positions == "joint":
        shapes["pos_embed"] = (1, t * h * w + int(s.cls), s.dim)
    elif s.positions == "separable":
        shapes |= {"pos_embed_spatial": (1, h * w, s.dim), "pos_embed_temporal": (1, t, s.dim)}
        shapes |= {"pos_embed_class": (1, 1, s.dim)} if s.cls else {}
    for i, b in enumerate(blocks(s)):
        shapes |= {f"blocks.{i}.{key}": shape for key, shape in _block_manifest(s, b).items()}
    width = blocks(s)[-1].out
    shapes |= {"norm.weight": (width,), "norm.bias": (width,)}
    return shapes | {"head.projection.weight": (s.classes, width), "head.projection.bias": (s.classes,)}


def _block_manifest(s: Shape, b: Block) -> dict[str, tuple[int, ...]]:
    d = b.inside // b.heads
    linear = {
        "attn.qkv": (3 * b.inside, b.dim), "attn.proj": (b.inside, b.inside), "mlp.fc1": (4 * b.inside, b.inside),
        "mlp.fc2": (b.out, 4 * b.inside),
    }  # fmt: skip
    if b.dim != b.out:
        linear["proj"] = (b.out, b.dim)
    shapes: dict[str, tuple[int, ...]] = {"norm1.weight": (b.dim,), "norm1.bias": (b.dim,)}
    shapes |= {"norm2.weight": (b.inside,), "norm2.bias": (b.inside,)}
    for key, shape in linear.items():
        shapes[f"{key}.weight"] = shape
        if s.bias or key != "attn.qkv":
            shapes[f"{key}.bias"] = shape[:1]
    for part, kernel in (("q", b.q_kernel), ("k", b.kv_kernel), ("v", b.kv_kernel)):
        if kernel and s.mode == "conv":
            shapes[f"attn.pool_{part}.weight"] = (d, 1, *kernel)
            shapes |= {f"attn.norm_{part}.weight": (d,), f"attn.norm_{part}.bias": (d,)}
    if s.space:
        for axis, letter in ((1, "h"), (2, "w")):
            longest = max(b.grid[axis] // b.q_stride[axis], b.grid[axis] // b.kv_stride[axis])
            shapes[f"attn.rel_pos_{letter}"] = (2 * longest - 1, d)
    if s.time:
        shapes["attn.rel_pos_t"] = (2 * b.grid[0] - 1, d)
    return shapes


def random_state(s: Shape, seed: int = 0) -> dict[str, Tensor]:
    """Values of a size at which every part of the model shows in its output."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for key, shape in manifest(s).items():
        scale = 0.3 if len(shape) == 1 or "pos" in key or "token" in key or "pool" in key else 0.2
        shift = 1.0 if "norm" in key and key.endswith("weight") else 0.0
        state[key] = shift + scale * torch.randn(shape, generator=generator)
    return state


def run(state: dict[str, Tensor], s: Shape, clips: Tensor) -> dict[str, Tensor]:
    """Logits, the blocks' outputs and the normed tokens."""
    kernel, stride, padding = s.patch
    weight = state["patch_embed.proj.weight"]
    x = functional.conv3d(clips, weight.reshape(s.dim, 3, *kernel), state["patch_embed.proj.bias"], stride, padding)
    grid: Any = tuple(x.shape[2:])
    x = x.flatten(2).transpose(1, 2)
    if s.cls:
        x = torch.cat([state["cls_token"].expand(len(x), -1, -1), x], 1)
    if s.positions == "joint":
        x = x + state["pos_embed"]
    elif s.positions == "separable":
        t, places = state["pos_embed_temporal"], state["pos_embed_spatial"]
        rows = [places[:, j] + t[:, i] for i in range(t.shape[1]) for j in range(places.shape[1])]
        first = [state["pos_embed_class"][:, 0]] if s.cls else []
        x = x + torch.stack(first + rows, 1)
    answers = {}
    for i, b in enumerate(blocks(s)):
        x, grid = _run_block(state, f"blocks.{i}", s, b, x, grid)
        answers[f"block_{i}"] = x
    tokens = answers["tokens"] = _norm(state, "norm", x)
    if s.mean_first:
        pooled = _norm(state, "norm", x[:, int(s.cls) :].mean(1))
    else:
        pooled = tokens[:, 0] if s.cls else tokens.mean(1)
    return {**answers, "last_tokens": x, "logits": _linear(state, "head.projection", pooled)}


def _run_block(state: dict[str, Tensor], at: str, s: Shape, b: Block, x: Tensor, grid: Triple) -> tuple[Tensor, Triple]:
    normed = _norm(state, f"{at}.norm1", x)
    skip = _linear(state, f"{at}.proj", normed) if s.in_attention and b.dim != b.out else x
    if max(b.q_stride) > 1:
        kernel = [n + 1 if n > 1 else 1 for n in b.q_stride]
        padding = [k // 2 for k in kernel]
        skip, _ = _pooled(skip, grid, s.cls, lambda v: functional.max_pool3d(v, kernel, b.q_stride, padding))
    attended, after = _attention(state, f"{at}.attn", s, b, normed, grid)
    x = skip + attended
    normed = _norm(state, f"{at}.norm2", x)
    skip = _linear(state, f"{at}.proj", normed) if not s.in_attention and b.dim != b.out else x
    hidden = functional.gelu(_linear(state, f"{at}.mlp.fc1", normed))
    return skip + _linear(state, f"{at}.mlp.fc2", hidden), after


def _attention(state: dict[str, Tensor], at: str, s: Shape, b: Block, x: Tensor, grid: Triple) -> tuple[Tensor, Triple]:
    d, first = b.inside // b.heads, int(s.cls)
    parts = _linear(state, f"{at}.qkv", x).chunk(3, -1)
    outs = []
    for head in range(b.heads):
        sliced = [part[..., head * d : (head + 1) * d] for part in parts]
        q, q_grid = _pool(state, at, "q", s, sliced[0], grid, b.q_kernel, b.q_stride)
        k, k_grid = _pool(state, at, "k", s, sliced[1], grid, b.kv_kernel, b.kv_stride)
        v, _ = _pool(state, at, "v", s, sliced[2], grid, b.kv_kernel, b.kv_stride)
        logits = q @ k.transpose(1, 2) * d**-0.5
        for axis, letter in ((0, "t"), (1, "h"), (2, "w")):
            if (table := state.get(f"{at}.rel_pos_{letter}")) is not None:
                logits[:, first:, first:] += _relative(table, q[:, first:], q_grid, k_grid, axis)
        out = logits.softmax(-1) @ v
        if s.residual == "grid":
            out[:, first:] += q[:, first:]
        elif s.residual == "all":
            out = out + q
        outs.append(out)
    return _linear(state, f"{at}.proj", torch.cat(outs, -1)), q_grid


def _relative(table: Tensor, q: Tensor, q_grid: Triple, k_grid: Triple, axis: int) -> Tensor:
    """One number for each pair of tokens, by their places along the axis: [N, L, K]."""
    n, m = q_grid[axis], k_grid[axis]
    if len(table) != 2 * max(n, m) - 1:
        table = functional.interpolate(table.T[None], size=2 * max(n, m) - 1, mode="linear")[0].T
    places = torch.cartesian_prod(*(torch.arange(size) for size in q_grid)).view(-1, 3)[:, axis]
    others = torch.cartesian_prod(*(torch.arange(size) for size in k_grid)).view(-1, 3)[:, axis]
    columns = []
    for j in others.tolist():
        rows = [int(i * max(m / n, 1.0) - j * max(n / m, 1.0) + (m - 1) * max(n / m, 1.0)) for i in places.tolist()]
        columns.append((q * table[rows]).sum(-1))
    return torch.stack(columns, -1)


def _pool(
    state: dict[str, Tensor], at: str, part: str, s: Shape, x: Tensor, grid: Triple, kernel: Triple | None, stride: Triple
) -> tuple[Tensor, Triple]:
    if kernel is None:
        return x, grid
    padding = [n // 2 for n in kernel]
    if s.mode != "conv":
        pool = functional.max_pool3d if s.mode == "max" else functional.avg_pool3d
        return _pooled(x, grid, s.cls, lambda v: pool(v, kernel, stride, padding))
    weight = state[f"{at}.pool_{part}.weight"]
    x, grid = _pooled(x, grid, s.cls, lambda v: functional.conv3d(v, weight, None, stride, padding, 1, len(weight)))
    return _norm(state, f"{at}.norm_{part}", x), grid


def _pooled(x: Tensor, grid: Triple, cls: bool, pool: Any) -> tuple[Tensor, Any]:
    tokens = x[:, int(cls) :]
    volume = pool(tokens.transpose(1, 2).reshape(len(x), -1, *grid))
    pooled = volume.flatten(2).transpose(1, 2)
    return torch.cat([x[:, :1], pooled], 1) if cls else pooled, tuple(volume.shape[2:])


def _norm(state: dict[str, Tensor], key: str, x: Tensor) -> Tensor:
    x = (x - x.mean(-1, keepdim=True)) / (x.var(-1, unbiased=False, keepdim=True) + 1e-6).sqrt()
    return x * state[f"{key}.weight"] + state[f"{key}.bias"]


def _linear(state: dict[str, Tensor], key: str, x: Tensor) -> Tensor:
    y = x @ state[f"{key}.weight"].T
    return y + state[f"{key}.bias"] if f"{key}.bias" in state else y


def config_of(s: Shape, repository: bool = False) -> dict[str, Any]:
    """The configuration that a conformance case of this geometry has, of PySlowFast or of the image repository."""
    first = 1 if repository else 0
    shapes = blocks(s)
    queries = {i: b.q_stride for i, b in enumerate(shapes) if s.every_q or i in s.starts}
    kernel, stride, padding = s.patch
    config: dict[str, Any] = {
        "cls_embed_on": s.cls, "crop": s.size, "depth": s.depth, "embed_dim": s.dim, "num_heads": s.heads, "mode": s.mode,
        "dim_mul": [[i, 2.0] for i in s.starts], "head_mul": [[i, 2.0] for i in s.starts], "dim_mul_in_att": s.in_attention,
        "patch_kernel": list(kernel[int(s.image) :]), "patch_stride": list(stride[int(s.image) :]),
        "patch_padding": list(padding[int(s.image) :]), "pool_first": False, "qkv_bias": s.bias,
        "pool_q_stride": [[i, *each[first:]] for i, each in queries.items()],
        "pool_kv_stride": [[i, *b.kv_stride[first:]] for i, b in enumerate(shapes)],
        "pool_kv_stride_adaptive": list(s.kv_stride[first:]), "pool_kvq_kernel": list(s.kernel[first:]) if s.kernel else None,
        "rel_pos_spatial": s.space, "residual_pooling": s.residual != "none", "use_abs_pos": s.positions != "none",
        "num_classes": s.classes, "layer_norm_eps": 1e-6, "mlp_ratio": 4.0,
    }  # fmt: skip
    if not repository:
        config |= {
            "num_frames": s.frames, "patch_2d": s.image, "norm_stem": False, "rel_pos_temporal": s.time,
            "sep_pos_embed": s.positions == "separable", "separate_qkv": False, "use_mean_pooling": s.mean_first,
        }  # fmt: skip
    return {**config, **s.extra}
