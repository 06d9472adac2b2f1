"""The operations of augmentation policies by name, each the same for all frames of a clip.

C colours, T frames, H height, W width.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from vidmodels.core.errors import ConfigError, did_you_mean

FULL_MAGNITUDE = 10
GREY = 0.5  # what fills the corners that a turn leaves empty, as a share of white
_LINEAR = v2.InterpolationMode.BILINEAR


@dataclass(frozen=True)
class Range:
    """An operation's value at magnitude m of 10: start + change * m / 10, or either side of start where it is `signed`."""

    start: float
    change: float
    signed: bool = False

    def at(self, magnitude: float, negative: bool = False) -> float:
        change = self.change * magnitude / FULL_MAGNITUDE
        return self.start - change if self.signed and negative else self.start + change


def apply_operation(video: Tensor, name: str, value: float | None = None, fill: float = GREY) -> Tensor:
    """A video [C, T, H, W], uint8 or float in 0..1, after one operation.

    value: factor of AdjustBrightness, -Contrast, -Saturation, -Sharpness (1 changes nothing); degrees of Rotate; bits that
    Posterize keeps, rounded up; share of white above which Solarize inverts, or that SolarizeAdd adds to the darker half;
    tangent of ShearX, -Y; share of the width or height that TranslateX, -Y move by. Others have none.
    fill: what comes in from outside, as a share of white.
    """
    if name not in OPERATIONS:
        raise ConfigError(
            f"there is no operation {name!r}{did_you_mean(name, OPERATIONS)}: choose one of {', '.join(OPERATIONS)}"
        )
    if value is None and name not in WITHOUT_VALUE:
        raise ConfigError(f"the operation {name} needs a value")
    frames = video.transpose(0, 1)  # torchvision's operations take [..., C, H, W]
    return OPERATIONS[name](frames, 0.0 if value is None else value, fill * white_of(video)).transpose(0, 1)


def white_of(video: Tensor) -> float:
    """The value of white: 1 in float videos, 255 in uint8."""
    return 1.0 if video.is_floating_point() else 255.0


def _posterize(frames: Tensor, bits: float, fill: float) -> Tensor:
    return F.posterize(frames, max(math.ceil(bits), 1))  # no bit at all would be a black clip


def _solarize(frames: Tensor, share: float, fill: float) -> Tensor:
    # above, not from the threshold on as torchvision has it: at magnitude 0 white stays white
    return torch.where(frames > share * white_of(frames), F.invert(frames), frames)


def _solarize_add(frames: Tensor, share: float, fill: float) -> Tensor:
    white = white_of(frames)
    brighter = (frames.float() + share * white).clamp(max=white).to(frames.dtype)
    return torch.where(frames <= white / 2, brighter, frames)


def _rotate(frames: Tensor, degrees: float, fill: float) -> Tensor:
    return F.rotate(frames, degrees, _LINEAR, fill=_colours(frames, fill))


def _affine(frames: Tensor, fill: float, move: tuple[float, float] = (0, 0), shear: tuple[float, float] = (0, 0)) -> Tensor:
    degrees = [math.degrees(math.atan(tangent)) for tangent in shear]
    return F.affine(frames, 0.0, list(move), 1.0, degrees, _LINEAR, fill=_colours(frames, fill))


def _colours(frames: Tensor, fill: float) -> list[float]:
    return [fill] * frames.shape[-3]


WITHOUT_VALUE = ("AutoContrast", "Equalize", "Invert")
OPERATIONS: dict[str, Callable[[Tensor, float, float], Tensor]] = {
    "AdjustBrightness": lambda x, factor, fill: F.adjust_brightness(x, factor),
    "AdjustContrast": lambda x, factor, fill: F.adjust_contrast(x, factor),
    "AdjustSaturation": lambda x, factor, fill: F.adjust_saturation(x, factor),
    "AdjustSharpness": lambda x, factor, fill: F.adjust_sharpness(x, factor),
    "AutoContrast": lambda x, value, fill: F.autocontrast(x),
    "Equalize": lambda x, value, fill: F.equalize(x),
    "Invert": lambda x, value, fill: F.invert(x),
    "Rotate": _rotate,
    "Posterize": _posterize,
    "Solarize": _solarize,
    "SolarizeAdd": _solarize_add,
    "ShearX": lambda x, tangent, fill: _affine(x, fill, shear=(tangent, 0)),
    "ShearY": lambda x, tangent, fill: _affine(x, fill, shear=(0, tangent)),
    "TranslateX": lambda x, share, fill: _affine(x, fill, move=(share * x.shape[-1], 0)),
    "TranslateY": lambda x, share, fill: _affine(x, fill, move=(0, share * x.shape[-2])),
}


def draw_operation(
    ranges: dict[str, Range | None], magnitude: float, generator: torch.Generator | None = None
) -> tuple[str, float | None]:
    """One of the operations, all equally likely, and its value at a magnitude of 0..10, on either side where it has two."""
    names = list(ranges)
    name = names[int(torch.randint(len(names), (), generator=generator))]
    negative = torch.rand((), generator=generator).item() < 0.5
    scale = ranges[name]
    return name, None if scale is None else scale.at(magnitude, negative)
