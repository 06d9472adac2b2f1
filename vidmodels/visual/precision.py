"""A picture of average precisions: one bar for each class, best first."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path

from vidmodels.core.errors import DataError
from vidmodels.visual.canvas import write_whole
from vidmodels.visual.plots import BLUE, INK, MUTED, figure_of, png_of
from vidmodels.visual.text import shorten


def save_average_precision(
    names: Sequence[str],
    precisions: Sequence[float],
    supports: Sequence[int],
    path: str | os.PathLike[str],
    title: str = "Average precision",
) -> Path:
    """Bars of average precisions in 0..1 with their numbers; classes without a true box (nan) stand last, without a bar.

    supports: true boxes of each class. Raises DataError where they do not fit together.
    """
    if not names or not len(names) == len(precisions) == len(supports):
        raise DataError(f"{len(names)} names, {len(precisions)} precisions and {len(supports)} supports do not fit together")
    order = sorted(range(len(names)), key=lambda k: (math.isnan(precisions[k]), -precisions[k], names[k]))
    figure = figure_of(8.0, 1.2 + 0.24 * len(names))
    axes = figure.add_subplot()
    values = [0.0 if math.isnan(precisions[k]) else precisions[k] for k in order]
    axes.barh(range(len(order)), values, color=BLUE, height=0.7)
    for place, k in enumerate(order):
        said = "no true box" if math.isnan(precisions[k]) else f"{100 * precisions[k]:.1f} %  of {supports[k]} boxes"
        axes.text(values[place] + 0.01, place, said, va="center", size=8, color=MUTED)
    axes.set_yticks(range(len(order)), [shorten(names[k], 30) for k in order], size=8.5, color=INK, parse_math=False)
    axes.set_ylim(len(order) - 0.4, -0.6)
    axes.set_xlim(0, 1.25)
    axes.set_xticks([])
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    known = [value for value in precisions if not math.isnan(value)]
    mean = f"   mean {100 * sum(known) / len(known):.1f} %" if known else ""
    axes.set_title(f"{title}{mean}", loc="left", size=12, weight="bold", color=INK)
    return write_whole(path, png_of(figure))
