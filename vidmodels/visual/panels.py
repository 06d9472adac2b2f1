"""Pictures of clips as film strips: a batch as it reaches the model, and what a masked autoencoder reconstructs.

B videos, R clips of each, T frames, H height, W width, C colours; t, h, w the grid of tokens.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vidmodels.core.errors import DataError
from vidmodels.visual.canvas import (
    ACCENT,
    INK,
    MUTED,
    Label,
    as_array,
    as_frames,
    draw_labels,
    fit,
    paste,
    save_png,
    spread,
)
from vidmodels.visual.text import percent, shorten

CELL = 128
COLUMNS = 8
ROWS = 12
MARGIN, GUTTER, HEADER, GAP, GROUP_GAP = 20, 168, 84, 4, 16
HIDDEN = (62, 68, 79)  # a masked patch: dark enough to recede, light enough to stand off the ground


@dataclass(frozen=True)
class Strip:
    """One row of a panel: frames uint8 [T, H, W, 3], a label, a second line under it, and whether a group begins."""

    frames: np.ndarray
    label: str = ""
    note: str = ""
    begins: bool = False


def save_sample_batch(clips: Any, path: str | os.PathLike[str], titles: Sequence[str] | None = None) -> Path:
    """A picture of a batch: one row per clip, frames from left to right.

    clips: uint8 [B, R, T, H, W, C] as decoded (or float in 0..1); titles: [B] names of the videos (ids, classes).
    At most 12 rows and 8 frames of each clip are shown. Raises DataError for other shapes.
    """
    batch = as_array(clips)
    if batch.ndim != 6 or 0 in batch.shape:
        raise DataError(f"a batch of shape {batch.shape} cannot be drawn: give [B, R, T, H, W, C]")
    videos, repeats, length, height, width = batch.shape[:5]
    if titles is not None and len(titles) != videos:
        raise DataError(f"{len(titles)} titles for a batch of {videos} videos: give one for each")
    shown_clips = min(repeats, 4)
    shown = min(videos, ROWS // shown_clips)
    strips = []
    for video in range(shown):
        name = f"video {video + 1}" if titles is None else str(titles[video])
        for clip in range(shown_clips):
            note = f"clip {clip + 1} of {repeats}" if repeats > 1 else ""
            first = clip == 0
            frames = as_frames(batch[video, clip])
            strips.append(Strip(frames, name if first else "", note, begins=first and repeats > 1))
    of = f"{shown} of {videos}" if shown < videos else f"{videos}"
    each = f" x {repeats} clips" if repeats > 1 else ""
    subtitle = f"{of} videos{each}, {length} frames of {width} x {height} pixels"
    return save_png(draw_strips(strips, "Sample batch", subtitle), path)


def save_reconstruction_panel(
    original: Any,
    masked: Mapping[float, Any],
    reconstructed: Mapping[float, Any],
    path: str | os.PathLike[str],
    title: str = "Reconstruction",
) -> Path:
    """Original, masked and reconstructed frames over time, for each masking ratio.

    original: [T, H, W, C]; masked, reconstructed: {ratio in 0..1: [T, H, W, C]}, uint8 or float in 0..1 (see
    `mask_frames`). The peak signal-to-noise ratio beside a row is that of all its pixels, visible ones included.
    Raises DataError where the ratios or the shapes differ.
    """
    truth, pairs = matched_clips(original, masked, reconstructed)
    strips = [Strip(truth, "original", begins=True)]
    for ratio, (hidden, answer) in pairs.items():
        strips.append(Strip(hidden, f"{percent(ratio)} masked", "what the encoder sees", begins=True))
        strips.append(Strip(answer, "reconstructed", f"PSNR {psnr(truth, answer):.1f} dB"))
    length, height, width = truth.shape[:3]
    return save_png(draw_strips(strips, title, f"{length} frames of {width} x {height} pixels"), path)


def matched_clips(
    original: Any, masked: Mapping[float, Any], reconstructed: Mapping[float, Any]
) -> tuple[np.ndarray, dict[float, tuple[np.ndarray, np.ndarray]]]:
    """The original and {ratio: (masked, reconstructed)} as uint8 [T, H, W, 3], by rising ratio. Raises DataError."""
    truth = as_frames(original, "the original")
    if not masked or set(masked) != set(reconstructed):
        raise DataError(f"masked clips at ratios {sorted(masked)} but reconstructed ones at {sorted(reconstructed)}")
    pairs = {}
    for ratio in sorted(masked):
        pair = as_frames(masked[ratio], "a masked clip"), as_frames(reconstructed[ratio], "a reconstructed clip")
        for frames in pair:
            if frames.shape != truth.shape:
                raise DataError(f"a clip of shape {frames.shape} at ratio {ratio} beside an original of {truth.shape}")
        pairs[ratio] = pair
    return truth, pairs


def mask_frames(frames: Any, mask: Any, grid: tuple[int, int, int]) -> np.ndarray:
    """Frames uint8 [T, H, W, 3] with the masked patches painted in one colour.

    frames: [T, H, W, C]; mask: [N], 1 or True where a token is masked, N = t*h*w in the order (time, row, column);
    grid: (t, h, w), whose parts divide T, H, W. Raises DataError where they do not.
    """
    shown = as_frames(frames).copy()
    hidden = as_array(mask).astype(bool).reshape(-1)
    if hidden.size != int(np.prod(grid)) or any(n % g for n, g in zip(shown.shape[:3], grid)):
        raise DataError(f"a mask of {hidden.size} tokens in a grid of {grid} does not fit frames of {shown.shape[:3]}")
    hidden = hidden.reshape(grid)
    for axis in range(3):
        hidden = hidden.repeat(shown.shape[axis] // grid[axis], axis=axis)
    shown[hidden] = HIDDEN
    return shown


def psnr(truth: np.ndarray, answer: np.ndarray) -> float:
    """Peak signal-to-noise ratio in decibels of uint8 arrays; infinite where they are equal."""
    error = np.mean((truth.astype(np.float64) - answer) ** 2)
    return float("inf") if error == 0 else float(10 * np.log10(255.0**2 / error))


def draw_strips(strips: Sequence[Strip], title: str, subtitle: str) -> np.ndarray:
    """A panel uint8 [height, width, 3]: a row of at most 8 frames for each strip, all of one length and size."""
    indices = spread(len(strips[0].frames), COLUMNS)
    cells = [fit(strip.frames[indices], CELL) for strip in strips]
    cell_h, cell_w = cells[0].shape[1:3]
    tops, y = [], HEADER
    for number, strip in enumerate(strips):
        y += 0 if number == 0 else GROUP_GAP if strip.begins else GAP
        tops.append(y)
        y += cell_h
    lefts = [MARGIN + GUTTER + n * (cell_w + GAP) for n in range(len(indices))]
    width, height = max(lefts[-1] + cell_w, 420) + MARGIN, y + MARGIN
    labels = [
        Label(MARGIN, 24, title, 13, INK, "bold"),
        Label(MARGIN, 47, subtitle, 9, MUTED),
        Label(MARGIN + GUTTER - 12, HEADER - 12, "frame", 8, MUTED, align="right"),
    ]
    labels += [Label(x + cell_w / 2, HEADER - 12, str(i + 1), 8, MUTED, align="center") for x, i in zip(lefts, indices)]
    for strip, top in zip(strips, tops):
        labels += _row_labels(strip, top + cell_h / 2)
    canvas = draw_labels(width, height, labels)
    for frames, top in zip(cells, tops):
        for frame, left in zip(frames, lefts):
            paste(canvas, frame, left, top)
    return canvas


def _row_labels(strip: Strip, middle: float) -> list[Label]:
    both = bool(strip.label and strip.note)
    lines = []
    if strip.label:
        color = ACCENT if strip.begins and strip.note else INK
        lines.append(Label(MARGIN, middle - (9 if both else 0), shorten(strip.label, 20), 9.5, color, "bold"))
    if strip.note:
        lines.append(Label(MARGIN, middle + (9 if both else 0), strip.note, 8.5, MUTED))
    return lines
