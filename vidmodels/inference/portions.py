"""Decoded clips as a model takes them, in portions that the machine computes fastest.

N clips, T frames, H height, W width, C colours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from vidmodels.core.entry import InputSpec
from vidmodels.data.transforms import pixels_of

CACHED_PIXELS = 2**19
"""Pixels of which a network's activations stay near one core: above, an X3D-M takes twice as long for each of eight clips as
for one alone (measured on cores with 1 MB of second-level cache)."""


def portions(
    clips: Tensor,
    spec: InputSpec,
    most: int,
    device: torch.device | str = "cpu",
    beside: Sequence[Tensor] = (),
    fixed: int | None = None,
) -> Iterator[tuple[Tensor, ...]]:
    """Clips uint8 [N, T, H, W, C], normalised and on the device as float32 [n, C, T, H, W], each portion with its rows of the
    tensors [N, ...] in `beside`.

    most: clips of a portion; on a CPU it has fewer, at least one, where they are large. fixed: how many a network computes
    whatever it is given, as an exported one may; portions are as large then.
    """
    place = torch.device(device)
    count = fixed or at_once(clips.shape, most, place)
    for part, *others in zip(clips.split(count), *(values.split(count) for values in beside)):
        yield pixels_of(part.to(place), spec), *(values.to(place) for values in others)


def at_once(shape: Sequence[int], most: int, device: torch.device | str = "cpu") -> int:
    """How many clips of a shape [N, T, H, W, C] are computed together: at most `most`, on a CPU as many as are fastest."""
    if torch.device(device).type != "cpu":
        return most
    _, frames, height, width, _ = shape
    return max(1, min(most, CACHED_PIXELS * torch.get_num_threads() // (frames * height * width)))
