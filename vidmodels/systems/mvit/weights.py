"""Published checkpoints of MViT: PySlowFast, PyTorchVideo, torchvision, and our own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from vidmodels.backbones.mvit_keys import PYSLOWFAST, PYTORCHVIDEO, TORCHVISION, VIDMODELS
from vidmodels.backbones.mvit_weights import Inflate, load_mvit
from vidmodels.weights.files import read_state
from vidmodels.weights.load import LoadReport

_TWICE = re.compile(r"(blocks\.\d+\.attn\.)_attention_pool_([qkv])\.(pool|norm)\.(weight|bias)")

FORMATS = (VIDMODELS, PYTORCHVIDEO, TORCHVISION, PYSLOWFAST)


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
    return load_mvit(model, _once(state), source, FORMATS, allow, metadata, inflate)


def _once(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """PyTorchVideo lists each pool a second time, one tensor under two names; where they differ, the second counts there."""
    single = dict(state)
    for key, value in state.items():
        if match := _TWICE.fullmatch(key):
            block, part, kind, name = match.groups()
            single[f"{block}{kind}_{part}.{name}"] = value
    return single
