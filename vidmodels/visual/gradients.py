"""Histograms of oriented gradients as pictures: a bar along each edge, as bright as its share.

T frames, h x w cells, B bins of the half circle.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from vidmodels.core.errors import DataError
from vidmodels.visual.canvas import as_array


def draw_histograms(histograms: Any, cell: int = 16) -> np.ndarray:
    """Frames uint8 [T, h * cell, w * cell, 3] of histograms [T, B, h, w]; a bin's bar is along the edge, not its gradient.

    Negative values, which predictions may have, count as none. The brightest bar of a frame is white. Raises DataError.
    """
    values = as_array(histograms)
    if values.ndim != 4 or 0 in values.shape:
        raise DataError(f"histograms of shape {values.shape} cannot be drawn: give [T, B, h, w]")
    t, bins, h, w = values.shape
    bars = _bars(bins, cell)
    shares = np.clip(np.nan_to_num(values), 0, None)
    # brightest bar on top, where bars cross
    drawn = (shares[:, :, :, None, :, None] * bars[None, :, None, :, None, :]).max(axis=1)
    drawn = drawn.reshape(t, h * cell, w * cell)
    top = drawn.max(axis=(1, 2), keepdims=True)
    grey = np.rint(drawn / np.where(top > 0, top, 1) * 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1)


def _bars(bins: int, cell: int) -> np.ndarray:
    """Lines [B, cell, cell] through the middle, 1 on the line and less beside it.

    A bin holds gradients (sin a, cos a) in x and y, whose edge runs along (cos a, -sin a).
    """
    place = np.arange(cell) - (cell - 1) / 2
    y, x = np.meshgrid(place, place, indexing="ij")
    lines = []
    for b in range(bins):
        angle = (b + 0.5) * math.pi / bins
        beside = np.abs(x * math.sin(angle) + y * math.cos(angle))
        along = np.abs(x * math.cos(angle) - y * math.sin(angle))
        lines.append(np.clip(1.2 - beside, 0, 1) * (along <= 0.45 * cell))
    return np.stack(lines)
