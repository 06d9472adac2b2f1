"""Augmentation policies: RandAugment and AugMix, one draw for all frames of a clip.

C colours, T frames, H height, W width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vidmodels.core.errors import ConfigError
from vidmodels.data.mixing import draw_beta, draw_gamma
from vidmodels.data.video_transforms.operations import FULL_MAGNITUDE, GREY, Range, apply_operation, draw_operation

# the ranges of PyTorchVideo; those of the papers differ a little
RAND_AUGMENT: dict[str, Range | None] = {
    "AdjustBrightness": Range(1, 0.9, signed=True),
    "AdjustContrast": Range(1, 0.9, signed=True),
    "AdjustSaturation": Range(1, 0.9, signed=True),
    "AdjustSharpness": Range(1, 0.9, signed=True),
    "AutoContrast": None,
    "Equalize": None,
    "Invert": None,
    "Rotate": Range(0, 30, signed=True),
    "Posterize": Range(4, -4),
    "Solarize": Range(1, -1),
    "ShearX": Range(0, 0.3, signed=True),
    "ShearY": Range(0, 0.3, signed=True),
    "TranslateX": Range(0, 0.45, signed=True),
    "TranslateY": Range(0, 0.45, signed=True),
}
AUG_MIX: dict[str, Range | None] = {
    **{name: scale for name, scale in RAND_AUGMENT.items() if name != "Invert"},
    **{f"Adjust{what}": Range(0.1, 1.8) for what in ("Brightness", "Contrast", "Saturation", "Sharpness")},
    "TranslateX": Range(0, 1 / 3, signed=True),
    "TranslateY": Range(0, 1 / 3, signed=True),
}
PYSLOWFAST: dict[str, Range | None] = {**RAND_AUGMENT, "SolarizeAdd": Range(0, 110 / 255)}
SMALLEST_LEVEL = 0.1  # of AugMix, whose levels are drawn evenly from here up to the magnitude


def rand_augment(
    video: Tensor,
    magnitude: float = 9,
    num_layers: int = 2,
    probability: float = 0.5,
    deviation: float = 0.5,
    fill: float = GREY,
    ranges: dict[str, Range | None] = RAND_AUGMENT,
    generator: torch.Generator | None = None,
) -> Tensor:
    """RandAugment (Cubuk et al. 2020) of a video [C, T, H, W], uint8 or float in 0..1.

    Each of `num_layers` operations out of `ranges` happens with `probability`, at a magnitude drawn around the given one
    (0..10).
    """
    for _ in range(num_layers):
        drawn = magnitude + deviation * torch.randn((), generator=generator).item()
        name, value = draw_operation(ranges, min(max(drawn, 0.0), FULL_MAGNITUDE), generator)
        if torch.rand((), generator=generator).item() < probability:
            video = apply_operation(video, name, value, fill)
    return video


def aug_mix(
    video: Tensor,
    magnitude: float = 3,
    width: int = 3,
    depth: int = -1,
    alpha: float = 1.0,
    fill: float = GREY,
    generator: torch.Generator | None = None,
) -> Tensor:
    """AugMix (Hendrycks et al. 2020, algorithm 1) of a video [C, T, H, W], uint8 or float in 0..1.

    `width` chains of `depth` operations each (-1: 1 to 3, drawn), mixed by Dirichlet(alpha) weights, and the mix with the
    video by a Beta(alpha, alpha) share.
    """
    gammas = [draw_gamma(alpha, generator) for _ in range(width)]
    weights = [gamma / max(sum(gammas), 1e-30) for gamma in gammas]
    share = draw_beta(alpha, generator)
    mixed = torch.zeros(video.shape, dtype=torch.promote_types(video.dtype, torch.float32), device=video.device)
    for weight in weights:
        chain = video
        for _ in range(int(torch.randint(1, 4, (), generator=generator)) if depth < 0 else depth):
            level = SMALLEST_LEVEL + (magnitude - SMALLEST_LEVEL) * torch.rand((), generator=generator).item()
            chain = apply_operation(chain, *draw_operation(AUG_MIX, level, generator), fill)
        mixed += weight * chain
    mixed = torch.lerp(video.to(mixed.dtype), mixed, share)
    return mixed.to(video.dtype) if video.is_floating_point() else mixed.round().clamp(0, 255).to(video.dtype)


class RandAugment(nn.Module):
    """RandAugment of a video [C, T, H, W]; see `rand_augment`."""

    def __init__(
        self,
        magnitude: float = 9,
        num_layers: int = 2,
        probability: float = 0.5,
        deviation: float = 0.5,
        fill: float = GREY,
    ) -> None:
        super().__init__()
        check_magnitude(magnitude)
        self.settings = (magnitude, num_layers, probability, deviation, fill)

    def forward(self, video: Tensor) -> Tensor:
        return rand_augment(video, *self.settings)


class AugMix(nn.Module):
    """AugMix of a video [C, T, H, W]; see `aug_mix`."""

    def __init__(self, magnitude: float = 3, width: int = 3, depth: int = -1, alpha: float = 1.0, fill: float = GREY) -> None:
        super().__init__()
        check_magnitude(magnitude)
        if width < 1 or depth == 0 or alpha <= 0:
            raise ConfigError(f"AugMix cannot mix {width} chains of {depth} operations with alpha {alpha}: all must be above 0")
        self.settings = (magnitude, width, depth, alpha, fill)

    def forward(self, video: Tensor) -> Tensor:
        return aug_mix(video, *self.settings)


def check_magnitude(magnitude: float) -> None:
    """Raises ConfigError for a magnitude outside 0..10."""
    if not 0 <= magnitude <= FULL_MAGNITUDE:
        raise ConfigError(f"the magnitude of a policy is {magnitude}: give 0 to {FULL_MAGNITUDE}")
