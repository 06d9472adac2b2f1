"""Reading of weights files that may come from anywhere: safetensors, torch.save archives, Caffe2 pickles, shards.

No file runs code; sizes are checked before anything is unpacked.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import zipfile
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from vidmodels.core.errors import WeightsError
from vidmodels.weights.caffe2 import looks_like_pickle, read_blobs

MAX_EXPANSION = 1.05  # torch.save stores tensors as they are: an archive that unpacks to more was made by hand
CONTAINERS = ("model_state", "model", "state_dict", "module", "model_state_dict")


def read_state(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """All tensors of a weights file or a folder of shards by their keys, and its metadata ("classes", "name" ...).

    Raises WeightsError: no such file, damaged, unsafe, no weights in it.
    """
    path = Path(path)
    if path.is_dir():
        return _read_folder(path)
    if not path.is_file():
        raise WeightsError(f"no weights file at {path}: give the path of a checkpoint that you have downloaded")
    if path.suffix == ".safetensors" or _looks_like_safetensors(path):
        return read_safetensors(path)
    if looks_like_pickle(path):
        return read_blobs(path), {}
    return _tensors_of(load_archive(path), path)


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and metadata of a safetensors file."""
    try:
        return load_file(path), read_metadata(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(f"{path} is not a whole safetensors file ({error}): get it again") from None


def read_metadata(path: str | Path) -> dict[str, Any]:
    """What this package wrote beside the tensors of a safetensors file (name, classes ...); {} for foreign ones."""
    try:
        with safe_open(path, "pt") as file:
            text = (file.metadata() or {}).get("vidmodels", "{}")
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(f"{path} is not a whole safetensors file ({error}): get it again") from None
    try:
        metadata = json.loads(text)
    except ValueError:
        raise WeightsError(f"the metadata of {path} is not JSON: convert the file again") from None
    return metadata if isinstance(metadata, dict) else {}


def load_archive(path: Path) -> Any:
    """The content of a torch.save file: tensors, plain values and argparse namespaces only.

    Raises WeightsError for one that would run code, that unpacks to more than it is, or is damaged.
    """
    size = path.stat().st_size
    if size == 0:
        raise WeightsError(f"the weights file {path} is empty: get it again")
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > MAX_EXPANSION * size + 4096:
            raise WeightsError(f"{path} is refused: its {size} bytes would unpack to {unpacked}")
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # UnpicklingError, RuntimeError, EOFError and others, by the kind of damage
        reason = str(error).split("\n", 1)[0][:200]
        raise WeightsError(
            f"{path} is refused: it is damaged, or holds more than tensors and plain values ({reason})"
        ) from None


def _read_folder(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    shards = sorted(folder.glob("*.safetensors")) or sorted(p for p in folder.iterdir() if p.suffix in {".pth", ".bin", ".pt"})
    if (folder / "model.safetensors").is_file():
        shards = [folder / "model.safetensors"]
    if not shards:
        raise WeightsError(f"no weights in the folder {folder}: it has no .safetensors, .pth, .pt or .bin file")
    state: dict[str, Tensor] = {}
    metadata: dict[str, Any] = {}
    for shard in shards:
        tensors, more = read_state(shard)
        if twice := sorted(state.keys() & tensors.keys()):
            raise WeightsError(
                f"{shard} holds {twice[0]!r} again: the folder {folder} mixes several checkpoints, give one file"
            )
        state.update(tensors)
        metadata.update(more)
    return state, metadata


def _looks_like_safetensors(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(9)
    return len(head) == 9 and head[8:] == b"{" and int.from_bytes(head[:8], "little") < 100_000_000


def _tensors_of(tree: Any, path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The state dict inside a training checkpoint, wherever the usual codes put it."""
    for name in CONTAINERS:
        if isinstance(tree, dict) and isinstance(tree.get(name), dict) and _is_state(tree[name]):
            tree = tree[name]
            break
    if not isinstance(tree, dict) or not _is_state(tree):
        raise WeightsError(f"{path} holds no weights: it has none of {', '.join(CONTAINERS)}, and is no state dict itself")
    state = {str(key).removeprefix("module."): value for key, value in tree.items() if isinstance(value, Tensor)}
    return state, {}


def _is_state(tree: dict) -> bool:
    return any(isinstance(value, Tensor) for value in tree.values())


def tensors_sha256(tensors: Mapping[str, Tensor], leave_out: Sequence[str] = ()) -> str:
    """SHA-256 over names, types, shapes and values of tensors on any device, without those whose name fits a pattern."""
    digest = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        if not any(fnmatchcase(name, pattern) for pattern in leave_out):
            digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            digest.update(value.detach().contiguous().cpu().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def write_safetensors(tensors: dict[str, Tensor], path: Path, metadata: dict[str, Any]) -> Path:
    """Like `save_tensors`, whole or not at all. Raises WeightsError where it cannot be written."""
    aside = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_tensors(tensors, aside, metadata)
        aside.replace(path)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"cannot write {path}: {error}") from None
    finally:
        aside.unlink(missing_ok=True)
    return path


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


def weights_file(path: str | Path) -> Path:
    """The file (or folder of shards) of weights at `path`, which may be a run's folder. Raises WeightsError."""
    path = Path(path)
    for inner in ("model/model.safetensors", "model.safetensors"):
        if (path / inner).is_file():
            return path / inner
    if not path.exists():
        raise WeightsError(f"no weights file at {path}: give the path of a checkpoint that you have downloaded")
    return path
