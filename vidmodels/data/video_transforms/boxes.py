"""Scales, crops and flips that move boxes with the pixels.

Boxes are float [R, 4], rows of (x1, y1, x2, y2) in pixels that count both ends: x2 is the last column inside, at most W - 1
(AVA's convention, other than torchvision's). Neither videos nor boxes are changed in place.
C colours, T frames, H height, W width, R boxes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vidmodels.core.errors import ConfigError
from vidmodels.data.video_transforms.spatial import (
    Window,
    check_crop,
    check_range,
    cut,
    draw_size,
    short_side_scale,
    uniform_window,
)

VideoAndBoxes = tuple[Tensor, Tensor]


def clip_boxes_to_image(boxes: Tensor, height: int, width: int) -> Tensor:
    """Boxes with what lies outside the frame cut off."""
    limits = torch.tensor([width - 1, height - 1] * 2, dtype=boxes.dtype, device=boxes.device)
    return torch.minimum(boxes.clamp(min=0), limits)


def crop_boxes(boxes: Tensor, left: int, top: int) -> Tensor:
    """Boxes as seen from a crop that begins at (left, top); they may reach out of it."""
    return boxes - torch.tensor([left, top] * 2, dtype=boxes.dtype, device=boxes.device)


def short_side_scale_with_boxes(video: Tensor, boxes: Tensor, size: int, interpolation: str = "bilinear") -> VideoAndBoxes:
    """A video [C, T, H, W] with its short side scaled to `size`.

    Both axes of the boxes are scaled by the ratio of the long side, as in PySlowFast: it is rounded down to whole pixels,
    so that along the short side a coordinate may be up to a pixel too small.
    """
    scaled = short_side_scale(video, size, interpolation)
    long = -2 if video.shape[-1] < video.shape[-2] else -1
    return scaled, boxes * (scaled.shape[long] / video.shape[long])


def random_short_side_scale_with_boxes(
    video: Tensor, boxes: Tensor, smallest: int, largest: int, interpolation: str = "bilinear"
) -> VideoAndBoxes:
    """The short side scaled to an integer drawn evenly from `smallest` to `largest`, included."""
    check_range(smallest, largest)
    return short_side_scale_with_boxes(video, boxes, draw_size(smallest, largest), interpolation)


def random_crop_with_boxes(video: Tensor, size: int, boxes: Tensor) -> VideoAndBoxes:
    """A square of `size` from anywhere in the frame, the same for all frames, and what it shows of the boxes."""
    height, width = video.shape[-2:]
    check_crop(height, width, size)
    top, left = draw_size(0, height - size), draw_size(0, width - size)
    return _cut_both(video, boxes, Window(top, left, size, size))


def uniform_crop_with_boxes(video: Tensor, size: int, index: int, boxes: Tensor) -> VideoAndBoxes:
    """One of three squares along the long side (see `uniform_window`), and what it shows of the boxes."""
    height, width = video.shape[-2:]
    return _cut_both(video, boxes, uniform_window(height, width, size, index))


def horizontal_flip_with_boxes(probability: float, video: Tensor, boxes: Tensor) -> VideoAndBoxes:
    """Video and boxes mirrored left to right with the given probability."""
    if not 0 <= probability <= 1:
        raise ConfigError(f"the probability of a flip is {probability}: give 0 to 1")
    if torch.rand(()) >= probability:
        return video, boxes
    x1, y1, x2, y2 = boxes.unbind(-1)
    last = video.shape[-1] - 1
    return video.flip(-1), torch.stack([last - x2, y1, last - x1, y2], dim=-1)


def _cut_both(video: Tensor, boxes: Tensor, window: Window) -> VideoAndBoxes:
    moved = crop_boxes(boxes, window.left, window.top)
    return cut(video, window), clip_boxes_to_image(moved, window.height, window.width)
