"""The colours of a view in contrastive learning: jitter, grey, blur and differences in time, one draw for all frames of a clip.

N clips, C colours, T frames, H height, W width. (Feichtenhofer et al. 2021, appendix; SimCLR, appendix A.)
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional

from vidmodels.core.recipe import AugmentSection

BLUR = (0.1, 2.0)  # pixels, the deviation of the kernel
BLUR_REACH = 23  # pixels of the kernel, about a tenth of a crop of 224 as SimCLR has it


def change_view(pixels: Tensor, augment: AugmentSection, generator: torch.Generator | None = None) -> Tensor:
    """Clips [N, C, T, H, W] in 0..1 with the jitter, grey, blur and difference that `augment` asks for, in this order."""
    return torch.stack([_changed(clip, augment, generator) for clip in pixels])


def _changed(clip: Tensor, augment: AugmentSection, generator: torch.Generator | None) -> Tensor:
    # all numbers are drawn whatever happens, so that one choice does not move the next clip's
    draws = torch.rand(9, generator=generator).tolist()
    order = torch.randperm(4, generator=generator).tolist()
    frames = clip.transpose(0, 1)
    if draws[0] < augment.jitter_p:
        frames = _jittered(frames, augment.jitter, draws[1:5], order)
    if draws[5] < augment.grey:
        frames = functional.rgb_to_grayscale(frames, 3)
    if draws[6] < augment.blur:
        sigma = BLUR[0] + draws[7] * (BLUR[1] - BLUR[0])
        reach = min(BLUR_REACH, 2 * ((min(frames.shape[-2:]) - 1) // 2) - 1)
        frames = functional.gaussian_blur(frames, [max(reach, 1)] * 2, [sigma, sigma])
    if draws[8] < augment.difference:
        frames = difference(frames)
    return frames.transpose(0, 1)


def _jittered(frames: Tensor, strength: tuple[float, float, float, float], draws: list[float], order: list[int]) -> Tensor:
    """Brightness, contrast and saturation by a factor of 1 +- strength, hue by +- strength of the circle, in a random order."""
    shifts = [s * (2 * u - 1) for s, u in zip(strength, draws)]
    for number in order:
        if strength[number] == 0:
            continue
        if number == 3:
            frames = functional.adjust_hue(frames, shifts[3])
            continue
        factor = max(0.0, 1 + shifts[number])
        if number == 0:
            frames = functional.adjust_brightness(frames, factor)
        elif number == 1:
            # the grey level of the whole clip: a frame's own would make it flicker
            mean = functional.rgb_to_grayscale(frames).mean()
            frames = (mean + factor * (frames - mean)).clamp(0, 1)
        else:
            frames = functional.adjust_saturation(frames, factor)
    return frames


def difference(frames: Tensor) -> Tensor:
    """Grey differences of each frame and the next, [T, C, H, W] in 0..1, 1/2 where nothing moves; the last is repeated."""
    grey = functional.rgb_to_grayscale(frames, 3)
    if len(grey) == 1:
        return torch.full_like(grey, 0.5)
    steps = (grey[:-1] - grey[1:] + 1) / 2
    return torch.cat([steps, steps[-1:]])
