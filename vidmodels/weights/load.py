"""Loading a state into a model with a report of what happened to each tensor."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

from vidmodels.core.errors import WeightsError
from vidmodels.weights.patterns import Format, recognise, translate

log = logging.getLogger(__name__)

_HEAD = re.compile(r"head\.(?:projection\.)?(?:(?<=projection\.)(\w+)\.)?(?:weight|bias)")
"""The last layer of a classifier, or those of its label sets."""

Resize = Callable[[str, Tensor, nn.Module], Tensor | None]
"""(our key, tensor of another shape, model) -> tensor of the model's shape, or None where it cannot be resized."""


@dataclass
class LoadReport:
    """What became of a weights file.

    loaded: our keys taken as they are; resized: {key: "old shape -> new shape"}; new: the model's keys that keep their
    initial values; dropped: {the file's key: reason}; metadata: what the file says about itself (classes, name).
    """

    source: str
    format: str
    loaded: list[str] = field(default_factory=list)
    resized: dict[str, str] = field(default_factory=dict)
    new: list[str] = field(default_factory=list)
    dropped: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = [
            f"{self.source} ({self.format}): {len(self.loaded)} loaded, {len(self.resized)} resized, "
            f"{len(self.new)} new, {len(self.dropped)} dropped"
        ]
        lines += [f"  resized  {key}: {shapes}" for key, shapes in self.resized.items()]
        if self.new:
            lines.append(f"  new      {_shortened(self.new)}")
        for reason in dict.fromkeys(self.dropped.values()):
            keys = [key for key, why in self.dropped.items() if why == reason]
            lines.append(f"  dropped  {_shortened(keys)}: {reason}")
        return "\n".join(lines)


def open_state(
    state: dict[str, Tensor], formats: tuple[Format, ...], source: str, metadata: dict[str, Any] | None = None
) -> tuple[Format, dict[str, Tensor], LoadReport]:
    """The format of a state, its tensors under our keys, and a report that begins with what has no counterpart.

    Raises WeightsError where the keys fit no format, or the format does not know one of them.
    """
    form = recognise(state, formats, source)
    translated = translate(state, form, source)
    if translated.unknown:
        raise WeightsError(
            f"{source} looks like {form.name}, but has keys that it does not know, the first is "
            f"{translated.unknown[0]!r}: is this a checkpoint of another model?"
        )
    report = LoadReport(source, form.name, dropped=dict(translated.dropped), metadata=metadata or {})
    return form, translated.tensors, report


def load_state(
    model: nn.Module,
    tensors: dict[str, Tensor],
    report: LoadReport,
    may_be_new: Sequence[str] = (),
    may_be_dropped: Sequence[str] = (),
    resize: Resize | None = None,
) -> LoadReport:
    """Copy tensors into the model and complete the report; the model changes only if everything fits.

    may_be_new, may_be_dropped: patterns (fnmatch) of our keys that a file may lack (a fresh head) or have in vain.
    Raises WeightsError where a tensor has another shape, is missing or unexpected, naming the first of them.
    """
    own = model.state_dict()
    _check_label_sets(tensors, own, may_be_new, report.source)
    ready: dict[str, Tensor] = {}
    for key, value in tensors.items():
        if key not in own:
            _drop_or_refuse(key, may_be_dropped, report, type(model).__name__)
            continue
        target = own[key]
        if value.shape != target.shape:
            fitted = resize(key, value, model) if resize is not None else None
            if fitted is None or fitted.shape != target.shape:
                if not _allowed(key, may_be_new):
                    raise WeightsError(
                        f"{report.source} does not fit {type(model).__name__}: {key} has shape {tuple(value.shape)} in the "
                        f"file and {tuple(target.shape)} in the model; create the model with the file's geometry"
                    )
                report.dropped[key] = f"shape {tuple(value.shape)} in the file, {tuple(target.shape)} in the model"
                continue
            report.resized[key] = f"{tuple(value.shape)} -> {tuple(target.shape)}"
            value = fitted
        else:
            report.loaded.append(key)
        if not torch.isfinite(value).all():
            raise WeightsError(f"{report.source} is refused: {key} holds values that are not finite")
        ready[key] = value
    missing = [key for key in own if key not in ready]
    for key in missing:
        if not _allowed(key, may_be_new):
            raise WeightsError(
                f"{report.source} does not fit {type(model).__name__}: it has no {key} "
                f"({len(missing)} of the model's {len(own)} tensors are missing)"
            )
    if not ready:
        raise WeightsError(f"{report.source} does not fit {type(model).__name__}: no tensor could be taken from it")
    report.new = missing
    with torch.no_grad():
        for key, value in ready.items():
            own[key].copy_(value)
    for line in str(report).splitlines():
        log.info("%s", line)
    return report


def _check_label_sets(tensors: Mapping[str, Tensor], own: Mapping[str, Tensor], may_be_new: Sequence[str], source: str) -> None:
    """Raise WeightsError for a file whose heads are of other label sets, unless the model's may be new."""
    theirs, ours = _heads(tensors), _heads(own)
    differ = theirs.keys() != ours.keys() or (theirs != ours and "" not in ours)
    if not (theirs and ours and differ) or all(_allowed(key, may_be_new) for key in own if _HEAD.fullmatch(key)):
        return
    file, model = (", ".join(f"{size} of {name or 'one set'}" for name, size in found.items()) for found in (theirs, ours))
    wanted = theirs.get("", theirs)
    raise WeightsError(
        f"{source} has other heads than the model, which has classes {model}; the file has {file}: create the model with "
        f"num_classes={wanted}, or allow head.* to be new"
    )


def _heads(state: Mapping[str, Tensor]) -> dict[str, int]:
    """The number of classes of each label set, by '' where there is one without a name."""
    found = ((_HEAD.fullmatch(key), len(value)) for key, value in sorted(state.items()) if key.endswith("bias"))
    return {match[1] or "": size for match, size in found if match}


def _drop_or_refuse(key: str, may_be_dropped: Sequence[str], report: LoadReport, name: str) -> None:
    if not _allowed(key, may_be_dropped):
        raise WeightsError(f"{report.source} does not fit {name}: the model has no {key}, is this the right model?")
    report.dropped[key] = "the model has no such part"


def _allowed(key: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(key, pattern) for pattern in patterns)


def _shortened(keys: Sequence[str], shown: int = 4) -> str:
    more = f" and {len(keys) - shown} more" if len(keys) > shown else ""
    return ", ".join(keys[:shown]) + more
