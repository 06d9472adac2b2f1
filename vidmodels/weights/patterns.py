"""Tables that translate the keys of one published format into ours.

A rule is a pair of a regular expression for the whole key and its replacement, which may use the groups as {0}, {1}.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch
from torch import Tensor

from vidmodels.core.errors import WeightsError


@dataclass(frozen=True)
class Rule:
    """pattern -> target; part: this tensor is one of several row blocks of the target, in the order of `parts`."""

    pattern: str
    target: str
    part: str | None = None


@dataclass(frozen=True)
class Drop:
    """Keys that have no counterpart, with the reason that the report gives."""

    pattern: str
    reason: str


@dataclass(frozen=True)
class Format:
    """A published format.

    signature: patterns of which each must fit some key of the file; unless: patterns of which none may. rules: the
    first that fits a key is taken. parts: order of row blocks that are joined (separate q, k, v into one qkv).
    """

    name: str
    signature: tuple[str, ...]
    rules: tuple[Rule | Drop, ...]
    unless: tuple[str, ...] = ()
    parts: tuple[str, ...] = ("q", "k", "v")

    def fits(self, keys) -> bool:
        """Whether a file with these keys has this format."""

        def found(pattern: str) -> bool:
            return any(re.fullmatch(pattern, key) for key in keys)

        return all(map(found, self.signature)) and not any(map(found, self.unless))


@dataclass(frozen=True)
class Translated:
    """tensors by our keys; dropped: {foreign key: reason}; unknown: foreign keys that no rule names."""

    tensors: dict[str, Tensor]
    dropped: dict[str, str]
    unknown: list[str]


def recognise(state: dict[str, Tensor], formats: tuple[Format, ...], where: str) -> Format:
    """The first format that the keys fit. Raises WeightsError with some of the keys where none does."""
    for candidate in formats:
        if candidate.fits(state):
            return candidate
    shown = ", ".join(sorted(state)[:4])
    raise WeightsError(
        f"{where} is in none of the formats that the model reads ({', '.join(f.name for f in formats)}): "
        f"its {len(state)} keys begin with {shown}"
    )


def translate(state: dict[str, Tensor], form: Format, source: str = "the file") -> Translated:
    """Rename and join the tensors of a file. Raises WeightsError where parts of a joined tensor are missing or do not fit."""
    tensors: dict[str, Tensor] = {}
    dropped: dict[str, str] = {}
    unknown: list[str] = []
    joined: dict[str, dict[str, tuple[str, Tensor]]] = {}
    for key, value in state.items():
        for rule in form.rules:
            match = re.fullmatch(rule.pattern, key)
            if match is None:
                continue
            if isinstance(rule, Drop):
                dropped[key] = rule.reason
            elif rule.part is None:
                tensors[rule.target.format(*match.groups())] = value
            else:
                joined.setdefault(rule.target.format(*match.groups()), {})[rule.part] = key, value
            break
        else:
            unknown.append(key)
    for target, blocks in joined.items():
        if missing := [part for part in form.parts if part not in blocks]:
            raise WeightsError(f"{source} lacks the {missing[0]} part of {target}: it is damaged or cut short")
        tensors[target] = _joined([blocks[part] for part in form.parts], source)
    return Translated(tensors, dropped, unknown)


def _joined(blocks: list[tuple[str, Tensor]], source: str) -> Tensor:
    first, wanted = blocks[0]
    for key, value in blocks[1:]:
        if value.shape != wanted.shape or value.ndim == 0:
            shapes = f"shape {tuple(value.shape)}, but {first} beside it {tuple(wanted.shape)}"
            raise WeightsError(f"{source} is refused: {key} has {shapes}")
    return torch.cat([value for _, value in blocks])
