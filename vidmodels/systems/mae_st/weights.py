"""Published checkpoints of MAE-ST: their formats, and how they fit our models.

Single-purpose files (the `mae_st` repository) have separate q, k, v and a separable decoder with a class token of its
own; PySlowFast files have a joint qkv and a decoder inside `pred_head` that carries the encoder's class token. Encoders
convert exactly; decoders do not (other class token, positions and heads), so across the forms only the encoder loads.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vidmodels.layers.positions import resize_joint, resize_spatial, resize_temporal
from vidmodels.systems.mae_st.model import MaskedAutoencoder
from vidmodels.weights.files import read_state
from vidmodels.weights.load import LoadReport, load_state, open_state
from vidmodels.weights.patterns import Drop, Format, Rule

_ENCODER = (
    Rule(r"(patch_embed)\.proj\.(.+)", "encoder.{0}.{1}"),
    Rule(r"(cls_token)", "encoder.{0}"),
    Rule(r"pos_embed_(spatial|temporal)", "encoder.pos.{0}"),
    Rule(r"pos_embed_class", "encoder.pos.cls"),
    Rule(r"pos_embed", "encoder.pos.table"),
    Rule(r"(blocks\.\d+\.(?:norm1|norm2|mlp\.fc1|mlp\.fc2|attn\.qkv|attn\.proj)\.(?:weight|bias))", "encoder.{0}"),
    *(Rule(rf"(blocks\.\d+\.attn)\.{p}\.(weight|bias)", "encoder.{0}.qkv.{1}", p) for p in "qkv"),
    Rule(r"norm\.(weight|bias)", "norm.{0}"),
    Rule(r"fc_norm\.(weight|bias)", "norm.{0}"),
    Rule(r"head\.(?:projection\.)?(weight|bias)", "head.{0}"),
)
_DECODER_BLOCK = r"((?:norm1|norm2|mlp\.fc1|mlp\.fc2|attn\.qkv|attn\.proj)\.(?:weight|bias))"

MAE_ST = Format(
    "mae_st",
    signature=(r"pos_embed_spatial|pos_embed", r"blocks\.0\.attn\.(q|qkv)\.weight"),
    unless=(r"pred_head\..+",),
    rules=(
        *_ENCODER,
        Rule(r"decoder_(embed|norm|pred)\.(weight|bias)", "decoder.{0}.{1}"),
        Rule(r"decoder_cls_token", "decoder.cls_token"),
        Rule(r"mask_token", "decoder.mask_token"),
        Rule(r"decoder_pos_embed_(spatial|temporal)", "decoder.pos.{0}"),
        Rule(r"decoder_pos_embed_class", "decoder.pos.cls"),
        Rule(r"decoder_pos_embed", "decoder.pos.table"),
        Rule(rf"decoder_blocks\.(\d+)\.{_DECODER_BLOCK}", "decoder.blocks.{0}.{1}"),
        *(Rule(rf"decoder_blocks\.(\d+)\.attn\.{p}\.(weight|bias)", "decoder.blocks.{0}.attn.qkv.{1}", p) for p in "qkv"),
    ),
)

PYSLOWFAST = Format(
    "pyslowfast",
    signature=(r"pred_head\.projections\.0\.weight", r"mask_token"),
    rules=(
        *_ENCODER,
        Rule(r"mask_token", "decoder.mask_token"),
        Rule(r"decoder_embed\.(weight|bias)", "decoder.embed.{0}"),
        Rule(r"decoder_pos_embed|dec_pos_embed", "decoder.pos.table"),
        Rule(r"(?:decoder|dec)_pos_embed_(spatial|temporal)", "decoder.pos.{0}"),
        Rule(r"(?:decoder|dec)_pos_embed_class", "decoder.pos.cls"),
        Rule(rf"pred_head\.transforms\.0\.(\d+)\.{_DECODER_BLOCK}", "decoder.blocks.{0}.{1}"),
        *(Rule(rf"pred_head\.transforms\.0\.(\d+)\.attn\.{p}\.(weight|bias)", "decoder.blocks.{0}.attn.qkv.{1}", p)
          for p in "qkv"),
        Rule(r"pred_head\.transforms\.0\.\d+\.(weight|bias)", "decoder.norm.{0}"),
        Rule(r"pred_head\.projections\.0\.(weight|bias)", "decoder.pred.{0}"),
        Drop(r"hogs\..+", "a filter of another target"),
    ),
)  # fmt: skip

_OURS = r"((?:encoder|decoder|norm|head)\..+)"
VIDMODELS = Format("vidmodels", signature=(r"encoder\.patch_embed\.weight",), rules=(Rule(_OURS, "{0}"),))

FORMATS = (VIDMODELS, PYSLOWFAST, MAE_ST)


def load(model: nn.Module, path: str | Path, allow: tuple[str, ...] = ()) -> LoadReport:
    """Load any published or own checkpoint into a masked autoencoder, a classifier or an image classifier.

    allow: further patterns of our keys that the file may lack or have in vain. Raises WeightsError.
    """
    state, metadata = read_state(path)
    return load_tensors(model, state, str(path), allow, metadata)


def load_tensors(
    model: nn.Module,
    state: dict[str, Tensor],
    source: str,
    allow: tuple[str, ...] = (),
    metadata: dict[str, Any] | None = None,
) -> LoadReport:
    """Load a state dict with a published format's keys; see `load`."""
    form, tensors, report = open_state(state, FORMATS, source, metadata)
    new, vain = list(allow), list(allow)
    if isinstance(model, MaskedAutoencoder):
        vain += ["head.*"]
        _check_decoder(model, form, tensors, report)
        if not any(key.startswith("decoder.") for key in tensors):
            new += ["decoder.*"]
    else:
        # the encoder of a pre-training file; its head is new, and the report says so
        vain += ["decoder.*"]
        new += ["head.*"]
    if "norm.weight" not in tensors:
        new += ["norm.*"]
    return load_state(model, tensors, report, new, vain, resize)


