"""Crops of whole clips on the CPU, in uint8 and without torch, so that decoding processes stay small.

T frames, H height, W width, C colours, S side of the crop.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from vidmodels.core.recipe import ClipSection

cv2.setNumThreads(0)  # one decoder process per core; OpenCV's own threads would only fight over them


@dataclass(frozen=True)
class Crop:
    """A rectangle of the source frame in pixels."""

    top: int
    left: int
    height: int
    width: int


def random_resized_crop(
    height: int, width: int, area: tuple[float, float], aspect: tuple[float, float], rng: np.random.Generator
) -> Crop:
    """A crop of random area and aspect ratio (Szegedy et al. 2015), the central one where ten draws do not fit."""
    log_aspect = np.log(aspect)
    for _ in range(10):
        target = height * width * rng.uniform(*area)
        ratio = math.exp(rng.uniform(*log_aspect))
        w, h = round(math.sqrt(target * ratio)), round(math.sqrt(target / ratio))
        if 0 < w <= width and 0 < h <= height:
            return Crop(int(rng.integers(0, height - h + 1)), int(rng.integers(0, width - w + 1)), h, w)
    w = min(width, round(height * aspect[1]))
    h = min(height, round(width / aspect[0]))
    return Crop((height - h) // 2, (width - w) // 2, h, w)


def random_square(height: int, width: int, clip: ClipSection, rng: np.random.Generator) -> Crop:
    """The square that a crop of `clip.size` covers once the short side is resized to a random length (VGG's scale jitter).

    It is cut before it is resized, which gives the same picture for less work.
    """
    shortest, longest = clip.short_side
    if clip.short_side_inverse:
        length = round(1 / rng.uniform(1 / longest, 1 / shortest))
    else:
        length = int(rng.integers(shortest, longest + 1))
    side = max(1, min(round(clip.size * min(height, width) / length), height, width))
    return Crop(int(rng.integers(0, height - side + 1)), int(rng.integers(0, width - side + 1)), side, side)


def spatial_crop(height: int, width: int, index: int, count: int) -> Crop:
    """The `index`-th of `count` squares evenly along the long side (count 1: the centre), of the short side's size."""
    side = min(height, width)
    slack = max(height, width) - side
    offset = slack // 2 if count == 1 else round(slack * index / (count - 1))
    return Crop(offset, 0, side, side) if height > width else Crop(0, offset, side, side)


def crop_and_resize(frames: np.ndarray, crop: Crop, size: int, out: np.ndarray | None = None) -> np.ndarray:
    """Cut `crop` out of uint8 frames [T, H, W, C] and resize it to [T, size, size, C].

    Shrinking averages over the covered pixels, enlarging interpolates linearly.
    """
    window = frames[:, crop.top : crop.top + crop.height, crop.left : crop.left + crop.width]
    if out is None:
        out = np.empty((len(frames), size, size, frames.shape[3]), np.uint8)
    if (crop.height, crop.width) == (size, size):
        out[...] = window
        return out
    mode = cv2.INTER_AREA if min(crop.height, crop.width) > size else cv2.INTER_LINEAR
    for source, target in zip(window, out):
        cv2.resize(source, (size, size), dst=target, interpolation=mode)
    return out


def training_crop(height: int, width: int, spec: ClipSection, rng: np.random.Generator) -> Crop:
    """The crop that a recipe's clip section asks for."""
    if spec.crop == "center":
        return spatial_crop(height, width, 0, 1)
    if spec.crop == "random_short_side":
        return random_square(height, width, spec, rng)
    return random_resized_crop(height, width, spec.crop_area, spec.crop_aspect, rng)


def short_side(height: int, width: int, size: int) -> tuple[int, int]:
    """Height and width of a frame whose short side becomes `size`; the long one is rounded down, as published."""
    if height <= width:
        return size, width * size // height
    return height * size // width, size
