"""A batch of clips on its way from the decoder to the model.

B videos, R clips of each (repeated sampling), T frames, H height, W width, C colours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor


@dataclass
class Batch:
    """One micro-batch.

    clips: uint8 [B, R, T, H, W, C] as decoded, or float [B*R, C, T, H, W] once prepared for the model.
    valid: bool, one per row of `clips`; False where a video could not be decoded (its pixels are zero).
    numbers: int64 [B], global sample numbers.
    ids: the videos' ids; errors: {id: message} of the rows that are not valid.
    labels: int64 [B] (-1: none) or float [rows, classes] after mixing, or None.
    """

    clips: Tensor
    valid: Tensor
    numbers: Tensor
    ids: list[str]
    labels: Tensor | None = None
    errors: dict[str, str] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)

    def to(self, device: torch.device | str) -> Batch:
        """The batch with its tensors on `device` (copies are asynchronous from pinned memory)."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin(self) -> Batch:
        """The batch with its tensors in page-locked memory, from which a GPU copies by itself."""
        return self._each(Tensor.pin_memory)

    def tensors(self) -> list[Tensor]:
        """The tensors that move with the batch; the sample numbers stay on the CPU."""
        return [tensor for tensor in (self.clips, self.valid, self.labels) if tensor is not None]

    def _each(self, change: Callable[[Tensor], Tensor]) -> Batch:
        labels = None if self.labels is None else change(self.labels)
        return replace(self, clips=change(self.clips), valid=change(self.valid), labels=labels)

    def __len__(self) -> int:
        return len(self.clips)
