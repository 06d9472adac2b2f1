"""The usual chains of transforms for training and evaluation, in one call.

C colours, T frames, H height, W width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import nn
from torchvision.transforms import v2

from vidmodels.core.errors import ConfigError
from vidmodels.data.video_transforms.policies import AugMix, RandAugment
from vidmodels.data.video_transforms.spatial import RandomResizedCrop, RandomShortSideScale, ShortSideScale
from vidmodels.data.video_transforms.structure import ApplyTransformToKey, RemoveKey
from vidmodels.data.video_transforms.temporal import UniformTemporalSubsample
from vidmodels.data.video_transforms.values import Normalize

Augment = Literal["none", "randaug", "augmix"]
_POLICIES: dict[str, Callable[[], nn.Module]] = {"randaug": RandAugment, "augmix": AugMix}


def create_video_transform(
    mode: Literal["train", "val"],
    key: str | None = None,
    remove: Sequence[str] = (),
    num_frames: int | None = 8,
    mean: float | Sequence[float] = 0.45,
    std: float | Sequence[float] = 0.225,
    scale: tuple[int, int] = (256, 320),
    size: int | tuple[int, int] = 224,
    flip: float = 0.5,
    augment: Augment | nn.Module = "none",
    resized_crop: RandomResizedCrop | None = None,
) -> v2.Compose:
    """Videos [C, T, H, W], uint8 or float in 0..1, to normalised float crops [C, num_frames, size, size].

    train: frames evenly over the clip, policy, values, then a short side drawn from `scale` and a random crop of `size` (or
    `resized_crop` in their place), and a flip with probability `flip`. val: the short side `scale[0]` and the central crop.
    key: transform this entry of a sample; remove: entries to drop from it. num_frames: None keeps all frames.
    """
    if mode not in ("train", "val"):
        raise ConfigError(f"there is no mode {mode!r}: choose train or val")
    smallest = size if isinstance(size, int) else min(size)
    if scale[0] < smallest and (mode == "val" or resized_crop is None):
        raise ConfigError(
            f"a short side of {scale[0]} pixels has no crop of {size}: give a scale from {smallest} up, or a smaller size"
        )
    if remove and key is None:
        raise ConfigError(f"the entries {', '.join(remove)} can be removed from samples only: name the key of the video")
    steps: list[Callable[[Any], Any]] = [] if num_frames is None else [UniformTemporalSubsample(num_frames)]
    if mode == "train":
        steps += _policy(augment)
    steps += [v2.ToDtype(torch.float32, scale=True), Normalize(mean, std)]
    if mode == "val":
        steps += [ShortSideScale(scale[0]), v2.CenterCrop(size)]
    else:
        steps += [RandomShortSideScale(*scale), v2.RandomCrop(size)] if resized_crop is None else [resized_crop]
        steps += [v2.RandomHorizontalFlip(flip)]
    if key is None:
        return v2.Compose(steps)
    return v2.Compose([ApplyTransformToKey(key, v2.Compose(steps)), *(RemoveKey(name) for name in remove)])


def _policy(augment: Augment | nn.Module) -> list[nn.Module]:
    if isinstance(augment, nn.Module):
        return [augment]
    if augment != "none" and augment not in _POLICIES:
        raise ConfigError(f"there is no policy {augment!r}: choose none, {', '.join(_POLICIES)}, or give a module")
    return [] if augment == "none" else [_POLICIES[augment]()]
