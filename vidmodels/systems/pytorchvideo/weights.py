"""PyTorchVideo's checkpoints of the networks that are this system's own, and how they fit our models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from vidmodels.backbones.resnet3d_weights import fit_kernel, pytorchvideo_pathway
from vidmodels.weights.files import read_state
from vidmodels.weights.load import LoadReport, load_state, open_state
from vidmodels.weights.patterns import Format, Rule

VIDMODELS = Format("vidmodels", (r"backbone\..+",), (Rule(r"((?:backbone|head)\..+)", "{0}"),))
PYTORCHVIDEO = Format(
    "PyTorchVideo",
    signature=(r"blocks\.0\.conv\.weight", r"blocks\.2\.res_blocks\.0\..+"),
    rules=(*pytorchvideo_pathway("", "backbone."), Rule(r"blocks\.5\.proj\.(weight|bias)", "head.projection.{0}")),
)
FORMATS = (VIDMODELS, PYTORCHVIDEO)


def load(model: nn.Module, path: str | Path, allow: tuple[str, ...] = ()) -> LoadReport:
    """Load a published or own checkpoint into a channel-separated or R(2+1)D network.

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
    _, tensors, report = open_state(state, FORMATS, source, metadata)
    return load_state(model, tensors, report, [*allow, "*.num_batches_tracked"], allow, fit_kernel)
