"""The tensor files of a checkpoint: safetensors, and torch.save with nothing but tensors and plain values in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from vidmodels.core.errors import CheckpointError, WeightsError
from vidmodels.weights.files import load_archive, save_tensors

__all__ = ["load_pickled", "load_tensors", "save_pickled", "save_tensors"]


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors of a safetensors file. Raises CheckpointError where it is none."""
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path} is not a safetensors file: {error}") from None


def save_pickled(tree: Any, path: Path) -> None:
    """A tree of tensors and plain values with torch.save."""
    with path.open("wb") as file:
        torch.save(tree, file)


def load_pickled(path: Path) -> Any:
    """What `save_pickled` wrote; nothing but tensors and plain values is accepted, and nothing compressed.

    Raises CheckpointError for a file that would run code, that unpacks to more than it is, or is none.
    """
    try:
        return load_archive(path)
    except (WeightsError, OSError) as error:
        raise CheckpointError(str(error)) from None
