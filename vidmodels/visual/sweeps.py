"""Plots of searches: scores over each key that was searched, scores as curves, and the path of an expansion."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidmodels.core.errors import DataError
from vidmodels.visual.canvas import write_whole
from vidmodels.visual.plots import BLUE, GREEN, GRID, INK, MUTED, ORANGE, RED, figure_of, png_of
from vidmodels.visual.text import number, shorten

PURPLE, TEAL = "#8250c4", "#12909b"
COLORS = (BLUE, ORANGE, GREEN, RED, PURPLE, TEAL)
WIDE_SPAN = 10
"""Values that span more than this factor are drawn on a logarithmic axis."""
COLUMNS = 3


@dataclass(frozen=True)
class Score:
    """A trial's score at its settings; whole: it was trained to its end."""

    settings: Mapping[str, Any]
    value: float
    whole: bool = True


@dataclass(frozen=True)
class Candidate:
    """A network of an expansion: name of the axis that gave it, its cost and its score; chosen: it is on the path."""

    name: str
    cost: float
    score: float
    chosen: bool = False


def save_sweep(
    scores: Sequence[Score], metric: str, path: str | os.PathLike[str], largest: bool = True, title: str = ""
) -> Path:
    """A panel for each key that varies: the trials' scores over its values, the best marked. Raises DataError without any."""
    known = [score for score in scores if math.isfinite(score.value)]
    if not known:
        raise DataError(f"no trial has a value of {metric} to draw")
    keys = [key for key in dict.fromkeys(key for score in known for key in score.settings) if len(_distinct(known, key)) > 1]
    keys = keys or list(known[0].settings)[:1]
    columns = min(COLUMNS, max(1, len(keys)))
    rows = math.ceil(max(1, len(keys)) / columns)
    figure = figure_of(4.3 * columns + 0.6, 3.4 * rows + 0.5)
    whole = [score for score in known if score.whole]
    best = (max if largest else min)(whole or known, key=lambda score: score.value)
    for place, key in enumerate(keys):
        axes = figure.add_subplot(rows, columns, place + 1)
        _panel(axes, known, best, key)
        axes.set_title(key, loc="left", size=10, color=INK, weight="bold")
        axes.set_ylabel(metric if place % columns == 0 else "", size=9, color=MUTED)
        if place == 0:
            axes.legend(fontsize=8, labelcolor=INK, framealpha=0.8, edgecolor="white")
    figure.suptitle(title or f"{metric} of {len(known)} trials", x=0.012, ha="left", size=13, weight="bold", color=INK)
    return write_whole(path, png_of(figure))


Curves = Mapping[str, Sequence[tuple[float, float]]]


