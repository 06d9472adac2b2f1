"""What a member of the X3D family costs, found without memory or arithmetic, for any factors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
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
