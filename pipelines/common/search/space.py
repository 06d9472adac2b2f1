"""The space of a search: which keys of a recipe vary, over which values; read and checked before anything is trained.

KEY=1e-4..1e-2:log    a range, here drawn evenly by its logarithm
KEY=0.0,0.05          a list
"""

from __future__ import annotations

import itertools
import json
import math
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

import pydantic

from pipelines.common.keys import explain
from vidmodels.core.errors import ConfigError, did_you_mean
from vidmodels.core.recipe import Recipe, Section, flatten

RecipeT = TypeVar("RecipeT", bound=Recipe)

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_RANGE = re.compile(rf"({_NUMBER})\.\.({_NUMBER})(:log)?")
DRAWS = 100
"""Draws for each wanted setting before a space counts as used up: lists give the same setting again."""


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`; log: even by their logarithms; whole: integers."""

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def draw(self, generator: random.Random) -> float:
        if self.log:
            value = math.exp(generator.uniform(math.log(self.low), math.log(self.high)))
        else:
            value = generator.uniform(self.low, self.high)
        # four digits: what is trained is what tables show
        return round(value) if self.whole else min(max(float(f"{value:.4g}"), self.low), self.high)

    @property
    def examples(self) -> tuple[float, ...]:
        return (round(self.low), round(self.high)) if self.whole else (self.low, self.high)


@dataclass(frozen=True)
class Choice:
    """One of several values."""

    values: tuple[Any, ...]

    def draw(self, generator: random.Random) -> Any:
        return generator.choice(self.values)

    @property
    def examples(self) -> tuple[Any, ...]:
        return self.values


Space = dict[str, Range | Choice]


def read_space(text: str, recipe: Recipe) -> Space:
    """The space of a JSON file, or of words KEY=VALUES, checked against the recipe.

    Raises ConfigError for an unknown key, a value that the key cannot have, or text that is no space.
    """
    given = _from_file(Path(text)) if text.endswith(".json") else _from_words(text)
    if not given:
        raise ConfigError("the search space is empty: give --space 'optim.lr=1e-4..1e-2:log' or a JSON file")
    space = {key: _domain(key, values, recipe) for key, values in given.items()}
    for key, domain in space.items():
        for value in domain.examples:
            changed(recipe, {key: value})
    return space


def changed(recipe: RecipeT, settings: Mapping[str, Any]) -> RecipeT:
    """The recipe with some keys changed. Raises ConfigError, with the key, for what cannot be."""
    tree = recipe.model_dump(mode="json")
    for key, value in settings.items():
        *path, last = key.split(".")
        part: Any = tree
        for name in path:
            part = part.get(name) if isinstance(part, dict) else None
        if not isinstance(part, dict) or (last not in part and not _is_open(recipe, path)) or isinstance(part.get(last), dict):
            raise ConfigError(f"the search space: unknown key {key!r}{did_you_mean(key, flatten(tree))}")
        part[last] = value
    try:
        return type(recipe).model_validate(tree)
    except pydantic.ValidationError as error:
        raise ConfigError(f"the search space: {explain(error, type(recipe))}") from None


def draw(space: Space, samples: int | None, seed: int) -> list[dict[str, Any]]:
    """Different settings, equal for equal seeds: all combinations of lists (samples None), or so many at random.

    More samples begin with the same ones. Fewer come where the space has no more.
    """
    lists = {key: domain.values for key, domain in space.items() if isinstance(domain, Choice)}
    if samples is None:
        if ranges := [key for key in space if key not in lists]:
            raise ConfigError(f"{ranges[0]} is a range: say with --search.samples how many settings are to be drawn")
        return [dict(zip(lists, values)) for values in itertools.product(*lists.values())]
    found: dict[str, dict[str, Any]] = {}
    for settings in itertools.islice(_draws(space, seed), samples * DRAWS):
        found.setdefault(json.dumps(settings, sort_keys=True), settings)
        if len(found) == samples:
            break
    return list(found.values())


def describe(space: Space) -> dict[str, str]:
    """The space as text by key, as it is typed."""
    return {
        key: ",".join(json.dumps(value) for value in domain.values)
        if isinstance(domain, Choice)
        else f"{domain.low:g}..{domain.high:g}{':log' if domain.log else ''}"
        for key, domain in space.items()
    }


def _draws(space: Space, seed: int) -> Iterator[dict[str, Any]]:
    for number in itertools.count():
        generator = random.Random(f"{seed}/{number}")
        yield {key: domain.draw(generator) for key, domain in space.items()}


def _from_file(path: Path) -> dict[str, Any]:
    try:
        tree = json.loads(path.read_text())
    except FileNotFoundError:
        raise ConfigError(f"no search space at {path}: give a JSON file or text such as 'optim.lr=1e-4..1e-2:log'") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ConfigError(f"cannot read the search space {path}: {error}") from None
    if not isinstance(tree, dict):
        raise ConfigError(f"the search space {path} holds {type(tree).__name__}, not an object of keys")
    return tree


def _from_words(text: str) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for word in text.split():
        key, equals, values = word.partition("=")
        if not equals or not values:
            raise ConfigError(
                f"the search space: {word!r} is not KEY=VALUES, as in optim.lr=1e-4..1e-2:log or optim.lr=0.1,0.2"
            )
        if key in given:
            raise ConfigError(f"the search space names {key} twice: list all its values behind one key")
        given[key] = values
    return given


def _domain(key: str, values: Any, recipe: Recipe) -> Range | Choice:
    """Values of a key as they are typed, or in a JSON file as a list."""
    if isinstance(values, str):
        if match := _RANGE.fullmatch(values):
            return _range(key, float(match[1]), float(match[2]), bool(match[3]), recipe)
        values = [_value(part) for part in values.split(",")]
    if not isinstance(values, list) or not values:
        raise ConfigError(
            f"the search space: {key} has {values!r}, neither a list of values nor a range such as '1e-4..1e-2:log'"
        )
    return Choice(tuple(value for place, value in enumerate(values) if value not in values[:place]))


def _range(key: str, low: float, high: float, log: bool, recipe: Recipe) -> Range:
    if not low < high:
        raise ConfigError(f"the search space: {key} goes from {low:g} to {high:g}: give the smaller number first")
    if log and low <= 0:
        raise ConfigError(
            f"the search space: {key} begins at {low:g}, which has no logarithm: begin above 0 or leave out ':log'"
        )
    return Range(low, high, log, whole=_field_type(type(recipe), key.split(".")) is int)


def _value(text: str) -> Any:
    """A typed value: JSON where it is such, else a word; Python's spelling of constants is taken too."""
    try:
        return {"True": True, "False": False, "None": None}[text] if text in ("True", "False", "None") else json.loads(text)
    except ValueError:
        return text


def _field_type(section: type[Section], path: Sequence[str]) -> Any:
    """The type of a key's values, without None; None for an unknown key or what has several types."""
    field = section.model_fields.get(path[0])
    kind: Any = None if field is None else field.annotation
    if get_origin(kind) in (Union, UnionType):
        kinds = [part for part in get_args(kind) if part is not type(None)]
        kind = kinds[0] if len(kinds) == 1 else None
    if len(path) == 1:
        return kind
    return _field_type(kind, path[1:]) if isinstance(kind, type) and issubclass(kind, Section) else None


def _is_open(recipe: Recipe, path: Sequence[str]) -> bool:
    """Whether a key's parent takes keys of any name, as the settings of a model's builder do."""
    part: Any = recipe
    for name in path:
        part = getattr(part, name, None)
    return isinstance(part, dict)
