"""Where files lie: local paths and object stores through pyarrow, with errors that name the address."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import unquote, urlsplit

from vidmodels.core.errors import DataError

if TYPE_CHECKING:
    from pyarrow import fs as pafs

VIDEO_ENDINGS = (".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".ts", ".mts", ".m2ts", ".3gp", ".3g2", ".mj2")
PICTURE_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
READ_AHEAD = 1 << 20
"""Bytes that one ranged read of an object fetches: a round trip costs more than a megabyte."""


def is_video(name: str) -> bool:
    """Whether a file's name ends like a video's."""
    return name.lower().endswith(VIDEO_ENDINGS)


def is_picture(name: str) -> bool:
    """Whether a file's name ends like a picture's."""
    return name.lower().endswith(PICTURE_ENDINGS)


def is_local(uri: str) -> bool:
    """Whether `uri` is a path or a file:// URI of this machine. Every other `scheme://` is an object store."""
    return "://" not in uri or uri.startswith("file://")


def local_path(uri: str) -> str:
    """The path behind a local path or file:// URI; `~` is the home folder. Raises DataError for other URIs."""
    if not is_local(uri):
        raise DataError(f"{uri} is not on this machine: give a local path")
    if not uri.startswith("file://"):
        return os.path.expanduser(uri)
    parts = urlsplit(uri)
    if parts.netloc not in ("", "localhost"):
        raise DataError(f"{uri} names the machine {parts.netloc}: write file:///PATH for a file of this machine")
    # urlsplit takes '?' and '#' for a query and a fragment; in a path they are letters
    return unquote(uri[len("file://") + len(parts.netloc) :])


def open_filesystem(uri: str) -> tuple[pafs.FileSystem, str]:
    """The pyarrow filesystem of `uri` (local, s3://, gs://, hdfs:// ...) and the path inside it.

    Raises DataError where the scheme is unknown or the store cannot be reached.
    """
    import pyarrow as pa
    from pyarrow import fs as pafs

    if is_local(uri):
        return pafs.LocalFileSystem(), str(Path(local_path(uri)).absolute())
    try:
        system, path = pafs.FileSystem.from_uri(uri)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DataError(f"cannot open {uri}: {_short(error)}; check its scheme, bucket and credentials") from error
    return system, path.rstrip("/")


def join(uri: str, name: str) -> str:
    """The address of `name` under the folder `uri`; an absolute path or a URI stays as it is."""
    if "://" in name or os.path.isabs(name):
        return name
    return f"{uri.rstrip('/')}/{name}" if uri else name


def parent(uri: str) -> str:
    """The folder that holds `uri`."""
    if is_local(uri) and not uri.startswith("file://"):
        return str(Path(local_path(uri)).parent)
    return uri.rstrip("/").rsplit("/", 1)[0]


def kind(uri: str) -> str:
    """'file', 'folder' or 'missing'. Raises DataError where the store cannot be reached."""
    from pyarrow import fs as pafs

    if is_local(uri):
        path = _checked(local_path(uri), uri)
        return "folder" if os.path.isdir(path) else "file" if os.path.exists(path) else "missing"
    system, path = open_filesystem(uri)
    try:
        found = system.get_file_info(path).type
    except OSError as error:
        raise DataError(f"cannot look at {uri}: {_short(error)}; check the bucket and your credentials") from error
    return {pafs.FileType.File: "file", pafs.FileType.Directory: "folder"}.get(found, "missing")


def list_files(uri: str) -> list[tuple[str, int]]:
    """All files under the folder `uri`, sorted: (path relative to it, bytes). Hidden files and folders are left out.

    Raises DataError where the folder is missing or cannot be read.
    """
    from pyarrow import fs as pafs

    system, path = open_filesystem(uri)
    try:
        infos = system.get_file_info(pafs.FileSelector(path, recursive=True))
    except (OSError, NotADirectoryError) as error:
        raise DataError(f"cannot list the folder {uri}: {_short(error)}; check the path and its permissions") from error
    prefix = path.rstrip("/") + "/"
    files = [(info.path.removeprefix(prefix), info.size) for info in infos if info.type == pafs.FileType.File]
    return sorted(file for file in files if not any(part.startswith(".") for part in file[0].split("/")))


def file_size(uri: str) -> int | None:
    """Bytes of a file, or None where there is none."""
    system, path = open_filesystem(uri)
    info = system.get_file_info(path)
    return info.size if info.is_file or (is_local(uri) and info.size) else None


def read_bytes(uri: str, limit: int = 1 << 30) -> bytes:
    """The content of a small file such as a list. Raises DataError where it is missing or larger than `limit` bytes."""
    try:
        with open_media(uri) as file:
            size = file.seek(0, io.SEEK_END)
            if size > limit:
                raise DataError(f"{uri} has {size} bytes, more than the {limit} of a list: give a smaller file")
            file.seek(0)
            return file.read()
    except OSError as error:
        raise DataError(f"cannot read {uri}: {_short(error)}; check the path and its permissions") from error


def open_media(uri: str) -> BinaryIO:
    """A seekable binary file over a local file or a remote object; an object is read by range, never whole.

    Raises DataError where there is no such regular file or object.
    """
    if is_local(uri):
        path = regular_file(uri)
        try:
            return open(path, "rb")
        except OSError as error:
            raise DataError(f"cannot read {uri}: {_short(error)}; check its permissions") from error
    system, path = open_filesystem(uri)
    try:
        return io.BufferedReader(_Ranged(system.open_input_file(path)), READ_AHEAD)
    except OSError as error:
        raise DataError(f"cannot read {uri}: {_short(error)}; check the address and your credentials") from error


def regular_file(uri: str) -> str:
    """The absolute path of a local regular file: no folder, pipe or device, and no string that only looks like one."""
    path = os.path.abspath(_checked(local_path(uri), uri))
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        raise DataError(f"there is no file {uri!r} ({_short(error)}): check the path") from error
    if not stat.S_ISREG(mode):
        raise DataError(f"{uri} is not a regular file: give the path of one")
    return path


class _Ranged(io.RawIOBase):
    """A pyarrow file as a raw Python file, so that io.BufferedReader can read ahead over it."""

    def __init__(self, file) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._file.tell(), io.SEEK_END: self._file.size()}[whence]
        self._file.seek(max(base + offset, 0))
        return self._file.tell()

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def _checked(path: str, uri: str) -> str:
    if "\0" in path:
        raise DataError(f"{uri!r} holds a NUL byte and cannot be a path: check where it comes from")
    return path


def _short(error: BaseException) -> str:
    """The reason of an error in one line of at most 300 characters."""
    if isinstance(error, OSError) and error.strerror and error.errno:
        return error.strerror.split("\n")[0][:300]
    return (str(error).strip().split("\n") or [type(error).__name__])[0][:300]
