"""A batch of clips on its way from the decoder to the model.

B videos, R clips of each (repeated sampling), T frames, H height, W width, C colours, S samples of sound.
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
    labels: int64 [B] (-1: none), or [B, S] of S label sets, or float [rows, classes] of shares after mixing or of flags with
    several labels, or (before preparation) float [B, R, classes] where each clip has flags of its own, or None.
    boxes: float [M, 5], all M boxes of people as rows of (clip, x1, y1, x2, y2) in pixels of the clips, clips counted over
    videos and their repeats, or None; box_targets: float [M, classes], what each person does.
    sound: float [B, R, S] in -1..1, one channel, of each clip's own span of time, or None; sound_samples: int64 [B], how many
    are the clip's, zeros follow; has_sound: bool [B, R]; other_sound: float [B, R, S] of other spans of the same videos.
    """

    clips: Tensor
    valid: Tensor
    numbers: Tensor
    ids: list[str]
    labels: Tensor | None = None
    errors: dict[str, str] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    boxes: Tensor | None = None
    box_targets: Tensor | None = None
    sound: Tensor | None = None
    sound_samples: Tensor | None = None
    has_sound: Tensor | None = None
    other_sound: Tensor | None = None

    def to(self, device: torch.device | str) -> Batch:
        """The batch with its tensors on `device` (copies are asynchronous from pinned memory)."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin(self) -> Batch:
        """The batch with its tensors in page-locked memory, from which a GPU copies by itself."""
        return self._each(Tensor.pin_memory)

    def tensors(self) -> list[Tensor]:
        """The tensors that move with the batch; the sample numbers stay on the CPU."""
        return [self.clips, self.valid, *self._optional().values()]

    def _each(self, change: Callable[[Tensor], Tensor]) -> Batch:
        moved: dict[str, Any] = {name: change(tensor) for name, tensor in self._optional().items()}
        return replace(self, clips=change(self.clips), valid=change(self.valid), **moved)

    def _optional(self) -> dict[str, Tensor]:
        """The tensors that not every task has."""
        names = ("labels", "boxes", "box_targets", "sound", "sound_samples", "has_sound", "other_sound")
        return {name: tensor for name in names if (tensor := getattr(self, name)) is not None}

    def __len__(self) -> int:
        return len(self.clips)
