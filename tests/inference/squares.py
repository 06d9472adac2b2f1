"""Clips whose class is the colour of one square, so that the place of all evidence is known, and small models that learn it.

N clips, T frames, H height, W width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

SIDE, SQUARE = 32, 8
CELLS = SIDE // SQUARE


@dataclass(frozen=True)
class Squares:
    """clips [N, 3, T, H, W]: noise with a square that is red (class 0) or green (class 1), and a blue one that says nothing.

    labels: int64 [N]; evidence, distraction: bool [N, H, W], where the squares are.
    """

    clips: Tensor
    labels: Tensor
    evidence: Tensor
    distraction: Tensor


def draw(count: int, seed: int, frames: int = 4) -> Squares:
    """Squares at random places of a grid, the same in all frames."""
    generator = torch.Generator().manual_seed(seed)
    clips = 0.5 * torch.randn(count, 3, frames, SIDE, SIDE, generator=generator)
    labels = torch.randint(0, 2, (count,), generator=generator)
    places = torch.rand(count, CELLS**2, generator=generator).argsort(1)[:, :2]
    masks = [in_cell(places[:, number]) for number in (0, 1)]
    for colour, mask in ((labels, masks[0]), (torch.full((count,), 2), masks[1])):
        clips += 2 * functional.one_hot(colour, 3).view(count, 3, 1, 1, 1) * mask.view(count, 1, 1, SIDE, SIDE)
    return Squares(clips, labels, *masks)


def in_cell(cells: Tensor) -> Tensor:
    """Bool [N, H, W]: which pixels are in the cells of these numbers [N]."""
    chosen = functional.one_hot(cells, CELLS**2).view(-1, CELLS, CELLS)
    return chosen.repeat_interleave(SQUARE, 1).repeat_interleave(SQUARE, 2).bool()


def teach(model: nn.Module, steps: int, lr: float = 5e-3, frames: int = 4) -> nn.Module:
    """Train a classifier until it tells red from green."""
    optimizer = torch.optim.AdamW(model.parameters(), lr, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, steps, pct_start=0.1)
    model.train()
    for step in range(steps):
        batch = draw(16, 1000 + step, frames)
        loss = functional.cross_entropy(model(batch.clips), batch.labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model.eval()


def best_cells(maps: Tensor) -> Tensor:
    """The number of the cell with most evidence [N, T, H, W], [N]."""
    return cell_means(maps.mean(1)).argmax(1)


def cell_means(images: Tensor) -> Tensor:
    """Means of images [N, H, W] in each cell, [N, cells]."""
    return functional.avg_pool2d(images.float().unsqueeze(1), SQUARE).flatten(1)


def hits(maps: Tensor, mask: Tensor) -> float:
    """The share of clips whose cell with most evidence [N, T, H, W] is that of the mask [N, H, W]."""
    return (best_cells(maps) == cell_means(mask).argmax(1)).float().mean().item()


def share_in(maps: Tensor, mask: Tensor) -> float:
    """The mean share of the evidence that lies in the mask; a square is 1 / 16 of the picture."""
    image = maps.mean(1)
    return ((image * mask).sum((1, 2)) / image.sum((1, 2)).clamp(min=1e-12)).mean().item()


@torch.no_grad()
def drops_without(model: nn.Module, batch: Squares, cells: Tensor) -> Tensor:
    """By how much the probability of the model's class falls without the cells of these numbers [N], [N]."""
    before = model(batch.clips).softmax(1)
    after = model(batch.clips * ~in_cell(cells).view(-1, 1, 1, SIDE, SIDE)).softmax(1)
    return (before - after).gather(1, before.argmax(1, keepdim=True)).squeeze(1)


def decided(model: nn.Module, batch: Squares) -> Squares:
    """The clips whose class the square decides: a network may also say red where there is nothing, and needs no red."""
    kept = drops_without(model, batch, cell_means(batch.evidence).argmax(1)) > 0.5
    return Squares(*(part[kept] for part in (batch.clips, batch.labels, batch.evidence, batch.distraction)))


def any_cells(batch: Squares) -> Tensor:
    """Numbers of cells, drawn evenly, [N]."""
    return torch.randint(0, CELLS**2, (len(batch.clips),), generator=torch.Generator().manual_seed(0))
