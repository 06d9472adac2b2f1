"""The zoo: names of models to models, weights, recipes and predictors, as the systems' cards say. Free of torch itself."""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import json
import pkgutil
import typing
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from vidmodels import systems
from vidmodels.core.entry import ZooEntry
from vidmodels.core.errors import ConfigError, MissingExtraError, WeightsError, did_you_mean

if TYPE_CHECKING:
    from torch import nn

    from vidmodels.core.recipe import Recipe
    from vidmodels.core.registry import Registry
    from vidmodels.weights.load import LoadReport

RecipeT = TypeVar("RecipeT", bound="Recipe")


@functools.cache
def entries() -> dict[str, ZooEntry]:
    """All models by name, from `vidmodels/systems/*/card.py`."""
    found: dict[str, ZooEntry] = {}
    for module in pkgutil.iter_modules(systems.__path__):
        card = importlib.import_module(f"{systems.__name__}.{module.name}.card")
        for entry in card.ENTRIES:
            assert entry.name not in found, f"two cards have a model named {entry.name}"
            found[entry.name] = entry
    return found


def entry(name: str) -> ZooEntry:
    """The card's row of a model. Raises ConfigError for an unknown name."""
    known = entries()
    if name not in known:
        raise ConfigError(f"unknown model {name!r}{did_you_mean(name, known)}; `vidmodels models` lists all")
    return known[name]


def list_models(pattern: str = "*") -> list[str]:
    """Names that fit a pattern such as `*pretrain*` (or contain the given text)."""
    wanted = pattern if any(c in pattern for c in "*?[") else f"*{pattern}*"
    return [name for name in entries() if fnmatchcase(name, wanted)]


def create_model(name: str, **overrides: Any) -> Any:
    """Build a model with initial weights; `overrides` replace values of its configuration (num_classes, num_frames ...).

    num_classes={"verb": 97, "noun": 300} makes a classifier with a linear layer for each label set; its logits are all sets'
    in one row, in the order of their names, which `model.label_sets` says.
    An `nn.Module` with `entry`, its row of the card, `input`, what it takes, and `settings`. Raises ConfigError for
    unknown names and values that cannot be.
    """
    import torch

    row = entry(name)
    settings = {**row.config, **overrides}
    build = _function(row.builder)
    try:
        model = build(**settings)
    except TypeError as error:
        allowed = [*row.config, "num_classes", "drop_path", "dropout", "num_frames", "size", "patch"]
        unknown = [key for key in overrides if f"'{key}'" in str(error)]
        if not unknown:
            raise
        raise ConfigError(f"{name} has no setting {unknown[0]!r}{did_you_mean(unknown[0], allowed)}") from None
    except ValueError as error:
        raise ConfigError(f"{name} cannot be built with {overrides}: {error}") from None
    # convolutions in the layout in which they are fastest bring any input into it (a depthwise 3x3x3 on a CPU: 50 times)
    model = model.to(memory_format=getattr(model, "memory_format", torch.contiguous_format))
    model.entry = row
    model.input = input_of(row, overrides)
    model.settings = settings
    return model


def input_of(row: ZooEntry, overrides: dict[str, Any]):
    """The input specification of a model with some of its settings changed."""
    import dataclasses

    changes: dict[str, Any] = {key: overrides[key] for key in ("num_frames", "size") if key in overrides}
    if changes.get("size", row.input.size) != row.input.size:
        changes["test_size"] = None
    if "audio_rows" in overrides and row.input.audio is not None:
        changes["audio"] = dataclasses.replace(row.input.audio, rows=overrides["audio_rows"])
    return dataclasses.replace(row.input, **changes)


def load_weights(model: nn.Module, weights: str | Path, allow: tuple[str, ...] = ()) -> LoadReport:
    """Load a checkpoint in any format that the model's card names into a model made by `create_model`.

    weights: a file, a folder of shards, or models:/NAME@ALIAS of a registry. allow: patterns of parameter names that
    may be missing in the file or unused from it. Returns the report: loaded, resized, new, dropped. Raises WeightsError.
    """
    row = getattr(model, "entry", None)
    if not isinstance(row, ZooEntry):
        raise ConfigError("load_weights takes a model made by vidmodels.create_model")
    report = _function(row.loader)(model, resolve_weights(str(weights)), tuple(allow))
    if report.metadata.get("name") == row.name:
        model.input = _trained_on(model.input, report.metadata.get("clip", {}))  # type: ignore[assignment]
    return report


