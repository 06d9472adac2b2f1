"""What a linear layer reads from a frozen encoder: logistic regression on standardised embeddings.

N clips, D channels, K classes.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

import vidmodels
from vidmodels import Predictor
from vidmodels.data.manifest import Manifest
from vidmodels.data.reader import ViewReader
from vidmodels.systems.mae_st.recipes import mae_st_tiny

ENCODER = "mae_st_vit_tiny_pretrain"
PENALTY = 1e-2
BATCH = 50


def linear_probe(train: Path, val: Path, weights: str | None, seed: int) -> float:
    """Accuracy on the videos of `val` after regression on those of `train`; weights: a run's folder, None for random ones."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    encoder = vidmodels.create_model(ENCODER) if weights is None else weights
    predictor = Predictor(encoder, batch_size=BATCH)
    x, y = embeddings(predictor, Manifest.load(train))
    mean, deviation = x.mean(0), x.std(0) + 1e-6
    weight, bias = logistic_regression((x - mean) / deviation, y)
    x, y = embeddings(predictor, Manifest.load(val))
    predicted = ((x - mean) / deviation @ weight + bias).argmax(1)
    return (predicted == y).float().mean().item()


def embeddings(predictor: Predictor, manifest: Manifest) -> tuple[Tensor, Tensor]:
    """Embeddings [N, D] and labels [N] of all videos."""
    reader = ViewReader(manifest, mae_st_tiny().data.clip)
    found, labels = [], []
    for first in range(0, len(manifest), BATCH):
        columns = reader.read_batch(range(first, min(first + BATCH, len(manifest))))
        assert not any(columns["error"]), columns["error"]
        found.append(torch.from_numpy(predictor.embed(columns["clips"][:, 0])))
        labels.append(torch.from_numpy(columns["label"]))
    return torch.cat(found), torch.cat(labels)


def logistic_regression(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Weight [D, K] and bias [K] at the least cross-entropy with a quadratic penalty."""
    classes = int(y.max()) + 1
    weight = torch.zeros(x.shape[1], classes, requires_grad=True)
    bias = torch.zeros(classes, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = functional.cross_entropy(x @ weight + bias, y) + PENALTY * weight.square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    return weight.detach(), bias.detach()
