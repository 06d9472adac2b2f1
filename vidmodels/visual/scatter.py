"""A map of videos: points of a plane in the colours of their classes, small pictures where there is room for them.

V videos, H height, W width.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from vidmodels.core.errors import DataError
from vidmodels.visual.canvas import ACCENT, BACKGROUND, INK, MUTED, Label, draw_labels, paste, rgb
from vidmodels.visual.text import percent, shorten

THUMBNAIL = 84
"""Long side of a small picture in pixels."""
PICTURES = 80
SIDE, MARGIN, TOP, LEGEND = 1000, 24, 72, 210
EDGE, DOT = 3, 5
OTHER = "#7a8291"
# told apart from each other and from the dark ground, also by who sees no red and green: they differ in lightness
COLOURS = (
    "#7cb2ff", "#ffb454", "#5fd6a2", "#ff7a85", "#c79bff", "#f2e35c", "#4fc3d9", "#ff9ed8", "#a3c34a", "#d9a27e",
    "#3f78d8", "#c0691b", "#218c66", "#c43d53", "#8455d6", "#a89a12", "#1f7f97", "#b8559a", "#5f7d1d", "#8a5a3c",
)  # fmt: skip


def with_pictures(places: np.ndarray) -> list[int]:
    """Which of the points [V, 2] get a picture: at most PICTURES that do not lie over each other, spread over the map.

    Raises DataError for points that are not finite.
    """
    pixels = _pixels(places)
    chosen: list[int] = []
    for number in np.random.default_rng(0).permutation(len(pixels)).tolist():
        if all(np.abs(pixels[number] - pixels[other]).max() >= THUMBNAIL + 2 * EDGE for other in chosen):
            chosen.append(number)
        if len(chosen) == PICTURES:
            break
    return sorted(chosen)


def draw_map(
    places: np.ndarray,
    labels: Sequence[str | None],
    pictures: Mapping[int, np.ndarray],
    shares: tuple[float, float],
    title: str,
    subtitle: str,
) -> np.ndarray:
    """The map uint8 [H, W, 3] of points [V, 2]. labels: V, None where there is none; pictures: uint8 [h, w, 3] of some.

    shares: of the variance along each axis. Beyond as many classes as there are colours the rare ones are grey.
    """
    pixels = _pixels(places)
    classes = _classes(labels)
    legend = LEGEND if classes else 0
    width, height = SIDE + 2 * MARGIN + legend, SIDE + TOP + MARGIN
    texts = [
        Label(MARGIN, 24, title, 13, INK, "bold"),
        Label(MARGIN, 48, subtitle, 9, MUTED),
        Label(MARGIN + SIDE, 24, f"upwards: {_axis('second', shares[1])}", 9, MUTED, align="right"),
        Label(MARGIN + SIDE, 48, f"to the right: {_axis('first', shares[0])}", 9, MUTED, align="right"),
        *_legend(classes),
    ]
    canvas = draw_labels(width, height, texts)
    cv2.rectangle(canvas, (MARGIN, TOP), (MARGIN + SIDE, TOP + SIDE), rgb("#2a303a"), 1)
    colours = [rgb(classes[label][0]) if label in classes else rgb(OTHER if classes else ACCENT) for label in labels]
    for number, picture in pictures.items():
        h, w = picture.shape[:2]
        framed = np.full((h + 2 * EDGE, w + 2 * EDGE, 3), colours[number], np.uint8)
        paste(framed, picture, EDGE, EDGE)
        x, y = np.rint(pixels[number]).astype(int)
        paste(canvas, framed, x - framed.shape[1] // 2, y - framed.shape[0] // 2)
    for number, (x, y) in enumerate(np.rint(pixels).astype(int).tolist()):
        if number not in pictures:
            cv2.circle(canvas, (x, y), DOT + 1, rgb(BACKGROUND), -1, cv2.LINE_AA)
            cv2.circle(canvas, (x, y), DOT, colours[number], -1, cv2.LINE_AA)
    for number, (colour, _) in enumerate(classes.values()):
        cv2.circle(canvas, (2 * MARGIN + SIDE, _row(number)), DOT + 1, rgb(colour), -1, cv2.LINE_AA)
    return canvas


def _pixels(places: np.ndarray) -> np.ndarray:
    """Points of the canvas [V, 2], as far apart as the square allows and so far from its edges that pictures fit."""
    if places.ndim != 2 or places.shape[1] != 2 or not len(places) or not np.isfinite(places).all():
        raise DataError(f"points of shape {places.shape} cannot be drawn: give finite [V, 2]")
    low, high = places.min(0), places.max(0)
    inner = SIDE - THUMBNAIL - 2 * EDGE - 16
    shares = (places - low) / np.where(high > low, high - low, 1.0)
    shares[:, 1] = 1 - shares[:, 1]
    return np.array([MARGIN, TOP]) + (SIDE - inner) / 2 + shares * inner


def _classes(labels: Sequence[str | None]) -> dict[str | None, tuple[str, int]]:
    """Colour and number of videos of each class, by name; of the most frequent ones where there are too many."""
    counts = Counter(label for label in labels if label is not None)
    shown = sorted(name for name, _ in counts.most_common(len(COLOURS)))
    return {name: (colour, counts[name]) for name, colour in zip(shown, COLOURS)}


def _legend(classes: Mapping[str | None, tuple[str, int]]) -> list[Label]:
    left = 2 * MARGIN + SIDE + 16
    return [
        Label(left, _row(number), f"{shorten(str(name), 20)}  {count}", 9.5, INK)
        for number, (name, (_, count)) in enumerate(classes.items())
    ]


def _row(number: int) -> int:
    return TOP + 12 + 26 * number


def _axis(name: str, share: float) -> str:
    return f"{name} principal component, {percent(share)} of the variance"
