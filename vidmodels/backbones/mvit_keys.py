"""Key tables of the published formats of multiscale vision transformers, and what the keys of a file say about its model.

Where a layout has separate q, k and v they are joined. Kernels of image models may lack the axis of time.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from torch import Tensor

from vidmodels.weights.patterns import Drop, Format, Rule

_PARAM = r"(weight|bias)"
_AXES = {"h": "height", "w": "width", "t": "time"}


def block_rules(at: str = r"blocks\.(\d+)\.") -> tuple[Rule, ...]:
    """Rules for the blocks of PySlowFast's layout, on which those of the image repository, PyTorchVideo and timm are built."""
    to = "backbone.layers.{0}."
    return (
        Rule(rf"{at}(norm1|norm2|mlp\.fc1|mlp\.fc2|attn\.qkv|attn\.proj)\.{_PARAM}", to + "{1}.{2}"),
        *(Rule(rf"{at}attn\.{part}\.{_PARAM}", to + "attn.qkv.{1}", part) for part in "qkv"),
        Rule(rf"{at}attn\.(pool_[qkv])\.weight", to + "attn.{1}.conv.weight"),
        Rule(rf"{at}attn\.norm_([qkv])\.{_PARAM}", to + "attn.pool_{1}.norm.{2}"),
        *relative_rules(at),
        Rule(rf"{at}proj\.{_PARAM}", to + "project.{1}"),
    )


def relative_rules(at: str = r"blocks\.(\d+)\.") -> tuple[Rule, ...]:
    """Rules for the tables of relative positions."""
    return tuple(
        Rule(rf"{at}attn\.rel_pos_{letter}", f"backbone.layers.{{0}}.attn.relative.{axis}") for letter, axis in _AXES.items()
    )


VIDMODELS = Format("vidmodels", (r"backbone\.patch_embed\.weight",), (Rule(r"((?:backbone|head)\..+)", "{0}"),))

PYSLOWFAST = Format(
    "PySlowFast",
    signature=(r"patch_embed\.proj\.weight", r"blocks\.0\.norm1\.weight", r"blocks\.0\.attn\.(q|qkv)\.weight"),
    rules=(
        Rule(rf"patch_embed\.proj\.{_PARAM}", "backbone.patch_embed.{0}"),
        Rule(r"cls_token", "backbone.cls_token"),
        Rule(r"pos_embed_(spatial|temporal)", "backbone.pos.{0}"),
        Rule(r"pos_embed_class", "backbone.pos.cls"),
        Rule(r"pos_embed", "backbone.pos.table"),
        *block_rules(),
        Rule(rf"norm\.{_PARAM}", "backbone.norm.{0}"),
        Rule(rf"head\.projection\.{_PARAM}", "head.projection.{0}"),
    ),
)

TORCHVISION = Format(
    "torchvision",
    signature=(r"conv_proj\.weight", r"blocks\.0\.attn\.qkv\.weight"),
    rules=(
        Rule(rf"conv_proj\.{_PARAM}", "backbone.patch_embed.{0}"),
        Rule(r"pos_encoding\.class_token", "backbone.cls_token"),
        Rule(r"pos_encoding\.(spatial|temporal)_pos", "backbone.pos.{0}"),
        Rule(r"pos_encoding\.class_pos", "backbone.pos.cls"),
        Rule(rf"blocks\.(\d+)\.(norm1|norm2|attn\.qkv|project)\.{_PARAM}", "backbone.layers.{0}.{1}.{2}"),
        Rule(rf"blocks\.(\d+)\.attn\.project\.0\.{_PARAM}", "backbone.layers.{0}.attn.proj.{1}"),
        Rule(r"blocks\.(\d+)\.attn\.(pool_[qkv])\.pool\.weight", "backbone.layers.{0}.attn.{1}.conv.weight"),
        Rule(rf"blocks\.(\d+)\.attn\.(pool_[qkv])\.norm_act\.0\.{_PARAM}", "backbone.layers.{0}.attn.{1}.norm.{2}"),
        *relative_rules(),
        Rule(rf"blocks\.(\d+)\.mlp\.0\.{_PARAM}", "backbone.layers.{0}.mlp.fc1.{1}"),
        Rule(rf"blocks\.(\d+)\.mlp\.3\.{_PARAM}", "backbone.layers.{0}.mlp.fc2.{1}"),
        Rule(rf"norm\.{_PARAM}", "backbone.norm.{0}"),
        Rule(rf"head\.1\.{_PARAM}", "head.projection.{0}"),
    ),
)

