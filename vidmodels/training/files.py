"""The tensor files of a checkpoint: safetensors, and torch.save with nothing but tensors and plain values in it."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from vidmodels.core.errors import CheckpointError

_MAX_UNPACKED = 1.05


def save_tensors(tensors: dict[str, Tensor], path: Path, metadata: dict[str, Any] | None = None) -> None:
    """Tensors as safetensors, `metadata` as JSON in its header; tied ones are written under each of their names."""
    seen: set[int] = set()
    ready: dict[str, Tensor] = {}
    for name, value in tensors.items():
        value = value.detach().cpu().contiguous()
        if value.numel() and value.untyped_storage().data_ptr() in seen:
            value = value.clone()
        seen.add(value.untyped_storage().data_ptr())
        ready[name] = value
    save_file(ready, path, {"format": "pt", "vidmodels": json.dumps(metadata or {}, sort_keys=True)})


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
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError):
        raise CheckpointError(f"{path} is not a file written by torch.save") from None
    if unpacked > _MAX_UNPACKED * path.stat().st_size + 4096:
        raise CheckpointError(f"{path} is refused: its {path.stat().st_size} bytes would unpack to {unpacked}")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # UnpicklingError, RuntimeError, EOFError and others, by the kind of damage
        reason = str(error).split("\n", 1)[0][:200]
        raise CheckpointError(f"{path} is refused: it holds more than tensors and plain values ({reason})") from None
