"""The base of all recipe sections: frozen, no unknown keys, one canonical JSON form and its hash."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic.config import JsonDict

LATER: JsonDict = {"later": True}
"""Marks a field that its section did not always have (`Field(default, json_schema_extra=LATER)`); see `Section.identity`."""


class Section(BaseModel):
    """A frozen group of settings; unknown keys are errors, so that no key does nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, validate_default=True)

    def replace(self, **changes: Any):
        """A validated copy with some fields changed (`model_copy` would skip validation)."""
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        return type(self).model_validate({**fields, **changes})

    def identity(self) -> dict[str, Any]:
        """The section as plain values, without the fields marked LATER that have their defaults.

        A run is named by these values: one that was begun before a field came goes on under its name.
        """
        tree = self.model_dump(mode="json")
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            if isinstance(value, Section):
                tree[name] = value.identity()
            elif field.json_schema_extra == LATER and value == field.default:
                del tree[name]
        return tree


def canonical_json(tree: dict[str, Any]) -> str:
    """A dumped section as JSON with sorted keys: equal settings give equal text."""
    return json.dumps(tree, sort_keys=True, separators=(",", ":"))


def section_hash(*parts: str) -> str:
    """The first 12 hexadecimal digits of the SHA-256 of the parts."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def flatten(tree: Any, prefix: str = "") -> dict[str, Any]:
    """`{"optim": {"lr": 1}}` as `{"optim.lr": 1}`, lists as they are."""
    if not isinstance(tree, dict):
        return {prefix: tree}
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat.update(flatten(value, f"{prefix}.{key}" if prefix else key))
    return flat


def differing_keys(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """One `key: old -> new` line for each setting in which two dumped recipes differ."""
    a, b = flatten(old), flatten(new)
    return [f"{key}: {a.get(key)!r} -> {b.get(key)!r}" for key in sorted(a.keys() | b.keys()) if a.get(key) != b.get(key)]
