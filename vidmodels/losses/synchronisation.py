"""Audiovisual synchronisation: does this sound belong to these pictures? (Xiao et al. 2020, AVSlowFast)

N clips, D width of the common space, R rows and M mel bands of a spectrogram.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vidmodels.ops.logmel import SILENCE

MARGIN = 0.99  # of distances that lie in 0..1
MAX_SIMILARITY = 0.99999
EASY_EPOCHS, EASY_SHARE = 96, 0.75


def valid_pairs(
    aligned: Tensor, misaligned: Tensor, min_variance: float = SILENCE, max_similarity: float = MAX_SIMILARITY
) -> Tensor:
    """bool [N]: pairs of normalised spectrograms [N, 1, R, M] that hold sound, both, and are not the same sound."""
    one, other = aligned.flatten(1).float(), misaligned.flatten(1).float()
    different = torch.cosine_similarity(one, other, dim=1) < max_similarity
    return (one.var(1) > min_variance) & (other.var(1) > min_variance) & different


def synchronisation_loss(
    reference: Tensor, aligned: Tensor, misaligned: Tensor, valid: Tensor, margin: float = MARGIN
) -> Tensor:
    """The contrastive loss (sum ||r - p||^2 + sum max(0, margin - ||r - n||)^2) / (2 valid pairs); 0 where none is valid.

    reference, aligned, misaligned: [N, D] in the common space, r, p and n above; valid: bool [N].
    """
    near = (reference - aligned).square().sum(1)
    # the norm has no gradient at 0, where a clip is exactly where its misaligned sound is
    far = (reference - misaligned).square().sum(1).clamp(min=1e-12).sqrt()
    terms = near + (margin - far).clamp(min=0).square()
    return torch.where(valid, terms, 0.0).sum() / (2 * valid.sum() + 1e-8)


def mix_negatives(misaligned: Tensor, epoch: int, easy_epochs: int = EASY_EPOCHS, easy_share: float = EASY_SHARE) -> Tensor:
    """The curriculum of misaligned sounds [N, ...]: first those of other videos, then some of the same video.

    Until `easy_epochs` each clip gets the sound of the next one in the batch; from then on only the first `easy_share` of
    the batch do, among themselves, and the others keep theirs: the same video's at another time, which is hard to tell.
    """
    easy = len(misaligned) if epoch < easy_epochs else int(easy_share * len(misaligned))
    return torch.cat([misaligned[:easy].roll(-1, 0), misaligned[easy:]])
