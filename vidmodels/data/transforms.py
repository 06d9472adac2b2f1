"""What happens to a batch on the training device: uint8 to normalised float, flips, colours, erasing, mixing.

B videos, R clips of each, N = B*R clips, C colours, T frames, H height, W width.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace

import torch
from torch import Tensor

from vidmodels.core.batch import Batch
from vidmodels.core.entry import InputSpec
from vidmodels.core.errors import ConfigError
from vidmodels.core.label_sets import NumClasses
from vidmodels.core.recipe import AugmentSection
from vidmodels.data.contrastive_views import change_view
from vidmodels.data.mixing import mix, smooth_targets
from vidmodels.data.video_transforms.policies import PYSLOWFAST
from vidmodels.data.video_transforms.policies import rand_augment as augment_video


def prepare(
    batch: Batch,
    spec: InputSpec,
    augment: AugmentSection | None = None,
    generator: torch.Generator | None = None,
    num_classes: NumClasses | None = None,
) -> Batch:
    """The batch as the model wants it: float clips [N, C, T, H, W], one label and one validity flag per clip.

    augment: None for evaluation. generator: CPU generator of all random choices, so that they do not depend on the
    device. num_classes: needed for mixing and smoothing, which turn labels [N], or [N, S] of S label sets, into shares
    [N, K] of all classes.
    """
    repeats = batch.clips.shape[1]
    clips = batch.clips.flatten(0, 1)  # [N, T, H, W, C] uint8
    labels = None if batch.labels is None else _clip_labels(batch.labels, repeats)
    valid = batch.valid.repeat_interleave(repeats)
    if augment is not None and augment.rand_augment:
        clips = rand_augment(clips, augment.rand_augment, generator)
    pixels = clips.permute(0, 4, 1, 2, 3).float().div_(255)
    if augment is not None:
        pixels = _augment(pixels, augment, generator)
    pixels = normalise(pixels, spec)
    if augment is not None and labels is not None and num_classes is not None:
        if augment.mixup or augment.cutmix:
            pixels, labels = mix(pixels, labels, num_classes, augment, generator)
        elif augment.label_smoothing and not labels.is_floating_point():
            labels = smooth_targets(labels, num_classes, augment.label_smoothing)
    if augment is not None and augment.erasing:
        pixels = random_erasing(pixels, augment.erasing, generator)
    return replace(batch, clips=pixels, valid=valid, labels=labels)


def _clip_labels(labels: Tensor, repeats: int) -> Tensor:
    """Labels [B], [B, S] or [B, K] of videos, or [B, R, K] of their clips, as labels of the B*R clips."""
    return labels.flatten(0, 1) if labels.ndim == 3 else labels.repeat_interleave(repeats, dim=0)


def pixels_of(clips: Tensor, spec: InputSpec) -> Tensor:
    """Decoded clips uint8 [N, T, H, W, C] as a model takes them: float32 [N, C, T, H, W], normalised."""
    return normalise(clips.permute(0, 4, 1, 2, 3).float().div_(255), spec)


def normalise(pixels: Tensor, spec: InputSpec) -> Tensor:
    """(pixels - mean) / std per colour, in place; pixels [N, C, T, H, W] in 0..1."""
    mean = torch.tensor(spec.mean, device=pixels.device).view(3, 1, 1, 1)
    std = torch.tensor(spec.std, device=pixels.device).view(3, 1, 1, 1)
    return pixels.sub_(mean).div_(std)


def denormalise(pixels: Tensor, spec: InputSpec) -> Tensor:
    """The inverse of `normalise`, clamped to 0..1."""
    mean = torch.tensor(spec.mean, device=pixels.device).view(3, 1, 1, 1)
    std = torch.tensor(spec.std, device=pixels.device).view(3, 1, 1, 1)
    return (pixels * std + mean).clamp(0, 1)


def _augment(pixels: Tensor, augment: AugmentSection, generator: torch.Generator | None) -> Tensor:
    n = len(pixels)
    if augment.flip:
        flipped = torch.rand(n, generator=generator) < augment.flip
        pixels = torch.where(flipped.to(pixels.device).view(n, 1, 1, 1, 1), pixels.flip(-1), pixels)
    if augment.shift:
        pixels = random_shift(pixels, augment.shift, generator)
    if any(augment.jitter) or augment.grey or augment.blur or augment.difference:
        pixels = change_view(pixels, augment, generator)
    if augment.color_jitter:
        pixels = color_jitter(pixels, augment.color_jitter, generator)
    return pixels


def random_shift(pixels: Tensor, largest: int, generator: torch.Generator | None = None) -> Tensor:
    """Each clip [C, T, H, W] moved as a whole by up to `largest` pixels; borders are replicated."""
    height, width = pixels.shape[-2:]
    moves = torch.randint(-largest, largest + 1, (len(pixels), 2), generator=generator).to(pixels.device)
    rows = (torch.arange(height, device=pixels.device) + moves[:, :1]).clamp(0, height - 1)  # [N, H]
    columns = (torch.arange(width, device=pixels.device) + moves[:, 1:]).clamp(0, width - 1)  # [N, W]
    n = torch.arange(len(pixels), device=pixels.device).view(-1, 1, 1)
    moved = pixels.permute(0, 3, 4, 1, 2)[n, rows[:, :, None], columns[:, None, :]]  # [N, H, W, C, T]
    return moved.permute(0, 3, 4, 1, 2).contiguous()


def color_jitter(pixels: Tensor, strength: float, generator: torch.Generator | None = None) -> Tensor:
    """Brightness, contrast and saturation of each clip changed by factors from 1-strength to 1+strength."""
    n = len(pixels)
    factors = 1 + strength * (2 * torch.rand(3, n, generator=generator) - 1)
    brightness, contrast, saturation = factors.to(pixels.device).view(3, n, 1, 1, 1, 1)
    pixels = pixels * brightness
    weights = torch.tensor([0.299, 0.587, 0.114], device=pixels.device).view(3, 1, 1, 1)  # Rec. 601 luma
    grey = (pixels * weights).sum(1, keepdim=True)
    pixels = torch.lerp(grey.mean((2, 3, 4), keepdim=True).expand_as(pixels), pixels, contrast)
    grey = (pixels * weights).sum(1, keepdim=True)
    return torch.lerp(grey.expand_as(pixels), pixels, saturation).clamp_(0, 1)


def random_erasing(pixels: Tensor, probability: float, generator: torch.Generator | None = None) -> Tensor:
    """One box per clip, the same in every frame, filled with noise (Zhong et al. 2020; cube mode of PySlowFast)."""
    height, width = pixels.shape[-2:]
    chosen = torch.rand(len(pixels), generator=generator) < probability
    pixels = pixels.clone()
    for i in chosen.nonzero().flatten().tolist():
        for _ in range(10):
            area = height * width * (1 / 50 + (1 / 3 - 1 / 50) * torch.rand((), generator=generator).item())
            widest = math.log(0.3)  # aspect 0.3 .. 1/0.3
            aspect = torch.empty(()).uniform_(widest, -widest, generator=generator).exp().item()
            h, w = round((area * aspect) ** 0.5), round((area / aspect) ** 0.5)
            if h < height and w < width:
                top = int(torch.randint(height - h + 1, (), generator=generator))
                left = int(torch.randint(width - w + 1, (), generator=generator))
                noise = torch.randn(pixels.shape[1], pixels.shape[2], h, w, generator=generator)
                pixels[i, :, :, top : top + h, left : left + w] = noise.to(pixels)
                break
    return pixels


def parse_rand_augment(text: str) -> tuple[float, float, int]:
    """'m7-mstd0.5-n2', or timm's 'rand-m7-n4-mstd0.5-inc1', as (magnitude 0..10, its deviation, operations per clip)."""
    parts = [re.fullmatch(r"(mstd|m|n|inc)(\d+(?:\.\d+)?)", part) for part in text.removeprefix("rand-").split("-")]
    found = {part[1]: float(part[2]) for part in parts if part}
    if len(found) < len(parts) or "m" not in found or found["m"] > 10 or not found.get("n", 2.0).is_integer():
        raise ConfigError(f"data.augment.rand_augment {text!r} is not of the form m7-mstd0.5-n2")
    return found["m"], found.get("mstd", 0.0), int(found.get("n", 2.0))


def rand_augment(clips: Tensor, text: str, generator: torch.Generator | None = None) -> Tensor:
    """RandAugment (Cubuk et al. 2020) with PySlowFast's 15 operations, the same for all frames of a clip.

    clips: uint8 [N, T, H, W, C]. Each operation happens with probability 0.5; timm's `mstd` is the deviation of its magnitude.
    """
    magnitude, deviation, operations = parse_rand_augment(text)
    out = torch.empty_like(clips)
    for i, clip in enumerate(clips):
        video = clip.permute(3, 0, 1, 2)
        changed = augment_video(video, magnitude, operations, 0.5, deviation, ranges=PYSLOWFAST, generator=generator)
        out[i] = changed.permute(1, 2, 3, 0)
    return out
