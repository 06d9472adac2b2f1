"""Grad-CAM: which cells of a ConvNet's last maps speak for a class (Selvaraju et al. 2017, section 3).

N clips, C channels, T frames, H height, W width; t, h, w cells of a map; K classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from vidmodels.backbones.avslowfast import AVSlowFast
from vidmodels.backbones.slowfast import SlowFast
from vidmodels.core.errors import ConfigError
from vidmodels.inference.evidence import Cells, even_centres, strided_centres
from vidmodels.ops.frames import even_frames


@dataclass(frozen=True)
class Pathway:
    """A map that a head is given. alpha: the clip's frames for each that the pathway takes; sees: False where it hears."""

    name: str
    alpha: int = 1
    sees: bool = True


def pathways_of(backbone: nn.Module) -> tuple[Pathway, ...]:
    """The pathways of a backbone in the order of its maps."""
    if isinstance(backbone, AVSlowFast):
        return Pathway("slow", backbone.fusion.alpha), Pathway("fast"), Pathway("audio", sees=False)
    if isinstance(backbone, SlowFast):
        return Pathway("slow", backbone.alpha), Pathway("fast")
    return (Pathway("clip"),)


def grad_cam(
    model: Any, clips: Tensor, target: Tensor | None, **inputs: Any
) -> tuple[Tensor, dict[str, Cells], dict[str, Tensor]]:
    """Logits [N, K], the cells of each pathway that sees, and what each pathway adds to the logit, [N] by name.

    model: a backbone whose maps [N, C, t, h, w] go to `model.head`. A channel weighs as much as the logit of the target
    (int64 [N], None: the highest) changes with its mean over the map, so that the mean of a pathway's evidence is what it
    adds to the logit: exactly for a mean and a linear layer, to first order for other heads. So the evidence of several
    pathways has one unit and may be added. Memory is that of a forward pass: no graph is built below the maps.
    """
    maps: list[Tensor] = []

    def begin_graph(head: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        torch.set_grad_enabled(True)
        maps.extend(each.detach().requires_grad_() for each in arguments[0])
        return (list(maps), *arguments[1:])

    hook = model.head.register_forward_pre_hook(begin_graph)
    try:
        with torch.no_grad():  # leaving it restores what the hook has switched
            logits = model(clips, **inputs)
    finally:
        hook.remove()
    pathways = pathways_of(model.backbone)
    if len(maps) != len(pathways):
        raise ConfigError(
            f"{type(model.backbone).__name__} gives {len(maps)} maps, and {len(pathways)} are known: it has no map"
        )
    chosen = logits.argmax(1) if target is None else target
    gradients = torch.autograd.grad(logits.gather(1, chosen.unsqueeze(1)).sum(), maps)
    cells, shares = {}, {}
    for pathway, values, gradient in zip(pathways, maps, gradients):
        weights = gradient.sum((2, 3, 4), keepdim=True)
        evidence = (weights * values.detach()).sum(1)
        shares[pathway.name] = evidence.mean((1, 2, 3))
        if pathway.sees:
            cells[pathway.name] = Cells(evidence, _centres(evidence.shape[1:], clips.shape[2:], pathway, clips.device))
    return logits.detach(), cells, shares


def _centres(grid: torch.Size, shape: torch.Size, pathway: Pathway, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Where the middles of a map's cells lie in the clip."""
    frames = even_frames(shape[0], max(shape[0] // pathway.alpha, 1)).float()
    times = frames if len(frames) == grid[0] else even_centres(grid[0], shape[0])
    rows, columns = (_convolved(cells, length) for cells, length in zip(grid[1:], shape[1:]))
    return times.to(device), rows.to(device), columns.to(device)


def _convolved(cells: int, length: int) -> Tensor:
    """Middles of cells after convolutions with odd kernels, padded alike on both sides, that halve the side.

    Cell i looks at pixel i * stride in its middle, not at the middle of the i-th part of the picture: half a cell, 16
    pixels, lie between.
    """
    stride = 1
    while -(-length // stride) > cells:
        stride *= 2
    return strided_centres(cells, stride) if -(-length // stride) == cells else even_centres(cells, length)
