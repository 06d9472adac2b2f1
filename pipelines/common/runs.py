"""A run's folder: its name, what is asked for when the name exists already, and the small files in it."""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import fs as pafs

from vidmodels.core.errors import ConfigError, RunError
from vidmodels.core.recipe import Recipe, canonical_json, differing_keys, section_hash
from vidmodels.data.storage import is_local, local_path, open_filesystem

log = logging.getLogger(__name__)

RECIPE_FILE = "recipe.json"
FINISHED_FILE = "finished.json"


@dataclass(frozen=True)
class RunFolder:
    """A folder of small files, local or in an object store.

    uri: the folder; scratch: a local folder with the same files (the folder itself where it is local).
    """

    uri: str
    scratch: Path

    @property
    def name(self) -> str:
        return self.uri.rstrip("/").rsplit("/", 1)[-1]

    @property
    def is_local(self) -> bool:
        return is_local(self.uri)

    def read_json(self, name: str) -> dict[str, Any] | None:
        """The file's content, or None where there is no such file."""
        system, path = open_filesystem(self.uri)
        try:
            with system.open_input_stream(f"{path}/{name}") as stream:
                return json.loads(stream.read())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise RunError(f"cannot read {self.uri}/{name}: {error}") from error

    def write_json(self, name: str, content: dict[str, Any]) -> None:
        """Write a file whole or not at all."""
        text = json.dumps(content, indent=2, sort_keys=True) + "\n"
        try:
            if self.is_local:
                target = self.scratch / name
                target.parent.mkdir(parents=True, exist_ok=True)
                aside = target.with_name(f".{target.name}.tmp")
                aside.write_text(text)
                aside.replace(target)
            else:
                system, path = open_filesystem(self.uri)
                with system.open_output_stream(f"{path}/{name}") as stream:
                    stream.write(text.encode())
        except OSError as error:
            raise RunError(f"cannot write {self.uri}/{name}: {error}; choose another folder with --run.storage") from error

    def upload(self) -> None:
        """Copy what lies in the scratch folder to an object store; nothing to do for a local folder."""
        if self.is_local:
            return
        system, path = open_filesystem(self.uri)
        for file in sorted(p for p in self.scratch.rglob("*") if p.is_file()):
            pafs.copy_files(str(file), f"{path}/{file.relative_to(self.scratch)}", source_filesystem=pafs.LocalFileSystem(),
                            destination_filesystem=system)  # fmt: skip


def run_identity(recipe: Recipe, digest: str, classes: Sequence[str] | None = None) -> dict[str, Any]:
    """What makes two runs the same: the recipe without the addresses of its data, the data's digest, and their classes."""
    tree = recipe.identity()
    for key in recipe.data.addresses:
        tree["data"].pop(key)
    if not recipe.data.is_synthetic:
        tree["data"].pop("synthetic")
    return {**tree, "data_digest": digest, "classes": None if classes is None else list(classes)}


def identity_hash(identity: dict[str, Any]) -> str:
    """Short hash of a run's identity: equal for the same settings on the same data, wherever the data lie."""
    return section_hash(canonical_json(identity))


def run_name(program: str, given: str | None, identity: dict[str, Any]) -> str:
    """The given name, or the program's with a hash of recipe and data."""
    if given is None:
        return f"{program}-{identity_hash(identity)}"
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,100}", given):
        raise ConfigError(f"run.name {given!r} may hold letters, digits, '.', '_' and '-' only, and at most 101 of them")
    return given


def open_run(storage: str, name: str, identity: dict[str, Any], fresh: bool) -> tuple[RunFolder, dict[str, Any] | None]:
    """The run's folder and, if the run is finished, its `finished.json`.

    Raises RunError where the folder holds a run with another recipe: the message lists the keys that differ.
    """
    folder = _folder(storage, name)
    existing = folder.read_json(RECIPE_FILE)
    if existing is not None and fresh:
        _set_aside(folder)
        folder, existing = _folder(storage, name), None
    if existing is None:
        folder.write_json(RECIPE_FILE, identity)
        return folder, None
    different = _differences(existing, identity)
    if different:
        raise RunError(
            f"the run {name} exists in {storage} with another recipe ({'; '.join(different)}): "
            "choose another --run.name, or set the old run aside with --fresh"
        )
    return folder, folder.read_json(FINISHED_FILE)


def _differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """One part of a sentence for each setting that differs; of lists of classes, the first that came and went."""
    found = differing_keys({**old, "classes": None}, {**new, "classes": None})
    before, after = old.get("classes") or [], new.get("classes") or []
    if before != after:
        gone = [name for name in before if name not in after]
        came = [name for name in after if name not in before]
        named = [f"{len(names)} {how}, such as {names[0]!r}" for how, names in (("gone", gone), ("new", came)) if names]
        found.insert(0, f"classes: {' and '.join(named) or 'in another order'}")
    return found


def _folder(storage: str, name: str) -> RunFolder:
    uri = f"{storage.rstrip('/')}/{name}"
    if is_local(storage):
        scratch = Path(local_path(uri)).absolute()
        try:
            scratch.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"cannot create {scratch}: {error}; choose another folder with --run.storage") from error
        return RunFolder(str(scratch), scratch)
    scratch = Path.home() / ".cache" / "vidmodels" / "scratch" / section_hash(uri) / name
    scratch.mkdir(parents=True, exist_ok=True)
    return RunFolder(uri, scratch)


def _set_aside(folder: RunFolder) -> None:
    system, path = open_filesystem(folder.uri)
    number = 1
    while system.get_file_info(f"{path}.old-{number}").type != pafs.FileType.NotFound:
        number += 1
    try:
        system.move(path, f"{path}.old-{number}")
    except (OSError, pa.ArrowException) as error:
        raise RunError(f"cannot set {folder.uri} aside: {error}; choose another --run.name") from error
    if not folder.is_local:
        shutil.rmtree(folder.scratch, ignore_errors=True)
    log.info("the old run is kept in %s.old-%d", folder.uri, number)
