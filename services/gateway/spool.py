"""Where uploads lie while they are answered: one private folder, files that go with their request."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from services.problems import Problem

LEFT_OVER_S = 3600.0
"""Age at which a file belongs to no request any more: its gateway died."""


class Spool:
    """A folder of uploads.

    folder: default one of this user in the temporary folder; free_bytes: what stays free in its file system.
    """

    def __init__(self, folder: str | None = None, free_bytes: float = 0.0) -> None:
        self.folder = Path(folder) if folder else Path(tempfile.gettempdir()) / f"vidmodels-spool-{os.getuid()}"
        self._free_bytes = free_bytes

    def open(self) -> None:
        """Make the folder, for its owner only, and remove what dead gateways left."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in self.folder.glob("up-*"):
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > LEFT_OVER_S:
                    path.unlink()

    @contextlib.contextmanager
    def file(self, suffix: str = "") -> Iterator[SpoolFile]:
        """A new file that is gone at the end. Raises Problem (spool_full) where it cannot be made."""
        path = self.folder / f"up-{secrets.token_hex(16)}{suffix}"
        with _disk_problems():
            self._check_free()
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(handle, "wb", buffering=0) as stream:
                yield SpoolFile(path, stream)
        finally:
            with contextlib.suppress(FileNotFoundError):
                path.unlink()

    def _check_free(self) -> None:
        if not self.folder.is_dir():
            self.open()
        if shutil.disk_usage(self.folder).free < self._free_bytes:
            raise OSError(errno.ENOSPC, "little space is left")


class SpoolFile:
    """A file that an upload is written to."""

    def __init__(self, path: Path, stream) -> None:
        self.path = path
        self.size = 0
        self._stream = stream

    def write(self, data: bytes) -> None:
        with _disk_problems():
            view = memoryview(data)
            while view:
                view = view[self._stream.write(view) :]
        self.size += len(data)


@contextlib.contextmanager
def _disk_problems() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ENOENT, errno.EACCES):
            message = f"uploads cannot be stored now ({os.strerror(error.errno)}): try again later"
            raise Problem("spool_full", message, retry_after=5) from error
        raise
