"""Published checkpoints of MViTv2: PySlowFast, the image repository, torchvision, timm, and our own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from vidmodels.backbones.mvit_keys import PYSLOWFAST, TORCHVISION, VIDMODELS, block_rules
from vidmodels.backbones.mvit_weights import Inflate, load_mvit
from vidmodels.weights.files import read_state
from vidmodels.weights.load import LoadReport
from vidmodels.weights.patterns import Format, Rule

_TIMM_BLOCK = re.compile(r"stages\.(\d+)\.blocks\.(\d+)\.(.+)")

# of keys whose blocks were numbered through, see `numbered`
TIMM = Format(
    "timm",
    signature=(r"timm\.blocks\.0\.norm1\.weight", r"patch_embed\.proj\.weight"),
    rules=(
        Rule(r"patch_embed\.proj\.(weight|bias)", "backbone.patch_embed.{0}"),
        Rule(r"cls_token", "backbone.cls_token"),
        Rule(r"pos_embed", "backbone.pos.table"),
        *block_rules(r"timm\.blocks\.(\d+)\."),
        Rule(r"timm\.blocks\.(\d+)\.shortcut_proj_(?:attn|mlp)\.(weight|bias)", "backbone.layers.{0}.project.{1}"),
        Rule(r"norm\.(weight|bias)", "backbone.norm.{0}"),
        Rule(r"head\.fc\.(weight|bias)", "head.projection.{0}"),
    ),
)
# the image repository has PySlowFast's keys, its kernels four or five axes
FORMATS = (VIDMODELS, TIMM, TORCHVISION, PYSLOWFAST)


def load(model: nn.Module, path: str | Path, allow: tuple[str, ...] = (), inflate: Inflate = "center") -> LoadReport:
    """Load any published or own checkpoint into a classifier or a detector of actions.

    allow: patterns of our keys that the file may lack or have in vain, such as head.* where the classes differ. inflate:
    how kernels of an image model become those of a video model, in the middle frame or repeated. Raises WeightsError.
    """
    state, metadata = read_state(path)
    return load_tensors(model, state, str(path), allow, metadata, inflate)


def load_tensors(
    model: nn.Module,
    state: dict[str, Tensor],
    source: str,
    allow: tuple[str, ...] = (),
    metadata: dict[str, Any] | None = None,
    inflate: Inflate = "center",
) -> LoadReport:
    """Load a state dict with a published format's keys; see `load`."""
    return load_mvit(model, numbered(state), source, FORMATS, allow, metadata, inflate)


def numbered(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """timm's keys with blocks numbered through all stages; other keys as they are."""
    places = sorted({(int(m[1]), int(m[2])) for m in map(_TIMM_BLOCK.fullmatch, state) if m})
    numbers = {place: i for i, place in enumerate(places)}
    renamed = {}
    for key, value in state.items():
        match = _TIMM_BLOCK.fullmatch(key)
        renamed[f"timm.blocks.{numbers[int(match[1]), int(match[2])]}.{match[3]}" if match else key] = value
    return renamed
