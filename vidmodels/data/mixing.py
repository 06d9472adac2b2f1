"""Mixup, CutMix and label smoothing on clips.

N clips, C colours, T frames, H height, W width.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from vidmodels.core.recipe import AugmentSection


def smooth_targets(labels: Tensor, num_classes: int, smoothing: float) -> Tensor:
    """Labels [N] as shares [N, num_classes] with `smoothing` spread evenly (Szegedy et al. 2016); -1 gives zeros."""
    hot = functional.one_hot(labels.clamp(min=0), num_classes).float()
    shares = hot * (1 - smoothing) + smoothing / num_classes
    return shares * (labels >= 0).unsqueeze(1)


def mix(
    pixels: Tensor, labels: Tensor, num_classes: int, augment: AugmentSection, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Mix the batch [N, C, T, H, W] with itself in reverse order; with both alphas given, one of the two at even odds.

    Mixup: Zhang et al. 2018; CutMix: Yun et al. 2019 (the share is corrected to the box's true area).
    """
    targets = smooth_targets(labels, num_classes, augment.label_smoothing)
    use_cutmix = augment.cutmix > 0 and (augment.mixup == 0 or torch.rand((), generator=generator).item() < 0.5)
    share = _beta(augment.cutmix if use_cutmix else augment.mixup, generator)
    if use_cutmix:
        height, width = pixels.shape[-2:]
        cut_h, cut_w = round(height * math.sqrt(1 - share)), round(width * math.sqrt(1 - share))
        centre_y = int(torch.randint(height, (), generator=generator))
        centre_x = int(torch.randint(width, (), generator=generator))
        top, bottom = max(centre_y - cut_h // 2, 0), min(centre_y + (cut_h + 1) // 2, height)
        left, right = max(centre_x - cut_w // 2, 0), min(centre_x + (cut_w + 1) // 2, width)
        mixed = pixels.clone()
        mixed[..., top:bottom, left:right] = pixels.flip(0)[..., top:bottom, left:right]
        share = 1 - (bottom - top) * (right - left) / (height * width)
    else:
        mixed = torch.lerp(pixels.flip(0), pixels, share)
    return mixed, torch.lerp(targets.flip(0), targets, share)


def _beta(alpha: float, generator: torch.Generator | None) -> float:
    """One draw of Beta(alpha, alpha) from two gamma draws that respect the generator (Marsaglia and Tsang 2000)."""
    first, second = _gamma(alpha, generator), _gamma(alpha, generator)
    return first / max(first + second, 1e-30)


def _gamma(shape: float, generator: torch.Generator | None) -> float:
    if shape < 1:
        boost = torch.rand((), generator=generator).item() ** (1 / shape)
        return _gamma(shape + 1, generator) * boost
    d = shape - 1 / 3
    c = 1 / math.sqrt(9 * d)
    while True:
        normal = torch.randn((), generator=generator).item()
        cube = (1 + c * normal) ** 3
        if cube > 0:
            uniform = max(torch.rand((), generator=generator).item(), 1e-30)
            if math.log(uniform) < 0.5 * normal**2 + d - d * cube + d * math.log(cube):
                return d * cube
