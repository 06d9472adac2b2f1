"""Small channel-separated and R(2+1)D networks for the tests."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor

from tests.systems.mae_st.parts import stirred
from vidmodels.zoo import create_model

TINY = {"depth": (1, 2, 1, 1), "width": 8, "num_classes": 5, "size": 64}
NAMES = ("csn_r101", "r2plus1d_r50")


def tiny(name: str, seed: int = 0, **changes: Any) -> Any:
    """A model of the zoo made small, with noise on all parameters and statistics."""
    torch.manual_seed(seed)
    model = stirred(create_model(name, **{**TINY, **changes}), seed)
    generator = torch.Generator().manual_seed(seed + 2)
    with torch.no_grad():
        for key, buffer in model.named_buffers():
            if key.endswith("running_mean"):
                buffer.copy_(0.1 * torch.randn(buffer.shape, generator=generator))
            elif key.endswith("running_var"):
                buffer.copy_(1 + 0.1 * torch.rand(buffer.shape, generator=generator))
    return model


def clips(n: int = 2, frames: int = 8, size: int = 64, seed: int = 0) -> Tensor:
    return torch.randn(n, 3, frames, size, size, generator=torch.Generator().manual_seed(seed))


def pytorchvideo_of(model) -> dict[str, Tensor]:
    """A model's state under PyTorchVideo's names, written here apart from the tables under test."""
    found = {}
    for key, value in model.state_dict().items():
        key = key.removeprefix("backbone.").replace("stem.", "blocks.0.").replace("head.projection.", "blocks.5.proj.")
        key = re.sub(r"^res(\d)\.blocks\.", lambda match: f"blocks.{int(match[1]) - 1}.res_blocks.", key)
        key = key.replace(".shortcut.conv.", ".branch1_conv.").replace(".shortcut.norm.", ".branch1_norm.")
        found[re.sub(r"(res_blocks\.\d+)\.(conv|norm)_", r"\1.branch2.\2_", key)] = value.clone()
    return found
