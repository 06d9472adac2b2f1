"""What a place for checkpoint folders can do, and what the local and the remote one have in common."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from vidmodels.core.errors import CheckpointError
from vidmodels.training.manifest import MANIFEST, FileEntry, Manifest, hash_stream, parse_manifest, valid_name

STEP = re.compile(r"step_(\d{8,12})")


@dataclass(frozen=True)
class Leftover:
    """What an interrupted write left behind."""

    step: int
    uri: str
    bytes: int


class Draft(Protocol):
    """A checkpoint that is being written."""

    def add(self, name: str, content: Any) -> FileEntry:
        """Write one file; returns its size and hash."""

    def finish(self, manifest: Manifest) -> None:
        """Write the manifest and make the checkpoint visible, in that order."""


class Store(Protocol):
    """A folder of checkpoints by step."""

    root: str

    def uri(self, step: int) -> str: ...
    def steps(self) -> list[int]: ...
    def leftovers(self) -> list[Leftover]: ...
    def size(self, step: int) -> int: ...
    def manifest(self, step: int) -> tuple[Manifest | None, str | None]: ...
    def check(self, step: int, name: str, entry: FileEntry) -> str | None: ...
    def local(self, step: int, name: str) -> contextlib.AbstractContextManager[Path]: ...
    def writing(self, step: int) -> contextlib.AbstractContextManager[Draft]: ...
    def set_latest(self, step: int) -> None: ...
    def delete(self, step: int) -> None: ...
    def sweep(self) -> None: ...
    def free(self) -> int | None: ...
    def has_room(self, need: int) -> bool: ...


def open_store(folder_uri: str) -> Store:
    """The store behind a local path or URI."""
    from vidmodels.training.store_local import LocalStore

    if "://" not in folder_uri:
        return LocalStore(Path(folder_uri))
    # pyarrow takes long to import, and plain paths do not need it
    from vidmodels.data.storage import is_local, local_path, open_filesystem
    from vidmodels.training.store_remote import RemoteStore

    if is_local(folder_uri):
        return LocalStore(Path(local_path(folder_uri)))
    return RemoteStore(folder_uri, *open_filesystem(folder_uri))


def folder_name(step: int) -> str:
    return f"step_{step:08d}"


def out_of_space(error: BaseException) -> bool:
    """Whether an error, or one behind it, is a full disk or quota; writers in C++ and Rust only say it in words."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if "No space left on device" in str(seen) or "Disk quota exceeded" in str(seen):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def write_content(path: Path, content: Any) -> FileEntry:
    """Write bytes, the copy of a file, or what a function writes to `path`, and force it to the disk.

    Raises CheckpointError for a name that is not a plain file name.
    """
    if path.name != MANIFEST and not valid_name(path.name):
        raise CheckpointError(f"{path.name!r} cannot be the name of a file in a checkpoint")
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif callable(content):
        content(path)
    else:
        shutil.copyfile(content, path)
    with path.open("rb") as file:
        os.fsync(file.fileno())
        return hash_stream(file)


def read_manifest(read: Callable[[], bytes], step: int) -> tuple[Manifest | None, str | None]:
    try:
        return parse_manifest(read(), step), None
    except FileNotFoundError:
        return None, f"{MANIFEST} is missing"
    except OSError as error:
        return None, f"{MANIFEST} cannot be read: {error}"
    except ValueError as error:
        return None, f"{MANIFEST} {error}"


@contextlib.contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn an error of the file system into one sentence."""
    try:
        yield
    except OSError as error:
        if out_of_space(error):
            raise
        raise CheckpointError(f"{what}: {' '.join(str(error).split())[:300]}") from None
