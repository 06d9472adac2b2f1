"""Transforms of the picture plane: scales and crops, the same for all frames of a clip.

Centre and random crops and flips are torchvision's own (`v2.CenterCrop`, `v2.RandomCrop`, `v2.RandomHorizontalFlip`), which
take [C, T, H, W] as they are. C colours, T frames, H height, W width, S side of a crop.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from vidmodels.core.errors import ConfigError
from vidmodels.data.geometry import short_side
from vidmodels.data.video_transforms.structure import Sample, entry_of


class Window(NamedTuple):
    """A rectangle of a frame in pixels."""

    top: int
    left: int
    height: int
    width: int


def short_side_scale(video: Tensor, size: int, interpolation: str = "bilinear") -> Tensor:
    """A video [C, T, H, W] with its short side scaled to `size`: half-pixel centres, no antialiasing."""
    if size < 1:
        raise ConfigError(f"the short side cannot be scaled to {size} pixels: give 1 or more")
    height, width = video.shape[-2:]
    return F.resize(video, list(short_side(height, width, size)), v2.InterpolationMode(interpolation), antialias=False)


class ShortSideScale(nn.Module):
    """A video [C, T, H, W] with its short side scaled to `size`."""

    def __init__(self, size: int, interpolation: str = "bilinear") -> None:
        super().__init__()
        self.size, self.interpolation = size, interpolation

    def forward(self, video: Tensor) -> Tensor:
        return short_side_scale(video, self.size, self.interpolation)


class RandomShortSideScale(nn.Module):
    """A video [C, T, H, W] with its short side scaled to an integer drawn evenly from `smallest` to `largest`, included."""

    def __init__(self, smallest: int, largest: int, interpolation: str = "bilinear") -> None:
        super().__init__()
        self.smallest, self.largest, self.interpolation = smallest, largest, interpolation
        check_range(smallest, largest)

    def forward(self, video: Tensor) -> Tensor:
        return short_side_scale(video, draw_size(self.smallest, self.largest), self.interpolation)


def uniform_window(height: int, width: int, size: int, index: int) -> Window:
    """The square of `size` at the start (0), middle (1) or end (2) of the long side, in the middle of the short one.

    Middles are rounded up, as in PySlowFast.
    """
    if index not in (0, 1, 2):
        raise ConfigError(f"there is no crop {index}: give 0 (left or top), 1 (middle) or 2 (right or bottom)")
    check_crop(height, width, size)
    top, left = math.ceil((height - size) / 2), math.ceil((width - size) / 2)
    if height > width:
        top = (0, top, height - size)[index]
    else:
        left = (0, left, width - size)[index]
    return Window(top, left, size, size)


def cut(video: Tensor, window: Window) -> Tensor:
    """The window of each frame of a video [C, T, H, W], a view."""
    top, left, height, width = window
    return video[..., top : top + height, left : left + width]


def uniform_crop(video: Tensor, size: int, index: int) -> Tensor:
    """One of three squares along the long side of a video [C, T, H, W]; see `uniform_window`."""
    height, width = video.shape[-2:]
    return cut(video, uniform_window(height, width, size, index))


class UniformCrop(nn.Module):
    """One of three squares along the long side of a video [C, T, H, W]."""

    def __init__(self, size: int, index: int = 1) -> None:
        super().__init__()
        self.size, self.index = size, index

    def forward(self, video: Tensor) -> Tensor:
        return uniform_crop(video, self.size, self.index)


class UniformCropVideo(nn.Module):
    """The square of a sample's video that its `aug_index` names, as `constant_clips` counts it for the usual three crops."""

    def __init__(self, size: int, video_key: str = "video", aug_index_key: str = "aug_index") -> None:
        super().__init__()
        self.size, self.video_key, self.aug_index_key = size, video_key, aug_index_key

    def forward(self, sample: Mapping[str, Any]) -> Sample:
        video, index = entry_of(sample, self.video_key), entry_of(sample, self.aug_index_key)
        return {**sample, self.video_key: uniform_crop(video, self.size, int(index))}


class RandomResizedCrop(nn.Module):
    """A random window of random area and aspect ratio, scaled to `size` (Szegedy et al. 2015, section 6).

    area: smallest and largest share of the frame; aspect: smallest and largest width / height, drawn in the logarithm.
    Ten draws, then the middle. shift: the window moves evenly from one draw in the first frame to another in the last.
    """

    def __init__(
        self,
        size: int | tuple[int, int],
        area: tuple[float, float] = (0.08, 1.0),
        aspect: tuple[float, float] = (3 / 4, 4 / 3),
        shift: bool = False,
        interpolation: str = "bilinear",
    ) -> None:
        super().__init__()
        if not 0 < area[0] <= area[1] or not 0 < aspect[0] <= aspect[1]:
            raise ConfigError(f"area {area} and aspect {aspect} must each satisfy 0 < smallest <= largest")
        self.size = [size, size] if isinstance(size, int) else list(size)
        self.area, self.aspect, self.shift = area, aspect, shift
        self.interpolation = v2.InterpolationMode(interpolation)

    def forward(self, video: Tensor) -> Tensor:
        first = self._draw(video)
        if not self.shift:
            return F.resized_crop(video, *first, self.size, self.interpolation, antialias=False)
        places = zip(first, self._draw(video))
        paths = [torch.linspace(start, end, video.shape[-3]).round().int().tolist() for start, end in places]
        frames = [
            F.resized_crop(frame, *window, self.size, self.interpolation, antialias=False)
            for frame, window in zip(video.unbind(-3), zip(*paths))
        ]
        return torch.stack(frames, dim=-3)

    def _draw(self, video: Tensor) -> Window:
        return Window(*v2.RandomResizedCrop.get_params(video, list(self.area), list(self.aspect)))


def draw_size(smallest: int, largest: int) -> int:
    """An integer from `smallest` to `largest`, both included."""
    return int(torch.randint(smallest, largest + 1, ()))


def check_range(smallest: int, largest: int) -> None:
    """Raises ConfigError where no short side can be drawn."""
    if not 1 <= smallest <= largest:
        raise ConfigError(f"no short side lies from {smallest} to {largest} pixels: give 1 <= smallest <= largest")


def check_crop(height: int, width: int, size: int) -> None:
    """Raises ConfigError where a square does not fit into a frame."""
    if not 1 <= size <= min(height, width):
        raise ConfigError(
            f"cannot cut {size} x {size} pixels out of frames of {height} x {width}: scale the video up first, or cut less"
        )
