"""Mixing of clips and their labels within a batch: MixUp, CutMix, and one of the two at random, with sound where there is.

The partner of a clip is the clip at its place in the reversed batch. Nothing is changed in place.
N clips, C colours, T frames, H height, W width, K classes.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from vidmodels.core.errors import ConfigError
from vidmodels.data.mixing import blend, cut_and_paste, draw_beta, smooth_targets

Mixed = tuple[Tensor, ...]
"""Clips, shares of classes [N, K], and the sound where it was given."""


class _Mixing(nn.Module):
    """What both have: alpha of the share's Beta distribution, and how labels become shares of classes."""

    def __init__(
        self, alpha: float = 1.0, num_classes: int | None = None, label_smoothing: float = 0.0, one_hot: bool = False
    ) -> None:
        """num_classes: of labels int64 [N]; one_hot: labels are shares [N, K] already, and are not smoothed."""
        super().__init__()
        if alpha <= 0:
            raise ConfigError(f"alpha of {type(self).__name__} is {alpha}: give a number above 0")
        if num_classes is None and not one_hot:
            raise ConfigError(f"{type(self).__name__} needs num_classes, or one_hot=True for labels that are shares already")
        self.alpha, self.num_classes = alpha, num_classes
        self.label_smoothing, self.one_hot = label_smoothing, one_hot

    def forward(self, video: Tensor, labels: Tensor, audio: Tensor | None = None) -> Mixed:
        """video [N, C, T, H, W]; labels int64 [N] or shares [N, K]; audio [N, ...]."""
        targets = self._targets(labels, len(video))
        video, share = self.mix(video, draw_beta(self.alpha))
        mixed = (video, blend(targets, share))
        return mixed if audio is None else (*mixed, blend(audio, share))

    def mix(self, video: Tensor, share: float) -> tuple[Tensor, float]:
        """The mixed video, and the share of it that is the clip's own."""
        raise NotImplementedError

    def _targets(self, labels: Tensor, count: int) -> Tensor:
        if len(labels) != count:
            raise ConfigError(f"there are {count} clips but {len(labels)} labels")
        if self.one_hot:
            if labels.ndim != 2:
                raise ConfigError(f"with one_hot=True labels are shares [N, K], not of shape {tuple(labels.shape)}")
            return labels.float()
        assert self.num_classes is not None
        if labels.ndim != 1 or labels.is_floating_point():
            raise ConfigError(f"labels of shape {tuple(labels.shape)} are no classes [N]: give one_hot=True for shares")
        return smooth_targets(labels, self.num_classes, self.label_smoothing)


class MixUp(_Mixing):
    """Each clip blended with its partner (Zhang et al. 2018)."""

    def mix(self, video: Tensor, share: float) -> tuple[Tensor, float]:
        return blend(video, share), share


class CutMix(_Mixing):
    """A box of each clip, the same in all frames, from its partner (Yun et al. 2019).

    Labels and sound are blended by the area that the box has inside the frame.
    """

    def mix(self, video: Tensor, share: float) -> tuple[Tensor, float]:
        return cut_and_paste(video, share)


class MixVideo(nn.Module):
    """CutMix with probability `cutmix_probability`, else MixUp."""

    def __init__(
        self,
        cutmix_probability: float = 0.5,
        mixup_alpha: float = 1.0,
        cutmix_alpha: float = 1.0,
        num_classes: int | None = None,
        label_smoothing: float = 0.0,
        one_hot: bool = False,
    ) -> None:
        super().__init__()
        if not 0 <= cutmix_probability <= 1:
            raise ConfigError(f"the probability of CutMix is {cutmix_probability}: give 0 to 1")
        self.cutmix_probability = cutmix_probability
        common: dict[str, Any] = {"num_classes": num_classes, "label_smoothing": label_smoothing, "one_hot": one_hot}
        self.mixup, self.cutmix = MixUp(mixup_alpha, **common), CutMix(cutmix_alpha, **common)

    def forward(self, video: Tensor, labels: Tensor, audio: Tensor | None = None) -> Mixed:
        """video [N, C, T, H, W]; labels int64 [N] or shares [N, K]; audio [N, ...]."""
        chosen = self.cutmix if torch.rand(()) < self.cutmix_probability else self.mixup
        return chosen(video, labels, audio)
