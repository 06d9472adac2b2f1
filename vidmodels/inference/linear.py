"""A linear layer on stored embeddings: multinomial logistic regression.

N samples, D width of an embedding, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

WEIGHT_DECAYS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""What `chosen_weight_decay` chooses from."""
DEFAULT_WEIGHT_DECAY = 1e-2
HELD_OUT = 0.2
ITERATIONS = 1000


@dataclass(frozen=True)
class LinearLayer:
    """mean, deviation: [D], of the embeddings that it was fitted to; weight: [K, D]; bias: [K]."""

    mean: Tensor
    deviation: Tensor
    weight: Tensor
    bias: Tensor

    def __call__(self, embeddings: Tensor) -> Tensor:
        """Logits [N, K] of embeddings [N, D]."""
        return functional.linear((embeddings - self.mean) / self.deviation, self.weight, self.bias)


def fit_linear(embeddings: Tensor, labels: Tensor, num_classes: int, weight_decay: float) -> LinearLayer:
    """The layer with the least mean cross-entropy plus `weight_decay` times the sum of its squared weights.

    embeddings: [N, D], which it standardises; labels: int64 [N]. It begins at zero, and the minimum is the only one, so that
    equal data give an equal layer. By L-BFGS with a line search, on all samples at once.
    """
    mean, deviation = embeddings.mean(0), embeddings.std(0, correction=0)
    deviation = torch.where(deviation > 0, deviation, 1.0)
    ready = (embeddings - mean) / deviation
    weight = torch.zeros(num_classes, embeddings.shape[1], dtype=ready.dtype, device=ready.device, requires_grad=True)
    bias = torch.zeros(num_classes, dtype=ready.dtype, device=ready.device, requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [weight, bias], max_iter=ITERATIONS, tolerance_grad=1e-6, tolerance_change=1e-10, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = functional.cross_entropy(functional.linear(ready, weight, bias), labels) + weight_decay * weight.square().sum()
        loss.backward()
        return loss

    optimiser.step(closure)  # type: ignore[arg-type]
    return LinearLayer(mean, deviation, weight.detach(), bias.detach())


def chosen_weight_decay(embeddings: Tensor, labels: Tensor, num_classes: int, seed: int) -> float | None:
    """The weight decay whose layer is right most often on a held-out fifth of each class, by the seed.

    Where several are equally often right, that with the least cross-entropy. None where no class has two samples.
    """
    held = _held_out(labels, seed)
    if not held.any():
        return None
    found = []
    for decay in WEIGHT_DECAYS:
        logits = fit_linear(embeddings[~held], labels[~held], num_classes, decay)(embeddings[held])
        wrong = (logits.argmax(1) != labels[held]).sum().item()
        found.append((wrong, functional.cross_entropy(logits, labels[held]).item(), decay))
    return min(found)[2]


def _held_out(labels: Tensor, seed: int) -> Tensor:
    """bool [N]: a fifth of each class, one at least, but never all of it."""
    generator = torch.Generator().manual_seed(seed)
    held = torch.zeros(len(labels), dtype=torch.bool)
    for label in labels.unique().tolist():
        rows = (labels.cpu() == label).nonzero().flatten()
        count = min(max(round(HELD_OUT * len(rows)), 1), len(rows) - 1)
        held[rows[torch.randperm(len(rows), generator=generator)[:count]]] = True
    return held.to(labels.device)
