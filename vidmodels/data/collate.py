"""Columns of decoded samples to a Batch, without copying the pixels."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch

from vidmodels.core.batch import Batch


def to_batch(columns: dict[str, Any]) -> Batch:
    """A Batch over the same memory as `columns` (`clips` uint8 [B, R, T, H, W, C], `number`, `label`, `id`, `error`).

    The pixels may lie in a read-only object store: they must never be written in place.
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
    return Batch(
        clips=tensor,
        valid=valid,
        numbers=torch.as_tensor(np.array(columns["number"], np.int64)),
        ids=ids,
        labels=torch.as_tensor(np.array(columns["label"], np.int64)),
        errors=errors,
        extra=extra,
    )
