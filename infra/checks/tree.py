"""The files of this folder as the checks see them: YAML without doubled keys, pins, images, objects."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

NOT_CHECKED = {".py", ".md", ".txt"}
PLACEHOLDER = "REPLACE_ME"


class Tree:
    """A folder of infrastructure files beside the code that they run.

    folder: what is checked; root: the repository with the programs, the services and pyproject.toml.
    """

    def __init__(self, folder: Path, root: Path) -> None:
        self.folder, self.root = folder, root

    def names(self) -> list[str]:
        """Files to check, relative to the folder; hidden ones are a user's own."""
        found = (path.relative_to(self.folder) for path in self.folder.rglob("*") if path.is_file())
        return sorted(
            name.as_posix()
            for name in found
            if name.suffix not in NOT_CHECKED and not any(part.startswith((".", "__")) for part in name.parts)
        )

    def text(self, name: str) -> str:
        return (self.folder / name).read_text()

    def documents(self, name: str) -> tuple[Any, ...]:
        """The documents of a YAML file. Raises yaml.YAMLError."""
        return parsed(self.text(name))

    def document(self, name: str) -> dict[str, Any]:
        """The one document of a file, which is a mapping. Raises yaml.YAMLError."""
        found = self.documents(name)
        if len(found) != 1 or not isinstance(found[0], dict):
            raise yaml.YAMLError("the file is not one mapping")
        return found[0]

    def pins(self) -> dict[str, str]:
        """Versions in constraints.txt, by canonical name."""
        lines = self.text("constraints.txt").splitlines()
        pairs = (line.split("==") for line in lines if "==" in line and not line.startswith("#"))
        return {canonical(name): version.strip() for name, version in pairs}

    def project(self) -> dict[str, Any]:
        """The table `project` of pyproject.toml."""
        return tomllib.loads((self.root / "pyproject.toml").read_text())["project"]

    @functools.cached_property
    def objects(self) -> list[tuple[str, dict[str, Any]]]:
        """The objects of Kubernetes in all readable files, each with its file."""
        found: list[tuple[str, dict[str, Any]]] = []
        for name in self.names():
            if name.startswith("kuberay/"):
                try:
                    found += [(name, each) for each in self.documents(name) if isinstance(each, dict)]
                except yaml.YAMLError:
                    continue  # its own check says so
        return found

    def object(self, kind: str, name: str) -> dict[str, Any] | None:
        """The object of this kind and name, or None."""
        return next((each for _, each in self.objects if each.get("kind") == kind and dig(each, "metadata.name") == name), None)


class _Loader(yaml.SafeLoader):
    """Refuses a key that a mapping has twice, of which YAML would keep the last in silence."""

    def compose_mapping_node(self, anchor: str | None) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key.value!r} is there twice", key.start_mark)
            seen.add(key.value)
        return node


@functools.lru_cache(256)
def parsed(text: str) -> tuple[Any, ...]:
    """The documents of a text. Raises yaml.YAMLError."""
    loader, found = _Loader(text), []
    try:
        while loader.check_data():
            found.append(loader.get_data())
    finally:
        loader.dispose()
    return tuple(found)


def dig(value: Any, path: str) -> Any:
    """What lies at `a.b.c`, or None."""
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def unknown(value: Any, known: set[str], where: str) -> Iterator[str]:
    """A line for each key that is not known."""
    if not isinstance(value, dict):
        yield f"{where}: is not a mapping: write keys and values"
        return
    for key in value:
        if key not in known:
            yield f"{where}.{key}: is no key here: one of {', '.join(sorted(known))}"


def image_faults(tree: Tree, image: Any, where: str) -> Iterator[str]:
    """An image has a tag that stays what it is; ours are of this version, and have a Dockerfile."""
    repository, colon, tag = str(image or "").rpartition(":")
    if not colon or "/" in tag or "@" in repository:
        yield f"{where}: {image!r} has no tag: pin one, NAME:VERSION"
    elif not re.search(r"\d", tag) or tag.startswith("latest"):
        yield f"{where}: the tag {tag!r} moves: pin a version"
    elif repository.rpartition("/")[2] == "vidmodels":
        version, _, variant = tag.rpartition("-")
        if version != tree.project()["version"]:
            yield f"{where}: {tag!r} is not of version {tree.project()['version']}, which pyproject.toml has: name that"
        if not (tree.folder / "docker" / f"Dockerfile.{variant}").is_file():
            yield f"{where}: there is no infra/docker/Dockerfile.{variant} that makes {tag!r}: name a variant that exists"


def words(text: str) -> set[str]:
    return set(text.split())


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.strip()).lower()
