"""Small models of the SlowFast family for the tests."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tests.systems.mae_st.parts import stirred
from vidmodels.zoo import create_model

TINY = {"depth": (1, 2, 1, 1), "width": 8, "num_classes": 5, "size": 64}


def tiny(name: str, seed: int = 0, **changes: Any) -> Any:
    """A model of the zoo made small, with noise on all parameters and statistics."""
    torch.manual_seed(seed)
    fast = {"beta_inv": 4} if name.startswith("slowfast") else {}
    model = stirred(create_model(name, **{**TINY, **fast, **changes}), seed)
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
