"""The manifest of a checkpoint: which files it has, their sizes and SHA-256."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, field
from typing import Any, BinaryIO

MANIFEST = "manifest.json"
MAX_BYTES = 1 << 20
_CHUNK = 1 << 22


@dataclass(frozen=True)
class FileEntry:
    """Size in bytes and hexadecimal SHA-256 of a file."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """Step, files and metrics of a checkpoint."""

    step: int
    files: dict[str, FileEntry]
    metrics: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> bytes:
        files = {name: {"bytes": entry.bytes, "sha256": entry.sha256} for name, entry in self.files.items()}
        metrics = {k: v for k, v in self.metrics.items() if math.isfinite(v)}
        text = json.dumps({"format": 1, "step": self.step, "files": files, "metrics": metrics}, indent=1)
        return text.encode()


def parse_manifest(raw: bytes, step: int) -> Manifest:
    """A manifest from its file. Raises ValueError, in words for people, for anything that is not one of `step`."""
    if len(raw) > MAX_BYTES:
        raise ValueError(f"is larger than {MAX_BYTES} bytes")
    try:
        tree = json.loads(raw)
    except (ValueError, RecursionError):
        raise ValueError("is not JSON") from None
    if not isinstance(tree, dict) or not isinstance(tree.get("files"), dict) or not tree["files"]:
        raise ValueError("lists no files")
    if tree.get("step") != step:
        raise ValueError(f"is of step {str(tree.get('step'))[:40]}, not {step}")
    files = {name: _entry(name, value) for name, value in tree["files"].items()}
    metrics = tree.get("metrics", {})
    if not isinstance(metrics, dict):
        raise ValueError("has metrics that are not a table")
    numbers = {k: float(v) for k, v in metrics.items() if isinstance(v, int | float) and abs(v) < 1e300}
    return Manifest(step, files, numbers)


def _entry(name: str, value: Any) -> FileEntry:
    if not valid_name(name):
        raise ValueError(f"names the file {name[:80]!r}, which is not a plain file name")
    size, digest = (value.get("bytes"), value.get("sha256")) if isinstance(value, dict) else (None, None)
    if type(size) is not int or size < 0 or not isinstance(digest, str) or len(digest) != 64:
        raise ValueError(f"has no size and SHA-256 for {name!r}")
    return FileEntry(size, digest)


def valid_name(name: str) -> bool:
    """Whether a name stays inside its folder: no separators, no leading dot, not empty, not the manifest itself."""
    return bool(name) and not name.startswith(".") and not set(name) & set("/\\\0") and name != MANIFEST and len(name) < 200


def hash_stream(stream: BinaryIO) -> FileEntry:
    """Size and SHA-256 of what is left in a stream, in bounded memory."""
    digest, size = hashlib.sha256(), 0
    while chunk := stream.read(_CHUNK):
        digest.update(chunk)
        size += len(chunk)
    return FileEntry(size, digest.hexdigest())
