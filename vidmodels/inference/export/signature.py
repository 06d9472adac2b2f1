"""The inputs of a model as an exported file names them, and examples to trace and to compare it with.

N clips, T frames, S side of a crop, R boxes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from vidmodels.core.entry import InputSpec

Rows = Literal["batch", "boxes"]


@dataclass(frozen=True)
class Input:
    """An input: its name, what its first axis counts (clips of the batch or boxes), and the sizes of the other axes."""

    name: str
    rows: Rows
    shape: tuple[int, ...]
    dtype: Literal["float32", "bool"] = "float32"

    def __str__(self) -> str:
        return f"{self.name} {self.dtype} [{', '.join([self.rows, *map(str, self.shape)])}]"


def inputs_of(spec: InputSpec, detects: bool = False) -> tuple[Input, ...]:
    """The inputs of a model in the order of its `forward`.

    Normalised clips [N, 3, T, S, S]; for models that hear, normalised log-mel sound and which clips have one; for
    detectors, boxes [R, 5], rows of (clip, x1, y1, x2, y2) in pixels.
    """
    inputs = [Input("clips", "batch", (3, spec.num_frames, spec.view_size, spec.view_size))]
    if spec.audio is not None:
        inputs.append(Input("audio", "batch", (1, spec.audio.rows, spec.audio.mels)))
        inputs.append(Input("has_audio", "batch", (), "bool"))
    if detects:
        inputs.append(Input("boxes", "boxes", (5,)))
    return tuple(inputs)


def example_of(inputs: Sequence[Input], batch: int, seed: int = 0) -> dict[str, Tensor]:
    """Inputs for a batch: normal noise, every third clip silent, two boxes in each clip."""
    generator = torch.Generator().manual_seed(seed)
    example = {}
    for each in inputs:
        if each.rows == "boxes":
            side = inputs[0].shape[-1]
            corners = torch.rand(2 * batch, 2, 2, generator=generator).sort(1).values.flatten(1) * side
            example[each.name] = torch.cat([torch.arange(2.0 * batch).unsqueeze(1) // 2, corners], dim=1)
        elif each.dtype == "bool":
            example[each.name] = torch.arange(batch) % 3 != 2
        else:
            example[each.name] = torch.randn(batch, *each.shape, generator=generator)
    return example
