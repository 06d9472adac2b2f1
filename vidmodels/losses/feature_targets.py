"""What masked feature prediction regresses: five targets, each with the loss that goes with it (MaskFeat, section 3.2).

N clips, C colours, T frames, H height, W width; L tokens of a grid of T' x H' x W', P values of a token, K classes or codes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

from vidmodels.core.errors import ConfigError
from vidmodels.ops.block_masking import Grid
from vidmodels.ops.hog import BINS, CELL, hog, hog_of_tokens
from vidmodels.ops.patches import normalise_patches, patchify

TargetKind = Literal["pixel", "hog", "code", "feature", "label"]
# frames or clips [N, C, T, H, W] and the grid of tokens -> one row for each token [N, L, K]
Teacher = Callable[[Tensor, Grid], Tensor]


class Target(ABC):
    """A target of clips, and how far predictions are from it. width: values that are predicted for a token."""

    width: int

    @abstractmethod
    def of(self, clips: Tensor, grid: Grid) -> Tensor:
        """Targets of the tokens of normalised clips [N, C, T, H, W], without gradient: [N, L, P], or codes [N, L]."""

    @abstractmethod
    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Loss of each of M tokens, [M], of predictions [M, width] and targets [M, P] or [M]."""

    def baseline(self, target: Tensor) -> Tensor:
        """Loss [M] of the best answer that is the same for all tokens."""
        return self.loss(target.mean(0, keepdim=True).expand_as(target), target)


class _Values(Target):
    """Values that are regressed: the mean of the squared differences."""

    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        return (prediction.float() - target).square().mean(-1)


class HogTarget(_Values):
    """Colour histograms of oriented gradients of every frame that a token begins with; stride: pixels of a token."""

    def __init__(self, stride: int) -> None:
        if stride % CELL:
            raise ConfigError(
                f"tokens of {stride} pixels are not whole cells of {CELL}: target 'hog' needs a multiple of {CELL}"
            )
        self.side = stride // CELL
        self.width = 3 * BINS * self.side**2

    def of(self, clips: Tensor, grid: Grid) -> Tensor:
        frames = first_frames(clips, grid)
        n, c, t, h, w = frames.shape
        # the precision of the histograms' sums and norms is not that of a mixed-precision step
        with torch.autocast(clips.device.type, enabled=False):
            histograms = hog(frames.transpose(1, 2).reshape(n * t, c, h, w))
        return hog_of_tokens(histograms, self.side).reshape(n, -1, self.width)


class PixelTarget(_Values):
    """Pixels of every frame that a token begins with, of unit variance in each token, or (normalise off) as they are.

    Values of a video are row, column, colour; of an image colour, row, column, as the published prediction layers have them.
    """

    def __init__(self, stride: int, image: bool = False, normalise: bool = True) -> None:
        self.stride, self.image, self.normalise = stride, image, normalise
        self.width = 3 * stride**2

    def of(self, clips: Tensor, grid: Grid) -> Tensor:
        frames = first_frames(clips, grid)
        patches = patchify(frames, (1, self.stride, self.stride), channels_last=not self.image).float()
        return normalise_patches(patches)[0] if self.normalise else patches


class FeatureTarget(Target):
    """Features of a frozen network, of unit length; the loss is the cosine distance, 1 - cos."""

    def __init__(self, teacher: Teacher, width: int) -> None:
        self.teacher, self.width = teacher, width

    @torch.no_grad()
    def of(self, clips: Tensor, grid: Grid) -> Tensor:
        return functional.normalize(self.teacher(clips, grid).float(), dim=-1)

    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        return 1 - (functional.normalize(prediction.float(), dim=-1) * target).sum(-1)


class CodeTarget(Target):
    """Codes of a discrete autoencoder: the highest of its scores of `width` codes; the loss is cross-entropy."""

    def __init__(self, teacher: Teacher, width: int) -> None:
        self.teacher, self.width = teacher, width

    @torch.no_grad()
    def of(self, clips: Tensor, grid: Grid) -> Tensor:
        return self.teacher(clips, grid).argmax(-1)

    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        return functional.cross_entropy(prediction.float(), target, reduction="none")

    def baseline(self, target: Tensor) -> Tensor:
        shares = torch.bincount(target, minlength=self.width) / max(len(target), 1)
        return -shares.clamp(min=1e-12).log()[target]


class LabelTarget(Target):
    """Shares of classes that a frozen classifier gives each place; the loss is cross-entropy."""

    def __init__(self, teacher: Teacher, width: int) -> None:
        self.teacher, self.width = teacher, width

    @torch.no_grad()
    def of(self, clips: Tensor, grid: Grid) -> Tensor:
        return self.teacher(clips, grid).float().softmax(-1)

    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        return functional.cross_entropy(prediction.float(), target, reduction="none")

    def baseline(self, target: Tensor) -> Tensor:
        shares = target.mean(0, keepdim=True).clamp(min=1e-12)
        return -(target * shares.log()).sum(-1)


def first_frames(clips: Tensor, grid: Grid) -> Tensor:
    """The first of the frames of each time step of the grid: [N, C, T', H, W]."""
    return clips[:, :, :: clips.shape[2] // grid[0]]


def make_target(
    kind: TargetKind,
    stride: int,
    image: bool = False,
    normalise: bool = True,
    teacher: Teacher | None = None,
    outputs: int | None = None,
) -> Target:
    """The target of tokens of `stride` pixels; teacher, outputs: of code, feature and label, and how many values it gives.

    Raises ConfigError where a teacher is missing, or is given for a target that needs none.
    """
    if kind in ("pixel", "hog"):
        if teacher is not None:
            raise ConfigError(f"target {kind!r} is computed from the pixels: leave out the teacher")
        return HogTarget(stride) if kind == "hog" else PixelTarget(stride, image, normalise)
    taught: dict[str, Callable[[Teacher, int], Target]] = {"code": CodeTarget, "feature": FeatureTarget, "label": LabelTarget}
    if kind not in taught:
        raise ConfigError(f"unknown target {kind!r}: choose one of {', '.join(get_args(TargetKind))}")
    if teacher is None or not outputs:
        raise ConfigError(f"target {kind!r} needs a teacher: name a model or a module that gives it")
    return taught[kind](teacher, outputs)


def target_width(kind: TargetKind, stride: int, outputs: int | None = None) -> int:
    """Values that are predicted for a token of `stride` pixels. Raises ConfigError."""
    if kind == "hog":
        return HogTarget(stride).width
    if kind == "pixel":
        return PixelTarget(stride).width
    if not outputs:
        raise ConfigError(f"target {kind!r} needs the number of values that its teacher gives: give outputs")
    return outputs
