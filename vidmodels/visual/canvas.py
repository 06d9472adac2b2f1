"""The ground of all pictures of frames: arrays to displayable frames, labels on a canvas, files written whole.

T frames, H height, W width, C colours (RGB). Frames are pasted pixel for pixel; only the labels are drawn by matplotlib.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vidmodels.core.errors import DataError, RunError

DPI = 100
BACKGROUND = "#14171c"
INK = "#e8eaee"
MUTED = "#8f98a8"
ACCENT = "#7cb2ff"


def rgb(colour: str) -> tuple[int, int, int]:
    """The values 0..255 of a colour such as #14171c."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def as_array(value: Any) -> np.ndarray:
    """A numpy array of an array, a list, or a tensor on any device (bfloat16 becomes float32)."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        if value.is_floating_point():
            value = value.float()
    return np.asarray(value)


def as_frames(value: Any, what: str = "frames") -> np.ndarray:
    """Displayable frames uint8 [T, H, W, 3].

    value: [T, H, W, C] with C 1 or 3, uint8, or float with 0 black and 1 white (clamped; NaN is black).
    Raises DataError for any other shape.
    """
    frames = as_array(value)
    if frames.ndim != 4 or frames.shape[-1] not in (1, 3) or 0 in frames.shape:
        raise DataError(f"{what} of shape {frames.shape} cannot be drawn: give [T, H, W, C] with 1 or 3 colours")
    return _to_rgb8(frames)


def clip_to_frames(clip: Any) -> np.ndarray:
    """Frames uint8 [T, H, W, 3] of a model's clip, float [C, T, H, W] with 0 black and 1 white. Raises DataError."""
    array = as_array(clip)
    if array.ndim != 4:
        raise DataError(f"a clip of shape {array.shape} cannot be drawn: give [C, T, H, W]")
    return as_frames(array.transpose(1, 2, 3, 0), "a clip's frames")


def _to_rgb8(frames: np.ndarray) -> np.ndarray:
    if frames.dtype != np.uint8:
        frames = np.rint(np.clip(np.nan_to_num(frames, nan=0.0), 0.0, 1.0) * 255).astype(np.uint8)
    return np.repeat(frames, 3, axis=-1) if frames.shape[-1] == 1 else frames


def fit(frames: np.ndarray, cell: int) -> np.ndarray:
    """Frames [T, H, W, 3] at a size that fits a square of `cell` pixels.

    Small frames grow by a whole factor without smoothing, so that each source pixel stays visible; large ones are averaged.
    """
    height, width = frames.shape[1:3]
    factor = cell // max(height, width)
    if factor >= 1:
        return frames.repeat(factor, axis=1).repeat(factor, axis=2)
    import cv2

    scale = cell / max(height, width)
    new = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.stack([cv2.resize(frame, new, interpolation=cv2.INTER_AREA) for frame in frames])


def spread(length: int, count: int) -> list[int]:
    """At most `count` indices evenly over `length`, the first and the last among them."""
    return np.linspace(0, length - 1, min(length, count)).round().astype(int).tolist()


@dataclass(frozen=True)
class Label:
    """A text on a canvas: x, y in pixels from the top left corner; `size` in points; `align` left, center or right."""

    x: float
    y: float
    text: str
    size: float = 9
    color: str = INK
    weight: str = "normal"
    align: str = "left"


def draw_labels(width: int, height: int, labels: list[Label]) -> np.ndarray:
    """A canvas uint8 [height, width, 3] with the labels on it, each centred on its y."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # matplotlib rounds its canvas and blends its last row and column: draw on a larger one and cut
    wide, high = width + 2, height + 2
    figure = Figure(figsize=(wide / DPI, high / DPI), dpi=DPI, facecolor=BACKGROUND)
    canvas = FigureCanvasAgg(figure)
    for label in labels:
        figure.text(
            label.x / wide, 1 - label.y / high, label.text, size=label.size, color=label.color, weight=label.weight,
            ha=label.align, va="center", family="DejaVu Sans", parse_math=False,
        )  # fmt: skip
    canvas.draw()
    return np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[:height, :width, :3])


def paste(canvas: np.ndarray, image: np.ndarray, x: int, y: int) -> None:
    """Copy an image [h, w, 3] onto the canvas with its top left corner at (x, y)."""
    canvas[y : y + image.shape[0], x : x + image.shape[1]] = image


def save_png(image: np.ndarray, path: str | os.PathLike[str]) -> Path:
    """Write uint8 [H, W, 3] as PNG. Raises RunError where the file cannot be written."""
    import cv2

    encoded = cv2.imencode(".png", image[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 6])[1]
    return write_whole(path, encoded.tobytes())


def write_whole(path: str | os.PathLike[str], content: bytes) -> Path:
    """Write a file whole or not at all, with its folder. Raises RunError where that fails (no space, no permission)."""
    target = Path(path)
    aside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        aside.write_bytes(content)
        aside.replace(target)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise RunError(f"cannot write {target}: {error.strerror or error}; free some space or choose another folder") from None
    return target
