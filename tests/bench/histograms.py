"""Benchmark of the histograms of oriented gradients, against a formulation that goes over the whole picture bin by bin."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from tests.bench.harness import Ratio, alternate, ratio, seconds, shown
from vidmodels.ops.hog import BINS, CELL, hog

FRAMES = 8


def by_unfolding(frames: Tensor) -> Tensor:
    """What `hog` gives, float32 [N, C, B, h, w]: convolutions, a map for each bin, windows of cells unfolded from them."""
    n, colours, height, width = frames.shape
    kernel = torch.tensor([[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]]).expand(colours, 1, 3, 3)
    padded = functional.pad(frames, (1, 1, 1, 1), mode="reflect")
    across = functional.conv2d(padded, kernel, groups=colours)
    down = functional.conv2d(padded, kernel.transpose(2, 3), groups=colours)
    size = torch.stack([across, down], dim=-1).norm(dim=-1)
    which = (torch.atan2(across, down) / math.pi * BINS).floor().long() % BINS
    maps = frames.new_zeros(n, colours, BINS, height, width).scatter_(2, which.unsqueeze(2), size.unsqueeze(2))
    cells = maps.unfold(3, CELL, CELL).unfold(4, CELL, CELL).sum((-1, -2))
    return functional.normalize(cells, dim=2)


def hog_of_frames(rounds: int = 15) -> list[Ratio]:
    """8 frames of 224 x 224 in 3 colours on one thread: unfolding / ours, with equal output."""
    torch.set_num_threads(1)
    frames = torch.randn(FRAMES, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    difference = (by_unfolding(frames) - hog(frames)).abs().max().item()
    print(f"  largest difference of the outputs {difference:.1e}")
    assert difference < 1e-5, "the two sides do not compute the same"
    a, b = alternate(lambda: seconds(lambda: by_unfolding(frames)), lambda: seconds(lambda: hog(frames)), rounds)
    shown("bin by bin, unfolded", a)
    shown("ours", b)
    _beside(frames)
    return [ratio("hog", a, b, ">= 2")]


def _beside(frames: Tensor) -> None:
    """scikit-image's histograms of the same frames, one by one, where it is installed; its gradients are other ones."""
    try:
        from skimage.feature import hog as theirs
    except ImportError as error:
        print(f"  scikit-image cannot be measured: {error}")
        return
    planes = frames.flatten(0, 1).numpy()

    def each() -> np.ndarray:
        return np.stack([theirs(plane, BINS, (CELL, CELL), (1, 1), block_norm="L2") for plane in planes])

    shown("beside: scikit-image, colour by colour", [seconds(each) for _ in range(3)])