def save_curves(
    lines: Curves, across: str, metric: str, path: str | os.PathLike[str], title: str = "", stopped: Curves | None = None
) -> Path:
    """A line of (x, score) for each name; stopped: of trials that were stopped on the way, as hollow dots.

    Raises DataError without any point of a line.
    """
    if not any(lines.values()):
        raise DataError(f"no trial has a value of {metric} to draw")
    figure = figure_of(7.6, 4.6)
    axes = figure.add_subplot()
    _plain(axes)
    for place, (name, points) in enumerate(lines.items()):
        style = ("-", "--", ":", "-.")[place // len(COLORS) % 4]
        x, y = zip(*sorted(points))
        color = COLORS[place % len(COLORS)]
        axes.plot(x, y, style, marker="o", ms=5, lw=1.8, color=color, label=name)
        for given_up in (stopped or {}).get(name, ()):
            axes.plot(*given_up, "o", ms=5, mfc="white", color=color)
    axes.set_xlabel(across, size=9.5, color=MUTED)
    axes.set_ylabel(metric, size=9.5, color=MUTED)
    if len(lines) > 1:
        axes.legend(frameon=False, fontsize=8.5, labelcolor=INK, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    figure.suptitle(title or f"{metric} by {across}", x=0.012, ha="left", size=13, weight="bold", color=INK)
    return write_whole(path, png_of(figure))


def save_expansion(
    candidates: Sequence[Candidate], cost: str, metric: str, path: str | os.PathLike[str], target: float | None = None
) -> Path:
    """Scores over costs on a logarithmic axis: each candidate a dot named by its axis, the chosen ones a line (X3D, figure 2).

    candidates: in the order in which they were trained; target: drawn as a line across. Raises DataError without any.
    """
    known = [each for each in candidates if math.isfinite(each.score) and each.cost > 0]
    if not known:
        raise DataError(f"no network has a value of {metric} to draw")
    figure = figure_of(9.6, 5.6)
    axes = figure.add_subplot()
    _plain(axes)
    names = list(dict.fromkeys(each.name for each in known if not each.chosen or each.name in ("base", "contraction")))
    names = list(dict.fromkeys([*names, *(each.name for each in known)]))
    for place, name in enumerate(names):
        own = [each for each in known if each.name == name]
        color = INK if name in ("base", "contraction") else COLORS[place % len(COLORS)]
        axes.scatter([each.cost for each in own], [each.score for each in own], s=46, color=color, label=name, zorder=3,
                     marker="D" if name in ("base", "contraction") else "o")  # fmt: skip
    chosen = [each for each in known if each.chosen]
    steps = [each for each in chosen if each.name != "contraction"]
    for part, style in ((steps, "-"), (chosen[len(steps) - 1 :], "--")):
        axes.plot([each.cost for each in part], [each.score for each in part], color=MUTED, lw=1.6, ls=style, zorder=2)
    for each in chosen:
        # a path rises to the right, so that there is room on the other sides
        shift, side = ((8, -14), "left") if each.name == "contraction" else ((-7, 6), "right")
        axes.annotate(each.name, (each.cost, each.score), xytext=shift, textcoords="offset points", ha=side, size=8.5,
                      color=INK, weight="bold", parse_math=False)  # fmt: skip
    axes.set_xscale("log")
    _log_ticks(axes, [each.cost for each in known])
    if target is not None:
        axes.axvline(target, color=RED, lw=1, ls="--", zorder=1)
        axes.annotate("target", (target, 0.01), xycoords=("data", "axes fraction"), xytext=(4, 2), textcoords="offset points",
                      size=8.5, color=RED)  # fmt: skip
    axes.margins(0.08, 0.12)
    axes.set_xlabel(f"{cost} (logarithmic)", size=9.5, color=MUTED)
    axes.set_ylabel(metric, size=9.5, color=MUTED)
    axes.legend(frameon=False, fontsize=9, labelcolor=INK, loc="upper left", bbox_to_anchor=(1.0, 1.0), title="axis")
    figure.suptitle("Expansion", x=0.012, ha="left", size=13, weight="bold", color=INK)
    axes.set_title(f"{len(known)} networks, {len(chosen)} on the path", loc="right", size=9, color=MUTED)
    return write_whole(path, png_of(figure))


def _panel(axes, scores: Sequence[Score], best: Score, key: str) -> None:
    _plain(axes)
    values = _distinct(scores, key)
    numeric = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)
    place: Any = (lambda value: value) if numeric else (lambda value: values.index(value))
    for whole in (False, True):
        own = [score for score in scores if score.whole == whole and key in score.settings]
        axes.scatter([place(score.settings[key]) for score in own], [score.value for score in own], s=34, zorder=3, lw=1.3,
                     facecolor=BLUE if whole else "white", edgecolor=BLUE, label="trained" if whole else "stopped")  # fmt: skip
    if key in best.settings:
        axes.scatter([place(best.settings[key])], [best.value], s=90, facecolor="none", edgecolor=ORANGE, lw=2, zorder=4,
                     label=f"best {number(best.value)}")  # fmt: skip
    if numeric:
        numbers = [float(value) for value in values]
        if min(numbers) > 0 and max(numbers) / min(numbers) > WIDE_SPAN:
            axes.set_xscale("log")
        else:
            axes.locator_params(axis="x", nbins=6)
    else:
        axes.set_xticks(range(len(values)), [shorten(str(value), 16) for value in values], parse_math=False)
        axes.set_xlim(-0.5, len(values) - 0.5)


def _distinct(scores: Sequence[Score], key: str) -> list[Any]:
    values: list[Any] = []
    for score in scores:
        if key in score.settings and score.settings[key] not in values:
            values.append(score.settings[key])
    return sorted(
        values, key=lambda value: (str(type(value)), value) if isinstance(value, (int, float, str)) else (str(value), 0)
    )


def _plain(axes) -> None:
    axes.tick_params(labelsize=8.5, colors=MUTED, length=0)
    axes.grid(color=GRID, lw=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(GRID)


def _log_ticks(axes, costs: Sequence[float]) -> None:
    """Ticks at every doubling of the smallest cost, as steps of an expansion are."""
    from matplotlib.ticker import NullLocator

    count = max(1, math.ceil(math.log2(max(costs) / min(costs)))) + 1
    every = math.ceil(count / 9)
    ticks = [min(costs) * 2.0**step for step in range(0, count, every)]
    axes.set_xticks(ticks, [_engineering(tick) for tick in ticks])
    axes.xaxis.set_minor_locator(NullLocator())


def _engineering(value: float) -> str:
    """A cost in at most three digits: `20.7 M`, `1.2 G`, `4.5`."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.3g}"
