"""What a member of the X3D family costs for any factors: counted without memory or arithmetic, or measured."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from vidmodels.systems.x3d.builders import x3d


@dataclass(frozen=True)
class Complexity:
    """params: learned parameters; macs: multiply-adds of convolutions and matrix products for one clip."""

    params: int
    macs: int


def complexity(num_frames: int, size: int, test_size: int | None = None, **settings: Any) -> Complexity:
    """The complexity of `x3d(num_frames, size, **settings)` on a clip of its size (or of `test_size`) (X3D, section 3.2).

    Shapes alone are computed, on the meta device. Raises ConfigError for settings that cannot be.
    """
    side = test_size or size
    with torch.device("meta"):
        model = x3d(num_frames, size, **settings).eval()
        clip = torch.empty(1, 3, num_frames, side, side)
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        model(clip)
    # the counter takes a multiply-add for two operations
    return Complexity(sum(p.numel() for p in model.parameters()), counter.get_total_flops() // 2)


def latency_ms(num_frames: int, size: int, **settings: Any) -> float:
    """Milliseconds of `x3d(num_frames, size, **settings)` for one clip of its size, on a GPU where there is one."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return measured_ms(x3d(num_frames, size, **settings).to(device), torch.zeros(1, 3, num_frames, size, size, device=device))


@torch.no_grad()
def measured_ms(model: nn.Module, clips: torch.Tensor) -> float:
    """Milliseconds of a forward pass: the median of nine after two that are left out."""
    model.eval()
    took = []
    for _ in range(11):
        _wait(clips.device)
        start = time.perf_counter()
        model(clips)
        _wait(clips.device)
        took.append(1000 * (time.perf_counter() - start))
    return statistics.median(took[2:])


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
