"""What a linear layer reads from a frozen encoder: logistic regression on standardised embeddings.

N clips, D channels.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

import vidmodels
from vidmodels import Predictor
from vidmodels.data.manifest import Manifest
from vidmodels.data.reader import ViewReader
from vidmodels.data.synthetic.motion import CLASSES
from vidmodels.inference.linear import fit_linear
from vidmodels.systems.mae_st.recipes import mae_st_tiny

ENCODER = "mae_st_vit_tiny_pretrain"
PENALTY = 1e-2
"""Of the mean cross-entropy, on the squared weights."""
BATCH = 50


def linear_probe(train: Path, val: Path, weights: str | None, seed: int) -> float:
    """Accuracy on the videos of `val` after regression on those of `train`; weights: a run's folder, None for random ones."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    encoder = vidmodels.create_model(ENCODER) if weights is None else weights
    predictor = Predictor(encoder, batch_size=BATCH)
    layer = fit_linear(*embeddings(predictor, Manifest.load(train)), len(CLASSES), PENALTY)
    x, y = embeddings(predictor, Manifest.load(val))
    return (layer(x).argmax(1) == y).double().mean().item()


def embeddings(predictor: Predictor, manifest: Manifest) -> tuple[torch.Tensor, torch.Tensor]:
    """Embeddings [N, D] and labels [N] of all videos."""
    reader = ViewReader(manifest, mae_st_tiny().data.clip)
    found, labels = [], []
    for first in range(0, len(manifest), BATCH):
        columns = reader.read_batch(range(first, min(first + BATCH, len(manifest))))
        assert not any(columns["error"]), columns["error"]
        found.append(predictor.embed(columns["clips"][:, 0]))
        labels.append(columns["label"])
    return torch.from_numpy(np.concatenate(found)), torch.from_numpy(np.concatenate(labels))
