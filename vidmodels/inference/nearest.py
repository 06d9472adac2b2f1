"""Nearest neighbours as a classifier: what are the videos whose embeddings are most alike?

N clips, M videos of a memory, E width of an embedding, K classes.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from vidmodels.core.errors import DataError

NEAREST, TEMPERATURE = 200, 0.1


def class_weights(
    embeddings: Tensor,
    memory: Tensor,
    labels: Tensor,
    num_classes: int,
    nearest: int = NEAREST,
    temperature: float = TEMPERATURE,
) -> Tensor:
    """Sums [N, K] of exp(similarity / temperature) over the `nearest` videos of each class (Wu et al. 2018, section 3.4).

    embeddings [N, E], memory [M, E]: of unit length; labels: int64 [M], videos of -1 have none and are left out.
    """
    known = labels >= 0
    memory, labels = memory[known], labels[known]
    if not len(memory):
        raise DataError("no video of the memory has a label: nearest neighbours need some")
    similar, rows = (embeddings @ memory.T).topk(min(nearest, len(memory)), dim=1)
    weights = embeddings.new_zeros(len(embeddings), num_classes)
    return weights.scatter_add_(1, labels[rows], (similar / temperature).exp())


class NearestClassifier(nn.Module):
    """Clips to logits: the logarithms of `class_weights`, so that scores are shares.

    embed: a module that gives embeddings of unit length [N, E]; memory, labels: as of `class_weights`.
    """

    activation = "softmax"
    label_sets = None

    def __init__(self, embed: Any, memory: Tensor, labels: Tensor, num_classes: int, temperature: float = TEMPERATURE) -> None:
        super().__init__()
        self.embed, self.temperature, self.num_classes = embed, temperature, num_classes
        self.register_buffer("memory", memory, persistent=False)
        self.register_buffer("labels", labels.to(memory.device), persistent=False)

    memory: Tensor
    labels: Tensor

    def forward(self, clips: Tensor) -> Tensor:
        """Logits [N, K] of clips [N, C, T, H, W]."""
        found = class_weights(self.embed(clips), self.memory, self.labels, self.num_classes, temperature=self.temperature)
        return found.clamp(min=1e-12).log()
