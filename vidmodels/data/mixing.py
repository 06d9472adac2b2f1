"""Mixup, CutMix and label smoothing on clips.

N clips, C colours, T frames, H height, W width, S label sets, K classes (of all label sets).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from vidmodels.core.label_sets import NumClasses
from vidmodels.core.recipe import AugmentSection


def smooth_targets(labels: Tensor, num_classes: NumClasses, smoothing: float) -> Tensor:
    """Labels [N] as shares [N, K] with `smoothing` spread evenly (Szegedy et al. 2016); -1 gives zeros.

    Of several label sets, labels [N, S]: the shares of each set side by side, sets in the order of their names.
    """
    if not isinstance(num_classes, int):
        sizes = (num_classes[name] for name in sorted(num_classes))
        return torch.cat([smooth_targets(column, size, smoothing) for column, size in zip(labels.unbind(1), sizes)], dim=1)
    hot = functional.one_hot(labels.clamp(min=0), num_classes).float()
    shares = hot * (1 - smoothing) + smoothing / num_classes
    return shares * (labels >= 0).unsqueeze(1)


def mix(
    pixels: Tensor, labels: Tensor, num_classes: NumClasses, augment: AugmentSection, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Mix the batch [N, C, T, H, W] with itself in reverse order; with both alphas given, one of the two at even odds.

    labels: int64 [N] or [N, S], or flags float [N, K], which are mixed as they are.
    Mixup: Zhang et al. 2018; CutMix: Yun et al. 2019 (the share is corrected to the box's true area).
    """
    targets = labels if labels.is_floating_point() else smooth_targets(labels, num_classes, augment.label_smoothing)
    use_cutmix = augment.cutmix > 0 and (augment.mixup == 0 or torch.rand((), generator=generator).item() < 0.5)
    share = draw_beta(augment.cutmix if use_cutmix else augment.mixup, generator)
    if use_cutmix:
        mixed, share = cut_and_paste(pixels, share, generator)
    else:
        mixed = blend(pixels, share)
    return mixed, blend(targets, share)


def blend(rows: Tensor, share: float) -> Tensor:
    """share * rows + (1 - share) * rows in reverse order; integers are rounded."""
    if rows.is_floating_point():
        return torch.lerp(rows.flip(0), rows, share)
    return torch.lerp(rows.flip(0).float(), rows.float(), share).round().to(rows.dtype)


def cut_and_paste(pixels: Tensor, share: float, generator: torch.Generator | None = None) -> tuple[Tensor, float]:
    """Clips [N, ..., H, W] with one box, the same in all frames, from the batch in reverse order, and their true own share.

    share: part of the frame outside the box; the box may reach over the frame's edge, which makes the part larger.
    """
    height, width = pixels.shape[-2:]
    cut_h, cut_w = round(height * math.sqrt(1 - share)), round(width * math.sqrt(1 - share))
    centre_y = int(torch.randint(height, (), generator=generator))
    centre_x = int(torch.randint(width, (), generator=generator))
    top, bottom = max(centre_y - cut_h // 2, 0), min(centre_y + (cut_h + 1) // 2, height)
    left, right = max(centre_x - cut_w // 2, 0), min(centre_x + (cut_w + 1) // 2, width)
    mixed = pixels.clone()
    mixed[..., top:bottom, left:right] = pixels.flip(0)[..., top:bottom, left:right]
    return mixed, 1 - (bottom - top) * (right - left) / (height * width)


def draw_beta(alpha: float, generator: torch.Generator | None = None) -> float:
    """One draw of Beta(alpha, alpha) from two gamma draws that respect the generator."""
    first, second = draw_gamma(alpha, generator), draw_gamma(alpha, generator)
    return first / max(first + second, 1e-30)


def draw_gamma(shape: float, generator: torch.Generator | None = None) -> float:
    """One draw of Gamma(shape, 1) that respects the generator (Marsaglia and Tsang 2000)."""
    if shape < 1:
        boost = torch.rand((), generator=generator).item() ** (1 / shape)
        return draw_gamma(shape + 1, generator) * boost
    d = shape - 1 / 3
    c = 1 / math.sqrt(9 * d)
    while True:
        normal = torch.randn((), generator=generator).item()
        cube = (1 + c * normal) ** 3
        if cube > 0:
            uniform = max(torch.rand((), generator=generator).item(), 1e-30)
            if math.log(uniform) < 0.5 * normal**2 + d - d * cube + d * math.log(cube):
                return d * cube
