"""The four objectives of persistent contrastive learning, each of one clip of a video against the others (Feichtenhofer et al.
2021, "A Large-Scale Study on Unsupervised Spatiotemporal Representation Learning", section 3).

B videos, R clips of each (rho in the paper), D width of an embedding, Q keys of a queue, K prototypes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

Gather = Callable[[Tensor], Tensor]


def info_nce_logits(query: Tensor, keys: Sequence[Tensor], queue: Tensor, temperature: float) -> Tensor:
    """Logits [(R - 1) * B, 1 + Q], column 0 the positive: rows by key clip, then by video.

    query: [B, D]; keys: the other clips' [B, D]; queue: [Q, D]; all of unit length.
    """
    negatives = query @ queue.T
    rows = [torch.cat([(query * key).sum(1, keepdim=True), negatives], dim=1) for key in keys]
    return torch.cat(rows) / temperature


def info_nce_loss(logits: Tensor, valid: Tensor | None = None) -> Tensor:
    """Mean cross-entropy of column 0 (MoCo); each positive is a row of its own. valid: bool [B], videos that count."""
    per_row = functional.cross_entropy(logits, logits.new_zeros(len(logits), dtype=torch.long), reduction="none")
    return valid_mean(per_row, valid)


def byol_loss(prediction: Tensor, keys: Sequence[Tensor], temperature: float, valid: Tensor | None = None) -> Tensor:
    """Mean of -(p . k) / T over the other clips and the videos (BYOL); prediction, keys: [B, D] of unit length."""
    return -valid_mean(torch.cat([(prediction * key).sum(1) for key in keys]), valid) / temperature


def nt_xent_loss(
    first: Tensor, second: Tensor, temperature: float, valid: Tensor | None = None, gather: Gather | None = None, rank: int = 0
) -> Tensor:
    """Mean over the 2B embeddings of a pair of clips of -log(exp(positive) / sum of all but itself) (SimCLR).

    first, second: [B, D] of unit length; valid: bool [B], videos that count, also as negatives. gather: tensors [B, ...] of
    this worker to those of all in the order of their ranks, with gradient; each worker answers for its own rows.
    """
    count = len(first)
    known = torch.ones(count, dtype=torch.bool, device=first.device) if valid is None else valid
    if gather is None:
        everyone, counted = torch.cat([first, second]), known.repeat(2)
    else:
        everyone, counted = torch.cat([gather(first), gather(second)]), gather(known).repeat(2)
    mine = rank * count + torch.arange(count, device=first.device)
    theirs = mine + len(everyone) // 2
    losses = []
    for own, own_rows, positives in ((first, mine, theirs), (second, theirs, mine)):
        logits = own @ everyone.T / temperature
        hidden = ~counted.expand(count, -1).clone()
        hidden.scatter_(1, own_rows.unsqueeze(1), True)
        hidden &= known.unsqueeze(1)  # a row that does not count keeps its logits, which must be finite
        losses.append(functional.cross_entropy(logits.masked_fill(hidden, float("-inf")), positives, reduction="none"))
    return valid_mean(torch.cat(losses), valid)


@torch.no_grad()
def sinkhorn_codes(
    scores: Tensor,
    epsilon: float = 0.05,
    iterations: int = 3,
    total: Callable[[Tensor], Tensor] = lambda value: value,
    largest: Callable[[Tensor], Tensor] = lambda value: value,
) -> Tensor:
    """Codes [B, K] that sum to 1 for each video and nearly equally for each prototype, of scores [B, K] (SwAV).

    total, largest: the sum and the maximum of a tensor over all workers, whose videos together are the batch.
    """
    low = torch.full((1, scores.shape[1]), -torch.inf, device=scores.device)  # a worker may have no video that counts
    top = largest(torch.cat([scores.float(), low]).amax())
    codes = torch.exp((scores.float() - top) / epsilon)  # finite, and the common factor cancels
    count = total(torch.tensor(float(len(codes)), device=codes.device))
    codes = codes / total(codes.sum())
    for _ in range(iterations):
        codes = codes / (total(codes.sum(0)) * codes.shape[1]).clamp(min=1e-30)
        codes = codes / (codes.sum(1, keepdim=True) * count).clamp(min=1e-30)
    return codes * count


def swav_loss(scores: Sequence[Tensor], codes: Sequence[Tensor], temperature: float, valid: Tensor | None = None) -> Tensor:
    """Cross-entropy of codes [B, K] of the first clips against the scores [B, K] of each other clip, mean over both (SwAV)."""
    terms = []
    for number, code in enumerate(codes):
        others = [other for i, other in enumerate(scores) if i != number]
        each = [-(code * functional.log_softmax(other.float() / temperature, dim=1)).sum(1) for other in others]
        terms.append(valid_mean(torch.cat(each), valid))
    return torch.stack(terms).mean()


def valid_mean(per_row: Tensor, valid: Tensor | None) -> Tensor:
    """Mean of rows [k * B] over the videos that count, bool [B]; zero where none does."""
    if valid is None:
        return per_row.mean()
    weight = valid.repeat(len(per_row) // len(valid))
    return torch.where(weight, per_row, 0.0).sum() / weight.sum().clamp(min=1)
