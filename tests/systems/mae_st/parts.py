"""Small models of MAE-ST, and models without memory, for the tests."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from vidmodels.systems.mae_st.model import MaskedAutoencoder, VideoClassifier
from vidmodels.zoo import create_model

TINY = {"dim": 48, "depth": 2, "num_heads": 4, "num_frames": 8, "size": 32, "patch": (2, 8, 8)}
DECODER = {"decoder_dim": 32, "decoder_depth": 2, "decoder_heads": 4, "pred_frames": 4}


def tiny_masked(seed: int = 0, **changes: Any) -> MaskedAutoencoder:
    """A masked autoencoder of 4 x 4 x 4 tokens, every part of it large enough to show."""
    torch.manual_seed(seed)
    model = create_model("mae_st_vit_tiny_pretrain", **{**TINY, **DECODER, **changes})
    assert isinstance(model, MaskedAutoencoder)
    return stirred(model, seed)


def tiny_classifier(seed: int = 0, **changes: Any) -> VideoClassifier:
    """A classifier with the same encoder."""
    torch.manual_seed(seed)
    model = create_model("mae_st_vit_tiny", **{**TINY, "num_classes": 5, **changes})
    assert isinstance(model, VideoClassifier)
    return stirred(model, seed)


def stirred(model: Any, seed: int = 0) -> Any:
    """The model with noise on all parameters: zeros and ones of a fresh one hide mistakes."""
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return model.eval()


def clips(n: int = 2, frames: int = 8, size: int = 32, seed: int = 0) -> Tensor:
    return torch.randn(n, 3, frames, size, size, generator=torch.Generator().manual_seed(seed))


class WithoutMemory(TorchFunctionMode):
    """Within it modules are made on the meta device: shapes only (a device context would take rates too)."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if func in (torch.empty, torch.zeros, torch.ones) and kwargs.get("device") is None:
            kwargs["device"] = "meta"
        return func(*args, **kwargs)


def shapes_only(name: str, **changes: Any) -> nn.Module:
    """A model of the zoo on the meta device, in evaluation mode."""
    with WithoutMemory():
        return create_model(name, **changes).eval()
