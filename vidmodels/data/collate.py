"""Columns of decoded samples to a Batch, without copying the pixels."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch

from vidmodels.core.batch import Batch

_SOUND = ("sound", "sound_samples", "has_sound", "other_sound")


def to_batch(columns: dict[str, Any]) -> Batch:
    """A Batch over the same memory as `columns` (`clips` uint8 [B, R, T, H, W, C], `number`, `label`, `id`, `error`).

    Where there are `targets` [B, K], or [B, R, K] where each clip has its own, flags for each class, they are the labels.

    The pixels may lie in a read-only object store: they must never be written in place. Samples with people have two more
    columns: `boxes`, for each a float array [n, 5] of rows (clip of the sample, from 0 to R - 1; x1, y1, x2, y2 in its
    pixels; clip -1 fills up), and `box_targets`, [n, K]. Samples with sound have `sound`, `has_sound`, `sound_samples` (and
    `other_sound`), see vidmodels.core.batch.
    """
    clips = columns["clips"]
    if isinstance(clips, torch.Tensor):
        tensor = clips
    else:
        with warnings.catch_warnings():
            # torch warns that the memory is read-only; `prepare` converts to float before it changes anything
            warnings.filterwarnings("ignore", message=".*not writable.*")
            tensor = torch.from_numpy(np.ascontiguousarray(clips))
    ids = [str(i) for i in columns["id"]]
    errors = {i: str(e) for i, e in zip(ids, columns["error"]) if e}
    valid = torch.tensor([not e for e in columns["error"]], dtype=torch.bool)
    extra = {"repeated": np.asarray(columns["repeated"])} if "repeated" in columns else {}
    boxes, box_targets = _people(columns, tensor.shape[1]) if "boxes" in columns else (None, None)
    return Batch(
        clips=tensor,
        valid=valid,
        numbers=torch.as_tensor(np.array(columns["number"], np.int64)),
        ids=ids,
        labels=_labels(columns),
        errors=errors,
        extra=extra,
        boxes=boxes,
        box_targets=box_targets,
        **{key: torch.as_tensor(np.array(columns[key])) for key in _SOUND if key in columns},
    )


def _people(columns: dict[str, Any], repeats: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Boxes [M, 5] and targets [M, K] of all samples, each box with the number of its clip in the whole batch."""
    boxes = [torch.tensor(np.asarray(part), dtype=torch.float32).reshape(-1, 5) for part in columns["boxes"]]
    targets = [torch.tensor(np.asarray(part), dtype=torch.float32) for part in columns["box_targets"]]
    real = [part[:, 0] >= 0 for part in boxes]
    for sample, part in enumerate(boxes):
        part[:, 0] += sample * repeats
    kept = [torch.cat([part[chosen] for part, chosen in zip(each, real)]) for each in (boxes, targets)]
    return kept[0], kept[1]


def _labels(columns: dict[str, Any]) -> torch.Tensor:
    if "targets" in columns:
        return torch.as_tensor(np.array(columns["targets"], np.float32))
    return torch.as_tensor(np.array(columns["label"], np.int64))