PYTORCHVIDEO = Format(
    "PyTorchVideo",
    signature=(r"patch_embed\.patch_model\.weight", r"blocks\.0\.norm1\.weight"),
    rules=(
        Rule(rf"patch_embed\.patch_model\.{_PARAM}", "backbone.patch_embed.{0}"),
        Rule(r"cls_positional_encoding\.cls_token", "backbone.cls_token"),
        Rule(r"cls_positional_encoding\.pos_embed_(spatial|temporal)", "backbone.pos.{0}"),
        Rule(r"cls_positional_encoding\.pos_embed_class", "backbone.pos.cls"),
        Rule(r"cls_positional_encoding\.pos_embed", "backbone.pos.table"),
        *block_rules(),
        Drop(r"blocks\.\d+\.attn\._attention_pool_[qkv]\..+", "pooling that the file lists a second time"),
        Rule(rf"norm_embed\.{_PARAM}", "backbone.norm.{0}"),
        Rule(rf"head\.proj\.{_PARAM}", "head.projection.{0}"),
    ),
)

_LAYER = r"backbone\.layers\.(\d+)\."


@dataclass(frozen=True)
class FileForm:
    """What tensors under our keys say about the model that they were saved from, by the names of MViTConfig's fields."""

    dim: int
    depth: int
    stage_starts: tuple[int, ...]
    growth: str
    pool_mode: str
    pool_every_query: bool
    pool_unstrided: bool
    pool_kernel: tuple[int, ...] | None
    class_token: bool
    positions: str
    relative_space: bool
    relative_time: bool
    qkv_bias: bool
    stem_frames: int

    @classmethod
    def read(cls, tensors: dict[str, Tensor]) -> FileForm:
        """The form of a translated file; where it has nothing to say about a field, what MViTConfig has by default."""

        def blocks(pattern: str) -> set[int]:
            return {int(m[1]) for key in tensors if (m := re.fullmatch(_LAYER + pattern, key))}

        depth = 1 + max(blocks(r".+"), default=-1)
        grown = sorted(blocks(r"project\.weight"))
        inside = [rows(tensors.get(f"backbone.layers.{i}.attn.proj.weight")) for i in grown]
        in_attention = any(n == rows(tensors[f"backbone.layers.{i}.project.weight"]) for i, n in zip(grown, inside))
        starts = tuple(i if in_attention else i + 1 for i in grown)
        q, k = blocks(r"attn\.pool_q\.conv\.weight"), blocks(r"attn\.pool_k\.conv\.weight")
        kernels = {tuple(v.shape[2:]) for key, v in tensors.items() if re.fullmatch(r".+\.pool_[qkv]\.conv\.weight", key)}
        stem = tensors.get("backbone.patch_embed.weight")
        table = "joint" if "backbone.pos.table" in tensors else "separable"
        return cls(
            dim=rows(stem),
            depth=depth,
            stage_starts=starts,
            growth="attention" if in_attention else "mlp",
            pool_mode="conv" if q | k else "max",
            pool_every_query=q == set(range(depth)),
            pool_unstrided=depth - 1 in k or not k,
            pool_kernel=next(iter(kernels)) if len(kernels) == 1 else None,
            class_token="backbone.cls_token" in tensors,
            positions=table if any(key.startswith("backbone.pos.") for key in tensors) else "none",
            relative_space=bool(blocks(r"attn\.relative\.height")),
            relative_time=bool(blocks(r"attn\.relative\.time")),
            qkv_bias=bool(blocks(r"attn\.qkv\.bias")),
            stem_frames=1 if stem is None or stem.ndim < 5 else stem.shape[2],
        )


def rows(value: Tensor | None) -> int:
    """The length of the first axis, 0 without one."""
    return 0 if value is None or value.ndim == 0 else value.shape[0]
