"""Checkpoints in a local folder, written beside and renamed."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vidmodels.core.errors import CheckpointError
from vidmodels.training.manifest import MANIFEST, FileEntry, Manifest, hash_stream, valid_name
from vidmodels.training.store import STEP, Draft, Leftover, folder_name, out_of_space, read_manifest, write_content

_DRAFT = re.compile(r"\.(?:tmp|old)-step_(\d{8,12})-(.+)-(\d+)")
_STALE_S = 24 * 3600.0


class LocalStore:
    """Checkpoints in a local folder: written beside, then renamed, so that a step's folder is always whole."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.root = str(self.folder)

    def uri(self, step: int) -> str:
        return str(self.folder / folder_name(step))

    def _names(self) -> list[str]:
        try:
            return sorted(os.listdir(self.folder))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise CheckpointError(f"the checkpoints in {self.root} cannot be listed: {error.strerror}") from None

    def steps(self) -> list[int]:
        names = self._names()
        for name in names:
            # a writer that died between its two renames has set the only copy of that step aside
            match = _DRAFT.fullmatch(name) if name.startswith(".old-") else None
            if match and not (target := Path(self.uri(int(match[1])))).exists() and not _alive(match[2], match[3]):
                with contextlib.suppress(FileNotFoundError):  # another worker was quicker
                    os.rename(self.folder / name, target)
                names = self._names()
        return sorted(int(m[1]) for m in map(STEP.fullmatch, names) if m)

    def leftovers(self) -> list[Leftover]:
        found = [(m, self.folder / m[0]) for m in map(_DRAFT.fullmatch, self._names()) if m]
        return [Leftover(int(m[1]), str(path), _folder_bytes(path)) for m, path in found]

    def size(self, step: int) -> int:
        return _folder_bytes(Path(self.uri(step)))

    def manifest(self, step: int) -> tuple[Manifest | None, str | None]:
        path = Path(self.uri(step)) / MANIFEST
        return read_manifest(lambda: path.read_bytes(), step)

    def check(self, step: int, name: str, entry: FileEntry) -> str | None:
        path = Path(self.uri(step)) / name
        try:
            size = path.stat().st_size
            if size != entry.bytes:
                return f"{name} has {size} bytes instead of {entry.bytes}"
            with path.open("rb") as file:
                found = hash_stream(file)
        except FileNotFoundError:
            return f"{name} is missing"
        except OSError as error:
            return f"{name} cannot be read: {error.strerror}"
        return None if found == entry else f"{name} does not have the SHA-256 of the manifest"

    @contextlib.contextmanager
    def local(self, step: int, name: str) -> Iterator[Path]:
        yield Path(self.uri(step)) / name

    @contextlib.contextmanager
    def writing(self, step: int) -> Iterator[Draft]:
        mine = f"{folder_name(step)}-{socket.gethostname()}-{os.getpid()}"
        aside = self.folder / f".tmp-{mine}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir()
            yield _LocalDraft(aside, Path(self.uri(step)), self.folder / f".old-{mine}")
        except OSError as error:
            if out_of_space(error):
                raise
            raise CheckpointError(f"the checkpoint of step {step} cannot be written to {self.root}: {error}") from None
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    def set_latest(self, step: int) -> None:
        aside = self.folder / f".tmp-LATEST-{os.getpid()}"
        with aside.open("w") as file:
            file.write(folder_name(step) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, self.folder / "LATEST")
        sync_folder(self.folder)

    def delete(self, step: int) -> None:
        # renamed first: a folder that is half deleted must not look like a damaged checkpoint
        target = Path(self.uri(step))
        doomed = self.folder / f".tmp-{folder_name(step)}-{socket.gethostname()}-{os.getpid()}"
        shutil.rmtree(doomed, ignore_errors=True)
        os.rename(target, doomed)
        shutil.rmtree(doomed, ignore_errors=True)

    def sweep(self) -> None:
        for name in self._names():
            match = _DRAFT.fullmatch(name)
            if match and not _alive(match[2], match[3], self.folder / name):
                shutil.rmtree(self.folder / name, ignore_errors=True)

    def free(self) -> int | None:
        return shutil.disk_usage(self.folder).free if self.folder.exists() else None

    def has_room(self, need: int) -> bool:
        free = self.free()
        return free is None or free > need


class _LocalDraft:
    """Files in a folder aside of the final place."""

    def __init__(self, aside: Path, target: Path, old: Path) -> None:
        self.aside, self.target, self.old = aside, target, old

    def add(self, name: str, content: Any) -> FileEntry:
        if not valid_name(name):
            raise CheckpointError(f"{name!r} cannot be the name of a file in a checkpoint")
        return write_content(self.aside / name, content)

    def finish(self, manifest: Manifest) -> None:
        write_content(self.aside / MANIFEST, manifest.to_json())
        sync_folder(self.aside)
        if self.target.exists():
            os.rename(self.target, self.old)
        os.rename(self.aside, self.target)
        sync_folder(self.target.parent)
        shutil.rmtree(self.old, ignore_errors=True)


def sync_folder(folder: Path) -> None:
    """Force the names in a folder to the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _folder_bytes(folder: Path) -> int:
    total = 0
    for path in folder.glob("*"):
        with contextlib.suppress(FileNotFoundError):  # a writer may be at work in it
            total += path.stat().st_size
    return total


def _alive(host: str, pid: str, path: Path | None = None) -> bool:
    """Whether the writer of a draft may still be at work: its process on this machine, or a recent one elsewhere."""
    if host == socket.gethostname():
        return int(pid) != os.getpid() and Path(f"/proc/{pid}").exists()
    if path is None:
        return False
    try:
        return time.time() - path.stat().st_mtime < _STALE_S
    except FileNotFoundError:
        return False