def _trained_on(spec: Any, clip: dict[str, Any]) -> Any:
    """The input with the rate and sampling of the clips that a training run saw, as its weights file says them."""
    import dataclasses

    return dataclasses.replace(spec, **{key: clip[key] for key in ("frame_stride", "fps", "sampling") if key in clip})


def resolve_weights(weights: str) -> Path:
    """A local path for the address of weights; schemes such as models:/ are handled by installed resolvers."""
    scheme, colon, _ = weights.partition(":/")
    if not colon or len(scheme) < 2:
        return Path(weights)
    for point in importlib.metadata.entry_points(group="vidmodels.resolvers"):
        if point.name == scheme:
            try:
                resolve = point.load()
            except ImportError as error:
                raise MissingExtraError(f"{weights} needs {error.name}: pip install 'vidmodels[mlflow]'") from None
            return resolve(weights)
    raise WeightsError(f"weights {weights!r}: no way to read {scheme}:/ is installed, give a local path")


def registry(address: str | None = None) -> Registry:
    """The model registry that an installed package brings. address: of its server or store (None: the default one).

    Raises MissingExtraError where none is installed.
    """
    for point in importlib.metadata.entry_points(group="vidmodels.registries"):
        try:
            return point.load()(address)
        except ImportError as error:
            raise MissingExtraError(f"the model registry needs {error.name}: pip install 'vidmodels[mlflow]'") from None
    raise MissingExtraError("no model registry is installed: pip install 'vidmodels[mlflow]'")


def save_weights(model: Any, path: str | Path, metadata: dict[str, Any] | None = None) -> Path:
    """Write a model as safetensors with its name and settings (and `metadata`, class names for instance), whole or not
    at all; `load_weights` and `from_file` read it."""
    from vidmodels.weights.files import write_safetensors

    about = {"name": model.entry.name, "settings": model.settings, **(metadata or {})}
    return write_safetensors(model.state_dict(), Path(path), json.loads(json.dumps(about)))


def load_model(weights: str | Path) -> tuple[Any, dict[str, Any]]:
    """The model that a file of `save_weights` holds, and its metadata (name, settings, classes ...).

    weights: a file, a checkpoint's or a run's folder, or models:/NAME@ALIAS. Raises WeightsError for a file that does
    not say which model it is.
    """
    from vidmodels.weights.files import weights_file

    path = weights_file(resolve_weights(str(weights)))
    metadata = read_metadata(path) if path.suffix == ".safetensors" else {}
    if "name" not in metadata:
        raise WeightsError(
            f"{path} does not say which model it is: name it once with "
            f"`vidmodels convert {path.name} OUT.safetensors --model NAME`"
        )
    settings = {key: tuple(v) if isinstance(v, list) else v for key, v in metadata.get("settings", {}).items()}
    model = create_model(metadata["name"], **settings)
    load_weights(model, path)
    return model, metadata


def read_metadata(path: str | Path) -> dict[str, Any]:
    """Name, settings, classes ... that `save_weights` wrote; {} for foreign files."""
    from vidmodels.weights.files import read_metadata as read

    return read(path)


def recipes(recipe_type: type[RecipeT]) -> dict[str, Callable[[], RecipeT]]:
    """Named recipes of one type: name -> function that returns the recipe."""
    return {name: function for name, function in _recipes().items() if _returned(function) is recipe_type}


def recipe_types() -> dict[str, type[Recipe]]:
    """The types of all named recipes."""
    return {name: _returned(function) for name, function in _recipes().items()}


def _recipes() -> dict[str, Callable[[], Any]]:
    found: dict[str, Callable[[], Any]] = {}
    for row in entries().values():
        module = importlib.import_module(f"{systems.__name__}.{row.system}.recipes") if row.recipes else None
        found |= {name: getattr(module, name) for name in row.recipes}
    return found


def _returned(function: Callable[..., Any]) -> Any:
    return typing.get_type_hints(function)["return"]


def _function(address: str) -> Callable[..., Any]:
    module, _, name = address.partition(":")
    return getattr(importlib.import_module(module), name)
