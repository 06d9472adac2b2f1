"""Published checkpoints of the SlowFast family: their formats, and how they fit our models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from vidmodels.backbones import resnet3d_weights as tables
from vidmodels.backbones.slowfast import SlowFast
from vidmodels.core.errors import WeightsError
from vidmodels.weights.files import read_state
from vidmodels.weights.load import LoadReport, load_state, open_state
from vidmodels.weights.patterns import Format, Rule

_SLOW, _FAST, _LATERALS, _ONE = "backbone.slow.", "backbone.fast.", "backbone.laterals.", "backbone."
_MULTI = r"multipathway_blocks\.{}\."

VIDMODELS = Format("vidmodels", (r"backbone\..+",), (Rule(r"((?:backbone|head)\..+)", "{0}"),))
PYSLOWFAST_TWO = Format(
    "PySlowFast",
    signature=(r"s1\.pathway0_stem\.conv\.weight", r"s1\.pathway1_stem\.conv\.weight"),
    rules=(
        *tables.pyslowfast_pathway(0, _SLOW),
        *tables.pyslowfast_pathway(1, _FAST),
        *tables.pyslowfast_laterals(_LATERALS),
        *tables.HEAD_RULES["pyslowfast"],
        tables.SUB_BN_DROP,
    ),
)
PYSLOWFAST_ONE = Format(
    "PySlowFast",
    signature=(r"s1\.pathway0_stem\.conv\.weight",),
    unless=(r"s1\.pathway1_stem\.conv\.weight",),
    rules=(*tables.pyslowfast_pathway(0, _ONE), *tables.HEAD_RULES["pyslowfast"], tables.SUB_BN_DROP),
)
PYTORCHVIDEO_TWO = Format(
    "PyTorchVideo",
    signature=(r"blocks\.0\.multipathway_blocks\.1\.conv\.weight",),
    unless=(r"blocks\.0\.multipathway_blocks\.2\..+",),
    rules=(
        *tables.pytorchvideo_pathway(_MULTI.format(0), _SLOW),
        *tables.pytorchvideo_pathway(_MULTI.format(1), _FAST),
        *tables.pytorchvideo_laterals(_LATERALS),
        Rule(r"(?:blocks\.6|detection_head)\.proj\.(weight|bias)", "head.projection.{0}"),
    ),
)
# the pooling after res2 is a block of its own in C2D and I3D, so that all later numbers are one higher
PYTORCHVIDEO_ONE = Format(
    "PyTorchVideo",
    signature=(r"blocks\.0\.conv\.weight", r"blocks\.2\.res_blocks\.0\..+"),
    rules=(
        *tables.pytorchvideo_pathway("", _ONE),
        Rule(r"(?:blocks\.5|detection_head)\.proj\.(weight|bias)", "head.projection.{0}"),
    ),
)
PYTORCHVIDEO_POOLED = Format(
    "PyTorchVideo",
    signature=(r"blocks\.0\.conv\.weight", r"blocks\.5\.res_blocks\.0\..+"),
    unless=(r"blocks\.2\.res_blocks\..+",),
    rules=(*tables.pytorchvideo_pathway("", _ONE, pooled=True), Rule(r"blocks\.6\.proj\.(weight|bias)", "head.projection.{0}")),
)
CAFFE2_TWO = Format(
    "Caffe2",
    signature=(r"conv1_w", r"t_conv1_w"),
    rules=(
        *tables.caffe2_pathway("", _SLOW),
        *tables.caffe2_pathway("t_", _FAST),
        *tables.caffe2_laterals(_LATERALS),
        *tables.HEAD_RULES["caffe2"],
        *tables.CAFFE2_DROPS,
    ),
)
CAFFE2_ONE = Format(
    "Caffe2",
    signature=(r"conv1_w", r"res2_0_branch1_w"),
    unless=(r"t_conv1_w", r"conv1_xy_w"),
    rules=(*tables.caffe2_pathway("", _ONE), *tables.HEAD_RULES["caffe2"], *tables.CAFFE2_DROPS),
)
CONTRASTIVE = tables.contrastive(_ONE)
FORMATS = (
    *CONTRASTIVE,
    VIDMODELS,
    PYSLOWFAST_TWO,
    PYSLOWFAST_ONE,
    PYTORCHVIDEO_TWO,
    PYTORCHVIDEO_ONE,
    PYTORCHVIDEO_POOLED,
    CAFFE2_TWO,
    CAFFE2_ONE,
    tables.imagenet_2d(_ONE),
)


def load(model: nn.Module, path: str | Path, allow: tuple[str, ...] = ()) -> LoadReport:
    """Load any published or own checkpoint into a model of the family.

    allow: patterns of our keys that the file may lack or have in vain, such as head.* where the classes differ.
    Raises WeightsError.
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
    # a detector of PyTorchVideo has its backbone below `model.`
    state = {key.removeprefix("model."): value for key, value in state.items()}
    form, tensors, report = open_state(state, FORMATS, source, metadata)
    _check_pathways(model, tensors, source)
    new = [*allow, "*.num_batches_tracked"]
    if form is FORMATS[-1] or form in CONTRASTIVE:
        new += ["head.*"]
    return load_state(model, tensors, report, new, allow, tables.fit_kernel)


def _check_pathways(model: nn.Module, tensors: dict[str, Tensor], source: str) -> None:
    two = any(key.startswith(_FAST) for key in tensors)
    wants = isinstance(getattr(model, "backbone", None), SlowFast)
    if two != wants:
        have, want = ("two pathways", "one") if two else ("one pathway", "two")
        raise WeightsError(f"{source} holds a network of {have}, the model has {want}: create the model that it was saved from")
