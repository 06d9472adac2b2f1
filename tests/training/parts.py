"""A tiny model with blocks, layer numbers and undecayed parameters, for the tests of training."""

from __future__ import annotations

import torch
from torch import Tensor, nn

DIM = 8


class Block(nn.Module):
    """A residual layer with dropout."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(DIM)
        self.fc = nn.Linear(DIM, DIM)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.drop(torch.tanh(self.fc(self.norm(x))))


class TinyNet(nn.Module):
    """Token, two blocks and a head: layers 0, 1, 2 and 3."""

    no_decay = {"token"}
    num_layers = 3

    def __init__(self, seed: int = 0, dropout: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.token = nn.Parameter(torch.randn(1, DIM) * 0.1)
        self.body = nn.ModuleList(Block(dropout) for _ in range(2))
        self.head = nn.Linear(DIM, 3)

    def blocks(self) -> nn.ModuleList:
        return self.body

    def layer_id(self, name: str) -> int:
        if name.startswith("token"):
            return 0
        return int(name.split(".")[1]) + 1 if name.startswith("body.") else 3

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.token
        for block in self.body:
            x = block(x)
        return self.head(x)


def data(step: int, rows: slice = slice(None)) -> tuple[Tensor, Tensor]:
    """Eight rows of inputs and classes of a step; `rows` are one worker's."""
    generator = torch.Generator().manual_seed(100 + step)
    x = torch.randn(8, DIM, generator=generator)
    return x[rows], (x[:, :3].argmax(1))[rows]


def one_step(model: nn.Module, optimizer: torch.optim.Optimizer, step: int, rows: slice = slice(None)) -> Tensor:
    """Forward, backward and optimiser step; the loss of these rows."""
    x, y = data(step, rows)
    loss = nn.functional.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return loss.detach()
