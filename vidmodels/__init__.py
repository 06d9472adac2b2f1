"""Video-understanding models in PyTorch: `create_model`, `load_weights`, `list_models`, `Predictor`.

Nothing heavy is imported until a name is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vidmodels.zoo import Predictor, create_model, list_models, load_weights

__all__ = ["Predictor", "create_model", "list_models", "load_weights"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from vidmodels import zoo

        return getattr(zoo, name)
    raise AttributeError(f"module 'vidmodels' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
