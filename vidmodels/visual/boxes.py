"""Boxes over a picture, each with a tag that names who is inside and what they do.

H height, W width, C colours (RGB).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vidmodels.visual.canvas import BACKGROUND, INK, Label, draw_labels, rgb
from vidmodels.visual.text import percent

COLOURS = (
    "#ffb347", "#6ec6ff", "#8ee07f", "#ff8fa3", "#c9a7ff", "#f5e663", "#5fe0d0", "#ff9d5c", "#a3b8ff", "#e79be0",
)  # fmt: skip
"""Light colours that are told apart on the dark ground of the tags; persons take them in turn."""

LONGEST_NAME = 30
SHADE = 0.82
"""How far a tag covers the picture behind it."""


@dataclass(frozen=True)
class TaggedBox:
    """A box (x1, y1, x2, y2 in pixels), the number of its person, a title, and names with scores in 0..1 below it."""

    xyxy: np.ndarray
    number: int
    title: str
    lines: tuple[tuple[str, float], ...] = ()


def draw_boxes(picture: np.ndarray, boxes: Sequence[TaggedBox]) -> np.ndarray:
    """A copy of uint8 [H, W, 3] with the boxes and their tags, which stay inside and off each other where there is room."""
    import cv2

    image = np.ascontiguousarray(picture).copy()
    scale = max(1.0, min(image.shape[:2]) / 540)
    thick = max(2, round(2 * scale))
    for box in boxes:
        x1, y1, x2, y2 = (round(float(value)) for value in box.xyxy)
        cv2.rectangle(image, (x1, y1), (x2, y2), (0, 0, 0), thick + 2)
        cv2.rectangle(image, (x1, y1), (x2, y2), colour_of(box.number), thick)
    taken: list[tuple[int, int, int, int]] = []
    for box in boxes:
        tag = _tag(box.number, box.title, box.lines, round(8.5 * scale, 1))
        left, top = _place(box.xyxy, tag.shape[:2], image.shape[:2], taken)
        taken.append((left, top, left + tag.shape[1], top + tag.shape[0]))
        _lay(image, tag, left, top)
    return image


def colour_of(number: int) -> tuple[int, int, int]:
    """The colour (RGB) of person `number`, the same in every picture."""
    return rgb(COLOURS[(number - 1) % len(COLOURS)])


@functools.lru_cache(maxsize=256)  # a tag stays the same from one key frame to the next
def _tag(number: int, title: str, lines: tuple[tuple[str, float], ...], size: float) -> np.ndarray:
    """The picture of a tag: title in the person's colour, a line for each name."""
    row, pad = round(size * 2.1), round(size * 0.7)
    colour = COLOURS[(number - 1) % len(COLOURS)]
    heads = [_text(_cut(title), size, colour, "bold")]
    heads += [_text(_cut(name), size, INK, "normal") for name, _ in lines]
    tails = [_text(percent(score), size, INK, "bold") for _, score in lines]
    gap = 2 * pad if lines else 0
    width = max(part.shape[1] for part in heads) + gap + max((part.shape[1] for part in tails), default=0) + 3 * pad
    tag = np.empty((row * len(heads) + pad, width, 3), np.uint8)
    tag[:] = _ground()
    tag[:, : max(2, pad // 2)] = colour_of(number)
    for place, part in enumerate(heads):
        _paste(tag, part, 2 * pad - pad // 2, place * row + pad // 2, row)
    for place, part in enumerate(tails, 1):
        _paste(tag, part, width - pad - part.shape[1], place * row + pad // 2, row)
    return tag


def _text(text: str, size: float, colour: str, weight: str) -> np.ndarray:
    """One line of text, as narrow as it is."""
    high = round(size * 2.1)
    canvas = draw_labels(round(1.5 * size * (len(text) + 2)), high, [Label(2, high / 2, text, size, colour, weight)])
    inked = np.flatnonzero((canvas != _ground()).any((0, 2)))
    return canvas[:, : inked[-1] + 2] if len(inked) else canvas[:, :1]


def _cut(text: str) -> str:
    """The beginning of a long name: it says more than the end."""
    return text if len(text) <= LONGEST_NAME else f"{text[: LONGEST_NAME - 3].rstrip()}..."


def _ground() -> np.ndarray:
    return np.array([int(BACKGROUND[place : place + 2], 16) for place in (1, 3, 5)], np.uint8)


def _paste(tag: np.ndarray, part: np.ndarray, x: int, y: int, row: int) -> None:
    high = min(part.shape[0], row, tag.shape[0] - y)
    tag[y : y + high, x : x + part.shape[1]] = part[:high]


def _place(
    xyxy: np.ndarray, size: tuple[int, int], frame: tuple[int, int], taken: list[tuple[int, int, int, int]]
) -> tuple[int, int]:
    """Left and top of a tag: above its box, below it, inside it (low, off the face), elsewhere; the first that is free."""
    height, width = size
    x1, y1, x2, y2 = (round(float(value)) for value in xyxy)
    right = max(frame[1] - width, 0)
    places = [(x1, y1 - height), (x1, y2), (x1, y2 - height), (x2 - width, y2 - height), (x2 - width, y1), (x1, y1), (x2, y1)]
    places += [(x1, top) for top in range(0, frame[0] - height, max(height // 2, 1))]
    inside = [(min(max(left, 0), right), top) for left, top in places if 0 <= top <= frame[0] - height]
    free = [place for place in inside if not any(_overlap((*place, place[0] + width, place[1] + height), t) for t in taken)]
    return (free or inside or [(min(max(x1, 0), right), 0)])[0]


def _overlap(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _lay(image: np.ndarray, tag: np.ndarray, left: int, top: int) -> None:
    """Blend the tag over the picture; what does not fit is cut."""
    region = image[top : top + tag.shape[0], left : left + tag.shape[1]]
    part = tag[: region.shape[0], : region.shape[1]]
    mixed = region.astype(np.float32) * (1 - SHADE) + part.astype(np.float32) * SHADE
    bright = part.max(2, keepdims=True) > 120  # letters stay whole
    region[:] = np.where(bright, part, mixed.round().astype(np.uint8))
