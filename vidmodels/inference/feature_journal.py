"""Batches of rows that are on the disk as soon as they are computed: what a file of embeddings is made of at its end."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from vidmodels.core.errors import RunError

_LENGTH = 8  # bytes before each message that say how long it is


class Journal:
    """A file of one schema and of batches behind each other, which a later process may go on with.

    What a process that was killed left half written is cut off. A journal of another schema (of its metadata, too) is set
    back: it belongs to other settings. Use it in a `with` block. Raises OSError, and RunError where another process is
    writing it.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.path, self.schema = path, schema
        self.batches = 0

    def __enter__(self) -> Journal:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file: BinaryIO = open(self.path, "a+b")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise RunError(f"another process is writing {self.path}: wait for it, or choose another file") from None
        self._file.seek(0)
        head = _message(self._file)
        if head is None or not self._same(head):
            self._file.truncate(0)
            self._append(self.schema.serialize())
        self.batches = sum(1 for _ in self)
        return self

    def __exit__(self, *exc: object) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """The batches that are whole, one in memory at a time; the file ends after them then."""
        self._file.seek(0)
        _message(self._file)
        end = self._file.tell()
        while (message := _message(self._file)) is not None:
            yield pa.ipc.read_record_batch(message, self.schema)
            end = self._file.tell()
        self._file.truncate(end)

    def add(self, batch: pa.RecordBatch) -> None:
        """Append a batch."""
        self._append(batch.serialize())
        self.batches += 1

    def remove(self) -> None:
        """Delete the file."""
        self.path.unlink(missing_ok=True)

    def _same(self, head: bytes) -> bool:
        try:
            return pa.ipc.read_schema(pa.py_buffer(head)).equals(self.schema, check_metadata=True)
        except (pa.ArrowException, OSError):
            return False

    def _append(self, message: pa.Buffer) -> None:
        self._file.seek(0, os.SEEK_END)
        self._file.write(len(message).to_bytes(_LENGTH, "little") + message.to_pybytes())
        self._file.flush()


def _message(file: BinaryIO) -> bytes | None:
    """The next message, None where there is no whole one."""
    length = int.from_bytes(file.read(_LENGTH), "little")
    message = file.read(length)
    return message if length and len(message) == length else None
