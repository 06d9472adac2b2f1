"""Heat maps over frames: which places of a video spoke for a class, as a sheet of frames and as frames of a video.

T frames, H height, W width, S side of a model's crop.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from vidmodels.core.errors import DataError
from vidmodels.visual.canvas import ACCENT, MUTED, Label, as_array, as_frames, draw_labels, save_png
from vidmodels.visual.panels import COLUMNS, Strip, draw_strips
from vidmodels.visual.text import percent, shorten

ROWS = 12
SIDE = 320  # a small frame is enlarged to about this many pixels, so that the class can be read below it
PANEL, PAD = 34, 10
# from no evidence to the most: rising in lightness, so that it reads in grey too
COLOURS = ((0.0, (40, 20, 90)), (0.35, (150, 30, 125)), (0.65, (238, 92, 58)), (0.85, (252, 176, 56)), (1.0, (255, 246, 170)))
COVER = 0.8  # of the picture, where evidence is highest


@dataclass(frozen=True)
class HeatRow:
    """A window of a sheet: frames [T, H, W, C], heat 0..1 [T, H, W] of each named map, and texts beside them.

    heats: {label: (heat, note)}, the class first, pathways after it. sound: a normalised spectrogram [R, M] of the same time,
    or None; sound_note: beside it.
    """

    frames: Any
    heats: dict[str, tuple[Any, str]]
    label: str
    note: str = ""
    sound: Any = None
    sound_note: str = ""


def colours(heat: Any) -> np.ndarray:
    """Colours uint8 [..., 3] of heat 0..1."""
    values = as_array(heat)
    places = [place for place, _ in COLOURS]
    channels = [np.interp(values, places, [colour[channel] for _, colour in COLOURS]) for channel in range(3)]
    return np.stack(channels, -1).round().astype(np.uint8)


def overlay(frames: Any, heat: Any) -> np.ndarray:
    """Frames uint8 [T, H, W, 3] under heat 0..1 [T, H, W]: greyed and dim without evidence, glowing with it.

    frames: [T, H, W, C], uint8 or float in 0..1. Raises DataError where the shapes differ.
    """
    images, values = as_frames(frames).astype(np.float32), as_array(heat).astype(np.float32)
    if values.shape != images.shape[:3]:
        raise DataError(f"heat of shape {values.shape} does not lie over frames of shape {images.shape[:3]}")
    values = np.nan_to_num(values).clip(0, 1)[..., None]
    ground = 0.4 * images + 0.35 * images.mean(-1, keepdims=True)
    cover = COVER * values**0.8
    return (ground * (1 - cover) + colours(values[..., 0]) * cover).round().astype(np.uint8)


def save_heat_sheet(rows: Sequence[HeatRow], path: str | os.PathLike[str], title: str, subtitle: str = "") -> Path:
    """A picture of windows over time: for each its frames from left to right and the same under the heat of each map.

    All windows have as many frames of one size; at most 8 frames of each are shown. Raises DataError for no windows.
    """
    if not rows:
        raise DataError("a sheet of heat maps needs a window to show")
    strips = []
    for row in rows:
        strips.append(Strip(as_frames(row.frames), row.label, row.note, begins=True))
        for label, (heat, note) in row.heats.items():
            strips.append(Strip(overlay(row.frames, heat), label, note))
        if row.sound is not None:
            pieces = spectrogram_frames(row.sound, as_frames(row.frames).shape)
            strips.append(Strip(pieces, "sound (mel bands)", row.sound_note))
    return save_png(draw_strips(strips, title, subtitle), path)


def spectrogram_frames(rows: Any, shape: Sequence[int]) -> np.ndarray:
    """A spectrogram [R, M] cut along its time into pictures uint8 [T, H, W, 3] that stand under the T frames of `shape`.

    High bands are at the top. A sheet shows some of many frames: each picture lasts until the next that is shown.
    """
    values = as_array(rows).astype(np.float32)
    low, high = float(values.min()), float(values.max())
    picture = np.flipud(((values - low) / max(high - low, 1e-6)).T)  # [M, R]
    length, (height, width) = shape[0], shape[1:3]
    lasting = max(length / COLUMNS, 1.0)
    pieces = []
    for number in range(length):
        first = int(number * values.shape[0] / length)
        last = max(int((number + lasting) * values.shape[0] / length), first + 1)
        pieces.append(cv2.resize(picture[:, first:last], (width, height), interpolation=cv2.INTER_NEAREST))
    return colours(np.stack(pieces))


def windows_of_sheet(windows: int, maps: int) -> list[int]:
    """Which of a video's windows a sheet shows, evenly over all, where each takes 1 + `maps` strips."""
    count = max(1, min(windows, ROWS // (1 + maps)))
    return np.linspace(0, windows - 1, count).round().astype(int).tolist()


class HeatPainter:
    """Draws heat over one frame of a video after the other, and a line with the class below it."""

    def __init__(self) -> None:
        self._panels: dict[tuple[str, float, int], np.ndarray] = {}

    def __call__(
        self, frame: np.ndarray, heat: np.ndarray, box: tuple[int, int, int, int], name: str, score: float
    ) -> np.ndarray:
        """The frame uint8 [H, W, 3] under heat 0..1 [S, S] above its panel, uint8 [H', W', 3].

        box: top, left, height and width of the model's crop in the frame; what is outside of it, the model did not see, and
        is black and grey.
        """
        top, left, height, width = box
        whole = np.zeros(frame.shape[:2], np.float32)
        whole[top : top + height, left : left + width] = cv2.resize(heat, (width, height), interpolation=cv2.INTER_LINEAR)
        painted = overlay(frame[None], whole[None])[0]
        seen = np.zeros(frame.shape[:2], bool)
        seen[top : top + height, left : left + width] = True
        painted[~seen] = painted[~seen].mean(-1, keepdims=True) * 0.4
        zoom = max(SIDE // max(frame.shape[:2]), 1)
        image = painted.repeat(zoom, 0).repeat(zoom, 1)
        return np.concatenate([image, self._panel(name, score, image.shape[1])])

    def _panel(self, name: str, score: float, width: int) -> np.ndarray:
        key = (name, score, width)
        if key not in self._panels:
            wide = max(width, 160)
            labels = [
                Label(PAD, PANEL / 2, shorten(name, max((wide - 2 * PAD - 48) // 8, 8)), 9, ACCENT, "bold"),
                Label(wide - PAD, PANEL / 2, percent(score), 9, MUTED, align="right"),
            ]
            self._panels = {key: draw_labels(wide, PANEL, labels)[:, :width].copy()}  # windows come in order: keep one
        return self._panels[key]
