"""Published checkpoints of MaskFeat: PySlowFast's of pre-training and of fine-tuning, and our own.

A pre-trained file starts a classifier: the norm and the head are new, the mask token and the prediction heads have no
counterpart, and tables of relative positions are resized where the last stage pools again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from vidmodels.backbones.mvit_keys import PYSLOWFAST, VIDMODELS
from vidmodels.backbones.mvit_weights import Inflate, load_mvit
from vidmodels.systems.maskfeat.model import MaskedFeaturePredictor
from vidmodels.weights.files import read_state
from vidmodels.weights.load import LoadReport
from vidmodels.weights.patterns import Drop, Format, Rule

PRETRAINED = Format(
    "PySlowFast, pre-training",
    signature=(r"mask_token", r"pred_head\.projections\.0\.weight", r"patch_embed\.proj\.weight"),
    # a decoder's blocks: a masked autoencoder of the same repository
    unless=(r"pred_head\.transforms\.\d+\.\d+\.attn\..+",),
    rules=(
        *PYSLOWFAST.rules,
        Rule(r"mask_token", "mask_token"),
        Rule(r"pred_head\.transforms\.(\d+)\.0\.(weight|bias)", "heads.{0}.norm.{1}"),
        Rule(r"pred_head\.projections\.(\d+)\.(weight|bias)", "heads.{0}.projection.{1}"),
        Drop(r"hogs\..+", "the Sobel kernels, which are constants"),
    ),
)
VIDMODELS_PRETRAINED = Format(
    "vidmodels", (r"mask_token", r"heads\.0\.norm\.weight"), (Rule(r"((?:backbone|heads)\..+|mask_token)", "{0}"),)
)
FORMATS = (VIDMODELS_PRETRAINED, VIDMODELS, PRETRAINED, PYSLOWFAST)

_ONLY_PRETRAINED, _ONLY_FINETUNED = ("mask_token", "heads.*"), ("head.*",)


def load(model: nn.Module, path: str | Path, allow: tuple[str, ...] = (), inflate: Inflate = "center") -> LoadReport:
    """Load any published or own checkpoint into a predictor of masked features, a classifier or a detector.

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
    pretrained = "mask_token" in state
    if pretrained is not isinstance(model, MaskedFeaturePredictor):
        allow += _ONLY_PRETRAINED + _ONLY_FINETUNED
    return load_mvit(model, state, source, FORMATS, allow, metadata, inflate)
