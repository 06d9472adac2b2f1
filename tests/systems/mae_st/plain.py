"""MAE-ST once more, written plainly on a state dict with published key names: what our model is held against.

N clips, T frames, H height, W width, L tokens, K kept, D channels, h heads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Shape:
    """Geometry of a small model; pyslowfast says which code's key names and decoder it has."""

    pyslowfast: bool = False
    dim: int = 48
    depth: int = 2
    heads: int = 6
    frames: int = 8
    size: int = 32
    patch: tuple[int, int, int] = (2, 16, 16)
    cls: bool = True
    sep: bool = True
    bias: bool = True
    fused: bool = False
    dec_dim: int = 32
    dec_depth: int = 2
    dec_heads: int = 4
    dec_sep: bool = True
    pred: int = 4  # predicted frames of the clip
    classes: int | None = None  # a classifier with so many
    projection: bool = False  # head.projection.* instead of head.*

    @property
    def grid(self) -> tuple[int, int, int]:
        return self.frames // self.patch[0], self.size // self.patch[1], self.size // self.patch[2]

    @property
    def length(self) -> int:
        return self.grid[0] * self.grid[1] * self.grid[2]


def manifest(s: Shape) -> dict[str, tuple[int, ...]]:
    """Keys and shapes of the published state dict."""
    shapes: dict[str, tuple[int, ...]] = {
        "patch_embed.proj.weight": (s.dim, 3, *s.patch), "patch_embed.proj.bias": (s.dim,),
        "norm.weight": (s.dim,), "norm.bias": (s.dim,),
    }  # fmt: skip
    if s.cls:
        shapes["cls_token"] = (1, 1, s.dim)
    shapes |= _positions("pos_embed", s, s.dim, s.sep)
    for i in range(s.depth):
        shapes |= _block(f"blocks.{i}", s.dim, s.fused, s.bias)
    if s.classes is not None:
        head = "head.projection" if s.projection else "head"
        return shapes | {f"{head}.weight": (s.classes, s.dim), f"{head}.bias": (s.classes,)}
    values = s.pred // s.grid[0] * s.patch[1] * s.patch[2] * 3
    shapes |= {
        "mask_token": (1, 1, s.dec_dim),
        "decoder_embed.weight": (s.dec_dim, s.dim),
        "decoder_embed.bias": (s.dec_dim,),
    }
    if s.cls and not s.pyslowfast:
        shapes["decoder_cls_token"] = (1, 1, s.dec_dim)
    separable = s.dec_sep if s.pyslowfast else s.sep
    shapes |= _positions("dec_pos_embed" if s.pyslowfast and separable else "decoder_pos_embed", s, s.dec_dim, separable)
    for i in range(s.dec_depth):
        shapes |= _block(_decoder_block(s, i), s.dec_dim, s.fused, s.bias)
    norm, pred = _decoder_end(s)
    shapes |= {f"{norm}.weight": (s.dec_dim,), f"{norm}.bias": (s.dec_dim,)}
    return shapes | {f"{pred}.weight": (values, s.dec_dim), f"{pred}.bias": (values,)}


