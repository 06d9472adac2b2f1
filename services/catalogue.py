"""What is known of a model that is served, as the gateway and the decoders have it. Free of torch."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from vidmodels.core.entry import InputSpec

TASKS = {
    "classify": ("classify", "features", "explain"),
    "detect_actions": ("detect-actions",),
    "pretrain_masked": ("features",),
    "pretrain_features": ("features",),
    "pretrain_contrastive": ("features",),
}
"""What the service answers with a model of each task of the zoo."""


@dataclass(frozen=True)
class ServedInfo:
    """One version of a model on its replicas.

    name: what requests call it; registered, version: in the registry; app: the Serve application that computes it; spec: its
    input; answers: the tasks it is for; classes: K names, `label_sets` how many belong to which set where there are several.
    """

    name: str
    registered: str
    version: str
    app: str
    entry: str
    answers: tuple[str, ...]
    spec: dict[str, Any]
    classes: tuple[str, ...] = ()
    label_sets: dict[str, int] | None = None
    precision: str = "float32"
    licence: str = ""
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """What `X-Model-Version` says."""
        return f"{self.registered}/{self.version}"

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def public(self) -> dict[str, Any]:
        """What `/v1/models/{name}` answers."""
        return {
            "name": self.name,
            "version": self.label,
            "model": self.entry,
            "answers": list(self.answers),
            "input": {key: self.spec[key] for key in ("num_frames", "frame_stride", "size", "fps")}
            | {"sound": self.spec.get("audio") is not None},
            "labels": list(self.classes),
            "precision": self.precision,
            "licence": self.licence,
            "weights_sha256": self.tags.get("checkpoint_sha256", ""),
            "data_digest": self.tags.get("dataset_digest", ""),
            "recipe_hash": self.tags.get("recipe_hash", ""),
            "code_version": self.tags.get("code_version", ""),
        }


def info_of(values: dict[str, Any]) -> ServedInfo:
    """From `to_dict`, also where JSON has made lists of its tuples."""
    lists = {key: tuple(values[key]) for key in ("answers", "classes")}
    return ServedInfo(**{**values, **lists})


def input_of(info: ServedInfo) -> InputSpec:
    """The model's input as the library has it."""
    from vidmodels.inference.reading import spec_of

    return spec_of(info.spec)
