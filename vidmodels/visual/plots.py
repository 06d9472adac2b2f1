"""Plots of a run: the course of training, and where a classifier errs.

K classes.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vidmodels.core.errors import DataError
from vidmodels.visual.canvas import as_array, write_whole
from vidmodels.visual.text import number, shorten

INK, MUTED, GRID = "#1d2330", "#667085", "#e6e8ec"
BLUE, ORANGE, GREEN, RED = "#2f6fde", "#e07b25", "#2b9a66", "#c8372d"
NAMED_CLASSES = 40  # beyond it names would not be readable
COUNTED_CLASSES = 20


def save_loss_curve(metrics_csv: str | os.PathLike[str], path: str | os.PathLike[str], title: str = "") -> Path:
    """The loss over the steps, and below it accuracy or gradient norm, learning rate, and speed where they were recorded.

    metrics_csv: a file with the column `step` and one per metric. Raises DataError where it cannot be read or has no row.
    """
    columns = read_columns(metrics_csv)
    if "loss" not in columns:
        raise DataError(f"{metrics_csv} has no column 'loss' to draw, only {', '.join(columns) or 'an empty file'}")
    return write_whole(path, png_of(_course(columns, title)))


def read_columns(metrics_csv: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """The columns of a CSV file of numbers as float64, nan where a cell is empty; an unfinished last line is left out.

    Raises DataError for a file that cannot be read or a cell that is no number.
    """
    try:
        text = Path(metrics_csv).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read the metrics file {metrics_csv}: {error}") from None
    rows = list(csv.reader(io.StringIO(text[: text.rfind("\n") + 1])))
    if not rows:
        return {}
    try:
        return {
            name: np.array([float(row[n]) if n < len(row) and row[n] else np.nan for row in rows[1:]])
            for n, name in enumerate(rows[0])
        }
    except ValueError as error:
        raise DataError(f"{metrics_csv} is no table of numbers: {error}") from None


def save_confusion_matrix(
    matrix: Any, classes: Sequence[str], path: str | os.PathLike[str], title: str = "Confusion matrix"
) -> Path:
    """A confusion matrix whose colours are shares of each true class; with up to 20 classes the counts stand in it.

    matrix: [K, K] counts, row = true class; classes: [K] names. Raises DataError where they do not fit together.
    """
    counts = as_array(matrix).astype(np.int64)
    if counts.shape != (len(classes), len(classes)) or not len(classes):
        raise DataError(f"a confusion matrix of shape {counts.shape} does not belong to {len(classes)} classes")
    return write_whole(path, png_of(_confusion(counts, [str(name) for name in classes], title)))


def png_of(figure) -> bytes:
    """A figure as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120, bbox_inches="tight", pad_inches=0.2, metadata={"Software": None})
    return buffer.getvalue()