def random_state(s: Shape, seed: int = 0) -> dict[str, Tensor]:
    """Values of a size at which every part of the model shows in its output."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for key, shape in manifest(s).items():
        scale = 0.3 if len(shape) == 1 else 0.5 if "embed" in key or "token" in key else 0.15
        shift = 1.0 if "norm" in key and key.endswith("weight") else 0.0
        state[key] = shift + scale * torch.randn(shape, generator=generator)
    return state


def classify(state: dict[str, Tensor], s: Shape, video: Tensor, pool: str = "mean") -> dict[str, Tensor]:
    """Logits and the last tokens.

    pool: mean (then norm), rest (mean without the first token, then norm), class, norm_mean (norm, then mean).
    """
    x = encode(state, s, video)
    if pool == "mean":
        pooled = _norm(state, "norm", x[:, int(s.cls) :].mean(1))
    elif pool == "rest":
        pooled = _norm(state, "norm", x[:, 1:].mean(1))
    elif pool == "class":
        pooled = _norm(state, "norm", x)[:, 0]
    else:
        pooled = _norm(state, "norm", x).mean(1)
    head = "head.projection" if s.projection else "head"
    return {"last_tokens": x, "logits": _linear(state, head, pooled)}


def pretrain(
    state: dict[str, Tensor], s: Shape, video: Tensor, noise: Tensor, num_keep: int, normalise: bool
) -> dict[str, Tensor]:
    """Latent (with the class token), mask, prediction and target of all tokens, loss."""
    order = noise.argsort(1)
    latent = _norm(state, "norm", encode(state, s, video, order[:, :num_keep]))
    x = _linear(state, "decoder_embed", latent)
    tokens = state["mask_token"].repeat(len(x), s.length, 1)
    for n in range(len(x)):
        tokens[n, order[n, :num_keep]] = x[n, int(s.cls) :]
    separable = s.dec_sep if s.pyslowfast else s.sep
    prefix = "dec_pos_embed" if s.pyslowfast and separable else "decoder_pos_embed"
    if s.cls:
        first = x[:, :1] if s.pyslowfast else state["decoder_cls_token"].expand(len(x), -1, -1)
        tokens = torch.cat([first, tokens], 1)
    tokens = tokens + _table(state, prefix, s, separable)
    for i in range(s.dec_depth):
        tokens = _run_block(state, _decoder_block(s, i), tokens, s.dec_heads)
    norm, pred = _decoder_end(s)
    prediction = _linear(state, pred, _norm(state, norm, tokens))[:, int(s.cls) :]
    target = _target(s, video)
    if normalise:
        target = (target - target.mean(-1, keepdim=True)) / (target.var(-1, keepdim=True) + 1e-6).sqrt()
    mask = torch.ones(len(x), s.length)
    for n in range(len(x)):
        mask[n, order[n, :num_keep]] = 0
    loss = ((prediction - target).square().mean(-1) * mask).sum() / mask.sum()
    return {"latent": latent, "mask": mask, "prediction": prediction, "target": target, "loss": loss}


def encode(state: dict[str, Tensor], s: Shape, video: Tensor, keep: Tensor | None = None) -> Tensor:
    """Tokens after the last block, class token first."""
    x = functional.conv3d(video, state["patch_embed.proj.weight"], state["patch_embed.proj.bias"], s.patch)
    x = x.flatten(2).transpose(1, 2)
    table = _table(state, "pos_embed", s, s.sep)
    x = x + table[:, int(s.cls) :]
    if keep is not None:
        x = torch.stack([tokens[index] for tokens, index in zip(x, keep)])
    if s.cls:
        x = torch.cat([(state["cls_token"] + table[:, :1]).expand(len(x), -1, -1), x], 1)
    for i in range(s.depth):
        x = _run_block(state, f"blocks.{i}", x, s.heads)
    return x


def _target(s: Shape, video: Tensor) -> Tensor:
    """Patches of the predicted frames, colour fastest, one loop per axis."""
    u = s.pred // s.grid[0]
    if s.pyslowfast:
        frames = list(range(0, s.frames, s.frames // s.pred))
    else:
        frames = [int(i * (s.frames - 1) / (s.pred - 1)) for i in range(s.pred)]
    chosen, rows = video[:, :, frames], []
    for t in range(s.grid[0]):
        for y in range(s.grid[1]):
            for x in range(s.grid[2]):
                p, q = s.patch[1:]
                part = chosen[:, :, t * u : (t + 1) * u, y * p : (y + 1) * p, x * q : (x + 1) * q]
                rows.append(part.permute(0, 2, 3, 4, 1).flatten(1))
    return torch.stack(rows, 1)


def _table(state: dict[str, Tensor], prefix: str, s: Shape, separable: bool) -> Tensor:
    if not separable:
        return state[prefix]
    spatial, temporal = state[f"{prefix}_spatial"], state[f"{prefix}_temporal"]
    rows = [spatial[:, i] + temporal[:, t] for t in range(s.grid[0]) for i in range(s.grid[1] * s.grid[2])]
    table = torch.stack(rows, 1)
    return torch.cat([state[f"{prefix}_class"], table], 1) if s.cls else table


def _run_block(state: dict[str, Tensor], prefix: str, x: Tensor, heads: int) -> Tensor:
    y = _norm(state, f"{prefix}.norm1", x)
    if f"{prefix}.attn.qkv.weight" in state:
        q, k, v = _linear(state, f"{prefix}.attn.qkv", y).chunk(3, -1)
    else:
        q, k, v = (_linear(state, f"{prefix}.attn.{part}", y) for part in "qkv")
    outs = []
    for a, b, c in zip(q.chunk(heads, -1), k.chunk(heads, -1), v.chunk(heads, -1)):
        outs.append((a @ b.transpose(1, 2) * a.shape[-1] ** -0.5).softmax(-1) @ c)
    x = x + _linear(state, f"{prefix}.attn.proj", torch.cat(outs, -1))
    y = functional.gelu(_linear(state, f"{prefix}.mlp.fc1", _norm(state, f"{prefix}.norm2", x)))
    return x + _linear(state, f"{prefix}.mlp.fc2", y)


def _norm(state: dict[str, Tensor], key: str, x: Tensor) -> Tensor:
    x = (x - x.mean(-1, keepdim=True)) / (x.var(-1, unbiased=False, keepdim=True) + 1e-6).sqrt()
    return x * state[f"{key}.weight"] + state[f"{key}.bias"]


def _linear(state: dict[str, Tensor], key: str, x: Tensor) -> Tensor:
    y = x @ state[f"{key}.weight"].T
    return y + state[f"{key}.bias"] if f"{key}.bias" in state else y


def _decoder_block(s: Shape, i: int) -> str:
    return f"pred_head.transforms.0.{i}" if s.pyslowfast else f"decoder_blocks.{i}"


def _decoder_end(s: Shape) -> tuple[str, str]:
    if s.pyslowfast:
        return f"pred_head.transforms.0.{s.dec_depth}", "pred_head.projections.0"
    return "decoder_norm", "decoder_pred"


def _positions(prefix: str, s: Shape, dim: int, separable: bool) -> dict[str, tuple[int, ...]]:
    if not separable:
        return {prefix: (1, s.length + int(s.cls), dim)}
    shapes: dict[str, tuple[int, ...]] = {
        f"{prefix}_spatial": (1, s.grid[1] * s.grid[2], dim),
        f"{prefix}_temporal": (1, s.grid[0], dim),
    }
    return shapes | ({f"{prefix}_class": (1, 1, dim)} if s.cls else {})


def _block(prefix: str, dim: int, fused: bool, bias: bool) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for part in ("qkv",) if fused else "qkv":
        rows = 3 * dim if fused else dim
        shapes[f"{prefix}.attn.{part}.weight"] = (rows, dim)
        if bias:
            shapes[f"{prefix}.attn.{part}.bias"] = (rows,)
    linear: dict[str, tuple[int, int]] = {"attn.proj": (dim, dim), "mlp.fc1": (4 * dim, dim), "mlp.fc2": (dim, 4 * dim)}
    for name, shape in linear.items():
        shapes |= {f"{prefix}.{name}.weight": shape, f"{prefix}.{name}.bias": shape[:1]}
    for name in ("norm1", "norm2"):
        shapes |= {f"{prefix}.{name}.weight": (dim,), f"{prefix}.{name}.bias": (dim,)}
    return shapes


def config_of(s: Shape, **more: Any) -> dict[str, Any]:
    """The configuration that a conformance case of this geometry has."""
    if s.pyslowfast:
        return {
            "embed_dim": s.dim, "depth": s.depth, "num_heads": s.heads, "num_frames": s.frames, "crop": s.size,
            "patch_kernel": list(s.patch), "mlp_ratio": 4.0, "qkv_bias": s.bias, "cls_embed_on": s.cls, "sep_pos_embed": s.sep,
            "decoder_embed_dim": s.dec_dim, "decoder_depth": s.dec_depth, "decoder_heads": s.dec_heads, "use_abs_pos": True,
            "decoder_sep_pos_embed": s.dec_sep, "time_stride_loss": s.pred == s.grid[0], "use_mean_pooling": True,
            "num_classes": s.classes or 400, **more,
        }  # fmt: skip
    return {
        "num_heads": s.heads, "num_frames": s.frames, "t_patch_size": s.patch[0], "cls_embed": s.cls, "sep_pos_embed": s.sep,
        "decoder_embed_dim": s.dec_dim, "decoder_depth": s.dec_depth, "decoder_num_heads": s.dec_heads, "pred_t_dim": s.pred,
        "num_classes": s.classes or 400, "model": "mae_vit_base_patch16", **more,
    }  # fmt: skip
