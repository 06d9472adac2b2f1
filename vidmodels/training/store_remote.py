"""Checkpoints in an object store, through a pyarrow file system: no renames, so the manifest goes up last."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vidmodels.core.errors import CheckpointError
from vidmodels.training.manifest import MANIFEST, FileEntry, Manifest, hash_stream, valid_name
from vidmodels.training.store import STEP, Draft, Leftover, explained, folder_name, read_manifest, write_content


class RemoteStore:
    """Checkpoints in an object store: files first, the manifest last; without it a folder is partial."""

    def __init__(self, root: str, filesystem: Any, path: str) -> None:
        self.root, self.fs, self.path = root.rstrip("/"), filesystem, path.rstrip("/")

    def uri(self, step: int) -> str:
        return f"{self.root}/{folder_name(step)}"

    def _at(self, step: int, name: str = "") -> str:
        return f"{self.path}/{folder_name(step)}" + (f"/{name}" if name else "")

    def _files(self) -> dict[int, dict[str, int]]:
        """Sizes of the files by step and name, from one listing."""
        from pyarrow.fs import FileSelector, FileType

        found: dict[int, dict[str, int]] = {}
        with explained(f"the checkpoints in {self.root} cannot be listed"):
            infos = self.fs.get_file_info(FileSelector(self.path, allow_not_found=True, recursive=True))
        for info in infos:
            folder, _, name = info.path[len(self.path) :].strip("/").partition("/")
            match = STEP.fullmatch(folder)
            if match and info.type == FileType.File and "/" not in name:
                found.setdefault(int(match[1]), {})[name] = info.size
        return found

    def steps(self) -> list[int]:
        return sorted(step for step, names in self._files().items() if MANIFEST in names)

    def leftovers(self) -> list[Leftover]:
        partial = {step: names for step, names in self._files().items() if MANIFEST not in names}
        return [Leftover(step, self.uri(step), sum(names.values())) for step, names in sorted(partial.items())]

    def size(self, step: int) -> int:
        return sum(self._files().get(step, {}).values())

    def manifest(self, step: int) -> tuple[Manifest | None, str | None]:
        def read() -> bytes:
            with self.fs.open_input_stream(self._at(step, MANIFEST)) as stream:
                return stream.read()

        return read_manifest(read, step)

    def check(self, step: int, name: str, entry: FileEntry) -> str | None:
        try:
            with self.fs.open_input_stream(self._at(step, name)) as stream:
                found = hash_stream(stream)
        except FileNotFoundError:
            return f"{name} is missing"
        except OSError as error:
            return f"{name} cannot be read: {error}"
        if found.bytes != entry.bytes:
            return f"{name} has {found.bytes} bytes instead of {entry.bytes}"
        return None if found == entry else f"{name} does not have the SHA-256 of the manifest"

    @contextlib.contextmanager
    def local(self, step: int, name: str) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="vidmodels-") as folder:
            target = Path(folder) / name
            with (
                explained(f"{self.uri(step)}/{name} cannot be read"),
                self.fs.open_input_stream(self._at(step, name)) as stream,
                target.open("wb") as file,
            ):
                shutil.copyfileobj(stream, file, 1 << 22)
            yield target

    @contextlib.contextmanager
    def writing(self, step: int) -> Iterator[Draft]:
        with (
            tempfile.TemporaryDirectory(prefix="vidmodels-") as folder,
            explained(f"the checkpoint of step {step} cannot be written to {self.root}"),
        ):
            self.fs.create_dir(self._at(step), recursive=True)
            if MANIFEST in self._files().get(step, {}):
                self.fs.delete_file(self._at(step, MANIFEST))  # from here on the old one counts as partial
            yield _RemoteDraft(self, step, Path(folder))

    def put(self, path: str, source: Path) -> None:
        """Upload one file."""
        with source.open("rb") as file, self.fs.open_output_stream(path) as stream:
            shutil.copyfileobj(file, stream, 1 << 22)

    def set_latest(self, step: int) -> None:
        failure = f"LATEST cannot be written to {self.root}"
        with explained(failure), self.fs.open_output_stream(f"{self.path}/LATEST") as stream:
            stream.write(f"{folder_name(step)}\n".encode())

    def delete(self, step: int) -> None:
        with explained(f"{self.uri(step)} cannot be deleted"):
            if MANIFEST in self._files().get(step, {}):
                self.fs.delete_file(self._at(step, MANIFEST))
            self.fs.delete_dir(self._at(step))

    def sweep(self) -> None:
        newest = max(self.steps(), default=-1)
        for leftover in self.leftovers():
            if leftover.step < newest:  # the run has gone past it, so nobody is writing it any more
                self.fs.delete_dir(self._at(leftover.step))

    def free(self) -> int | None:
        return None

    def has_room(self, need: int) -> bool:
        return True


class _RemoteDraft:
    """Files staged in a local folder one at a time and uploaded."""

    def __init__(self, store: RemoteStore, step: int, staging: Path) -> None:
        self.store, self.step, self.staging = store, step, staging

    def add(self, name: str, content: Any) -> FileEntry:
        if not valid_name(name):
            raise CheckpointError(f"{name!r} cannot be the name of a file in a checkpoint")
        path = self.staging / name
        entry = write_content(path, content)
        self.store.put(self.store._at(self.step, name), path)
        path.unlink()
        return entry

    def finish(self, manifest: Manifest) -> None:
        for name in self.store._files().get(self.step, {}):
            if name not in manifest.files:
                self.store.fs.delete_file(self.store._at(self.step, name))
        path = self.staging / MANIFEST
        write_content(path, manifest.to_json())
        self.store.put(self.store._at(self.step, MANIFEST), path)
