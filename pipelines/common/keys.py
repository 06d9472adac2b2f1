"""Sections of settings as `--key value` options: help with ranges from tyro, sentences about values from pydantic.

tyro would build pydantic models itself and print their errors in pydantic's words; so it gets plain dataclasses with the
same fields, and the values are validated afterwards, as one tree.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Sequence
from typing import Annotated, Any, TypeVar, get_args, get_origin

import annotated_types
import pydantic

from vidmodels.core.errors import ConfigError, did_you_mean
from vidmodels.core.recipe import Section, flatten

SectionT = TypeVar("SectionT", bound=Section)


def parse_keys(words: Sequence[str], section_type: type[SectionT], default: SectionT | None, prog: str, about: str) -> SectionT:
    """The section of a command line; what is not typed is as in `default` (None: as in the class).

    Exits 0 after `--help` and 2, with the nearest option, after an unknown one; raises ConfigError for a value that
    cannot be.
    """
    import tyro

    tree: Any = tyro.cli(
        _mirror(section_type),
        default=None if default is None else _values(default),
        args=words,
        prog=prog,
        description=about,
        config=(tyro.conf.FlagConversionOff,),
    )
    try:
        return section_type.model_validate(dataclasses.asdict(tree))
    except pydantic.ValidationError as error:
        raise ConfigError(explain(error, section_type)) from None


def explain(error: pydantic.ValidationError, section_type: type[Section]) -> str:
    """The first problem of a validation as one sentence with the key, the value and the nearest known key."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = flatten(section_type().model_dump(mode="json"))
        return f"unknown key {key!r}{did_you_mean(key, known)}"
    message = first["msg"].removeprefix("Value error, ")
    value = first.get("input")
    if not key or isinstance(value, dict):  # a section as a whole: its own sentence names the keys
        return message
    return f"{key} = {value!r} is not possible: {message[:1].lower()}{message[1:]}"


@functools.cache
def _mirror(section_type: type[Section]) -> type:
    """A dataclass with the section's fields, their help and their defaults."""
    import tyro

    required: list[tuple] = []
    optional: list[tuple] = []
    for name, field in section_type.model_fields.items():
        kind: Any = field.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            inner = _mirror(kind)
            optional.append((name, inner, dataclasses.field(default_factory=inner)))
            continue
        if get_origin(kind) is dict:  # typed as JSON; the section reads the text
            optional.append((name, Annotated[str, tyro.conf.arg(help=field.description)], json.dumps(field.default)))
            continue
        # a list of sections has no place on a command line, but in a recipe file
        if any(isinstance(part, type) and issubclass(part, Section) for part in get_args(kind)):
            kind = Annotated[kind, tyro.conf.Suppress]
        kind = Annotated[kind, tyro.conf.arg(help=f"{field.description}{_range(field.metadata)}")]
        if field.is_required():
            required.append((name, kind))
        else:
            optional.append((name, kind, dataclasses.field(default=field.default)))
    return dataclasses.make_dataclass(section_type.__name__, [*required, *optional], frozen=True)


def _values(section: Section) -> Any:
    fields = {name: getattr(section, name) for name in type(section).model_fields}
    return _mirror(type(section))(**{name: _value(value) for name, value in fields.items()})


def _value(value: Any) -> Any:
    if isinstance(value, dict):
        return json.dumps(value)
    return _values(value) if isinstance(value, Section) else value


def _range(metadata: Sequence[Any]) -> str:
    """The limits of a number, as ` [>= 0, < 1]`."""
    signs = {annotated_types.Ge: ">=", annotated_types.Gt: ">", annotated_types.Le: "<=", annotated_types.Lt: "<"}
    limits = [f"{sign} {getattr(limit, type(limit).__name__.lower())}" for limit in metadata
              if (sign := signs.get(type(limit)))]  # fmt: skip
    return f" [{', '.join(limits)}]" if limits else ""
