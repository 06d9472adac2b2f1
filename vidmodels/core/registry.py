"""What the library knows of a model registry: models by name and version, brought by an installed package."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True)
class RegisteredModel:
    """A version of the registry on this machine. path: its safetensors file, with its other files beside it."""

    name: str
    version: str
    model_id: str
    path: Path
    tags: dict[str, str]


class Registry(Protocol):
    """Registered models. A uri is models:/NAME@ALIAS or models:/NAME/VERSION.

    All raise ConfigError for names that do not exist, WeightsError where the registry does not answer.
    """

    def names(self) -> list[str]:
        """All names, sorted; empty where there is no registry yet."""

    def find(self, uri: str) -> tuple[str, str]:
        """Name and version, without fetching anything."""

    def tags(self, uri: str) -> dict[str, str]:
        """What a version says about its origin: digests of data, recipe and weights, and the code's version."""

    def fetch(self, uri: str) -> RegisteredModel:
        """The verified files on this machine."""

    def lineage(self, uri: str) -> dict[str, Any]:
        """What the version was made from: data, recipe, code, run, metrics."""