def figure_of(width: float, height: float):
    """An empty figure, inches wide and high, that needs no display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _course(columns: dict[str, np.ndarray], title: str):
    step = columns["step"] if "step" in columns else np.arange(1.0, len(columns["loss"]) + 1)
    panels = [panel for panel in _small_panels(columns) if panel[1]]
    figure = figure_of(9.6, 6.4 if panels else 4.0)
    grid = figure.add_gridspec(2 if panels else 1, max(len(panels), 1), height_ratios=[1.75, 1][: 2 if panels else 1])
    loss = figure.add_subplot(grid[0, :])
    _style(loss, "loss")
    _line(loss, step, columns["loss"], BLUE, "training", smooth=True)
    if "val_loss" in columns:
        _line(loss, step, columns["val_loss"], ORANGE, "validation", marker="o")
    _log_if_wide(loss, columns["loss"])
    _legend(loss)
    last = columns["loss"][np.isfinite(columns["loss"])]
    heading = title or "Training"
    figure.suptitle(heading, x=0.012, ha="left", size=13, weight="bold", color=INK)
    if last.size:
        loss.set_title(f"last {number(last[-1])}   lowest {number(last.min())}", loc="right", size=9, color=MUTED)
    for place, (label, lines) in enumerate(panels):
        axes = figure.add_subplot(grid[1, place])
        _style(axes, label)
        for name, (values, color, options) in lines.items():
            _line(axes, step, values, color, name, **options)
        if len(lines) > 1:
            _legend(axes)
    return figure


def _small_panels(columns: dict[str, np.ndarray]) -> list[tuple[str, dict[str, tuple[np.ndarray, str, dict]]]]:
    """(label, {line: (values, colour, options)}) of each panel below the loss."""

    def lines(*wanted: tuple[str, str, str, dict]) -> dict[str, tuple[np.ndarray, str, dict]]:
        present = [(label, columns[key], color, how) for key, label, color, how in wanted if key in columns]
        return {label: (values, color, how) for label, values, color, how in present if np.isfinite(values).any()}

    dotted, smooth = {"marker": "o"}, {"smooth": True}
    name = "" if "top1" in columns else "action_"  # of several label sets: all of them right
    accuracy = lines(
        (f"{name}top1", "training", BLUE, smooth), (f"val_{name}top1", "validation", ORANGE, dotted),
        (f"val_{name}top5", "top 5", GREEN, dotted),
    )  # fmt: skip
    return [
        ("top-1 accuracy", accuracy) if accuracy else ("gradient norm", lines(("grad_norm", "norm", RED, smooth))),
        ("learning rate", lines(("lr", "rate", GREEN, {}))),
        ("clips per second", lines(("clips_per_s", "speed", BLUE, smooth))),
    ]


def _line(axes, step: np.ndarray, values: np.ndarray, color: str, label: str, smooth: bool = False, marker: str = "") -> None:
    known = np.isfinite(values)
    if not known.any():
        return
    marker = marker or ("o" if known.sum() == 1 else "")
    if not smooth or known.sum() < 12:
        axes.plot(step[known], values[known], color=color, lw=1.8, label=label, marker=marker, ms=4)
        return
    axes.plot(step[known], values[known], color=color, lw=0.9, alpha=0.3)
    axes.plot(step[known], _smoothed(values[known]), color=color, lw=1.8, label=label)


def _smoothed(values: np.ndarray) -> np.ndarray:
    """A centred running mean over about a twentieth of the curve, narrower at its ends."""
    half = max(1, len(values) // 40)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    low = np.maximum(np.arange(len(values)) - half, 0)
    high = np.minimum(np.arange(len(values)) + half + 1, len(values))
    return (sums[high] - sums[low]) / (high - low)


def _style(axes, label: str) -> None:
    axes.set_title(label, loc="left", size=10, color=INK, weight="bold")
    axes.set_xlabel("step", size=9, color=MUTED)
    axes.tick_params(labelsize=8.5, colors=MUTED, length=0)
    axes.grid(color=GRID, lw=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(GRID)
    axes.locator_params(axis="x", nbins=6, integer=True)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")


def _log_if_wide(axes, loss: np.ndarray) -> None:
    """Logarithmic where the loss spans more than a factor of 30: a linear axis would show its start only."""
    known = loss[np.isfinite(loss)]
    if known.size and known.min() > 0 and known.max() / known.min() > 30:
        axes.set_yscale("log")


def _legend(axes) -> None:
    if len(axes.get_legend_handles_labels()[0]) > 1:
        axes.legend(frameon=False, fontsize=9, labelcolor=INK)


def _confusion(counts: np.ndarray, classes: list[str], title: str):
    from matplotlib.colors import LinearSegmentedColormap

    num = len(classes)
    support = counts.sum(1, keepdims=True)
    shares = np.divide(counts, support, out=np.zeros(counts.shape), where=support > 0)
    side = float(np.clip(2.4 + 0.46 * num, 4.6, 11.0))
    figure = figure_of(side + 1.2, side)
    axes = figure.add_subplot()
    colors = LinearSegmentedColormap.from_list("share", ["#f5f8fd", "#a9c8f7", "#2f6fde", "#123a80"])
    image = axes.imshow(shares, cmap=colors, vmin=0, vmax=1, interpolation="nearest", aspect="equal")
    bar = figure.colorbar(image, ax=axes, shrink=0.7, aspect=24, ticks=[0, 0.25, 0.5, 0.75, 1])
    bar.ax.set_yticklabels(["0 %", "25 %", "50 %", "75 %", "100 %"])
    bar.ax.tick_params(labelsize=8, colors=MUTED, length=0)
    bar.set_label("share of the true class", size=8.5, color=MUTED)
    bar.outline.set_visible(False)
    total = int(counts.sum())
    right = f"accuracy {100 * counts.trace() / total:.1f} % of {total:,} samples" if total else "no samples"
    figure.suptitle(title, x=0.012, ha="left", size=13, weight="bold", color=INK)
    axes.set_title(right, loc="left", size=9.5, color=MUTED)
    _class_ticks(axes, classes)
    if num <= COUNTED_CLASSES:
        for row, column in zip(*np.nonzero(counts)):
            shade = "white" if shares[row, column] > 0.45 else INK
            axes.text(column, row, f"{counts[row, column]}", ha="center", va="center", size=8.5, color=shade)
    return figure


def _class_ticks(axes, classes: list[str]) -> None:
    axes.set_xlabel("predicted", size=10, color=INK)
    axes.set_ylabel("true", size=10, color=INK)
    axes.tick_params(labelsize=8.5, colors=INK, length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if len(classes) > NAMED_CLASSES:
        return
    names = [shorten(name, 22) for name in classes]
    axes.set_yticks(range(len(names)), names, parse_math=False)
    slanted = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if max(map(len, names)) > 4 else {}
    axes.set_xticks(range(len(names)), names, parse_math=False, **slanted)
    axes.set_xticks(np.arange(len(names) - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(len(names) - 1) + 0.5, minor=True)
    axes.grid(which="minor", color="white", lw=1.2)
    axes.tick_params(which="minor", length=0)
