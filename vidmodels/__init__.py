"""Video-understanding models in PyTorch: `create_model`, `load_weights`, `list_models`, `Predictor`.

Nothing heavy is imported until a name is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vidmodels.predictors import make_predictor as Predictor
    from vidmodels.zoo import create_model, list_models, load_weights

__all__ = ["Predictor", "create_model", "list_models", "load_weights"]


def __getattr__(name: str) -> Any:
    if name == "Predictor":
        return importlib.import_module("vidmodels.predictors").make_predictor
    if name in __all__:
        return getattr(importlib.import_module("vidmodels.zoo"), name)
    raise AttributeError(f"module 'vidmodels' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