def _check_decoder(model: MaskedAutoencoder, form: Format, tensors: dict[str, Tensor], report: LoadReport) -> None:
    """Drop a decoder of the other published form: equal shapes would load, and compute something else."""
    foreign = (form is PYSLOWFAST and model.decoder.config.own_class_token) or (
        form is MAE_ST and not model.decoder.config.own_class_token
    )
    keys = [key for key in tensors if key.startswith("decoder.")]
    if foreign and keys:
        other = "PySlowFast's" if form is PYSLOWFAST else "the single-purpose code's"
        for key in keys:
            del tensors[key]
            report.dropped[key] = f"{other} decoder computes another function: only the encoder is loaded"


@torch.no_grad()
def resize(key: str, value: Tensor, model: nn.Module) -> Tensor | None:
    """Positions for another crop or clip length, a 2-D patch kernel for a 3-D one and back."""
    target = model.state_dict()[key]
    part: Any = getattr(model, key.split(".", 1)[0], None)
    if key.endswith("patch_embed.weight"):
        return _resize_patch_kernel(value, target)
    if value.ndim != target.ndim or value.shape[-1] != target.shape[-1]:
        return None
    if key.endswith("pos.temporal"):
        return resize_temporal(value, target.shape[1])
    if key.endswith("pos.spatial"):
        new = part.pos.grid[1:]
        side = _square_side(value.shape[1])
        return None if side is None else resize_spatial(value, (side, side), new)
    if key.endswith("pos.table"):
        pos = part.pos
        first = int(pos.class_token)
        steps = pos.grid[0]
        side = _square_side((value.shape[1] - first) // steps) if (value.shape[1] - first) % steps == 0 else None
        if side is None:
            steps, side = 1, _square_side(value.shape[1] - first)  # a 2-D table is repeated over time
        if side is None:
            return None
        tokens = resize_joint(value[:, first:], (steps, side, side), pos.grid)
        return torch.cat([value[:, :first], tokens], dim=1)
    return None


def _resize_patch_kernel(value: Tensor, target: Tensor) -> Tensor | None:
    """A 2-D kernel becomes 3-D by repetition over time divided by the length, so that a still clip gives the same."""
    if value.ndim == 4:
        value = value.unsqueeze(2)
    if value.ndim != 5 or value.shape[:2] != target.shape[:2] or value.shape[3:] != target.shape[3:]:
        return None
    if target.shape[2] == 1:
        return value.sum(2, keepdim=True)
    if value.shape[2] == 1:
        return value.repeat(1, 1, target.shape[2], 1, 1) / target.shape[2]
    return None


def _square_side(count: int) -> int | None:
    side = round(count**0.5)
    return side if side * side == count else None
