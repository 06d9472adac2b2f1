"""What a linear layer reads from a frozen encoder: logistic regression on standardised embeddings.

N clips, D channels.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import vidmodels
from vidmodels import Predictor, zoo
from vidmodels.core.recipe import WHOLE_VIDEO
from vidmodels.data.manifest import Manifest
from vidmodels.data.reader import ViewReader
from vidmodels.data.synthetic.motion import CLASSES
from vidmodels.data.transforms import pixels_of
from vidmodels.inference.linear import fit_linear
from vidmodels.training.precise_bn import refresh_batch_norms

MAE = "mae_st_vit_tiny_pretrain"
PENALTY = 1e-2
"""Of the mean cross-entropy, on the squared weights."""
BATCH = 50
SETTLING = 12
"""Batches from which random networks take the statistics of their batch norms."""


def linear_probe(train: Path, val: Path, encoder: str, seed: int) -> float:
    """Accuracy on the videos of `val` after regression on those of `train`.

    encoder: a run's folder, or the name of a model, whose weights are then random and whose batch norms have the statistics of
    some of the videos.
    """
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    is_name = encoder in zoo.entries()
    predictor = Predictor(vidmodels.create_model(encoder) if is_name else encoder, batch_size=BATCH)
    if is_name:
        refresh_batch_norms(predictor.model, _clips(predictor, Manifest.load(train)))
    layer = fit_linear(*embeddings(predictor, Manifest.load(train)), len(CLASSES), PENALTY)
    x, y = embeddings(predictor, Manifest.load(val))
    return (layer(x).argmax(1) == y).double().mean().item()


def _clips(predictor: Predictor, manifest: Manifest) -> Iterator[Tensor]:
    reader = ViewReader(manifest, WHOLE_VIDEO)
    for first in range(0, SETTLING * BATCH, BATCH):
        yield pixels_of(torch.from_numpy(reader.read_batch(range(first, first + BATCH))["clips"][:, 0]), predictor.model.input)


def embeddings(predictor: Predictor, manifest: Manifest) -> tuple[torch.Tensor, torch.Tensor]:
    """Embeddings [N, D] and labels [N] of all videos."""
    reader = ViewReader(manifest, WHOLE_VIDEO)
    found, labels = [], []
    for first in range(0, len(manifest), BATCH):
        columns = reader.read_batch(range(first, min(first + BATCH, len(manifest))))
        assert not any(columns["error"]), columns["error"]
        found.append(predictor.embed(columns["clips"][:, 0]))
        labels.append(columns["label"])
    return torch.from_numpy(np.concatenate(found)), torch.from_numpy(np.concatenate(labels))
