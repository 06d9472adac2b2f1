"""Short H.264 videos of what a model sees and answers.

T frames, H height, W width, C colours.
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from vidmodels.core.errors import DataError
from vidmodels.visual.canvas import ACCENT, INK, MUTED, Label, draw_labels, fit, paste, write_whole
from vidmodels.visual.panels import matched_clips, psnr
from vidmodels.visual.text import percent

CELL = 192
MARGIN, HEADER, CAPTION, GAP, BAR = 20, 64, 26, 10, 3
TRACK, DONE = (44, 50, 60), (124, 178, 255)


def save_reconstruction_video(
    original: Any,
    masked: Mapping[float, Any],
    reconstructed: Mapping[float, Any],
    path: str | os.PathLike[str],
    fps: float = 8.0,
    title: str = "Reconstruction",
) -> Path:
    """An MP4 with the original on the left and, for each masking ratio, the masked clip above its reconstruction.

    original: [T, H, W, C]; masked, reconstructed: {ratio in 0..1: [T, H, W, C]}, uint8 or float in 0..1. The video has T
    frames at `fps` frames per second. Raises DataError where ratios or shapes differ, RunError where it cannot be written.
    """
    truth, pairs = matched_clips(original, masked, reconstructed)
    cells = [fit(truth, CELL)]
    for hidden, answer in pairs.values():
        cells += [fit(hidden, CELL), fit(answer, CELL)]
    length, cell_h, cell_w = cells[0].shape[:3]
    lefts = [MARGIN + n * (cell_w + GAP) + (2 * GAP if n else 0) for n in range(1 + len(pairs))]
    upper = HEADER + CAPTION
    lower = upper + cell_h + CAPTION + GAP
    labels = [Label(MARGIN, 24, title, 13, INK, "bold"), Label(MARGIN, 46, f"{length} frames at {fps:g} per second", 9, MUTED)]
    labels.append(Label(lefts[0], upper - 12, "original", 9.5, INK, "bold"))
    for left, (ratio, (_, answer)) in zip(lefts[1:], pairs.items()):
        labels.append(Label(left, upper - 12, f"{percent(ratio)} masked", 9.5, ACCENT, "bold"))
        labels.append(Label(left, lower - 12, f"PSNR {psnr(truth, answer):.1f} dB", 9, MUTED))
    labels.append(Label(lefts[0], lower - 12 + cell_h / 2, "reconstructed", 9.5, INK, "bold"))
    width, height = lefts[-1] + cell_w + MARGIN, lower + cell_h + GAP + BAR + MARGIN
    ground = draw_labels(width, height, labels)
    frames = np.empty((length, height, width, 3), np.uint8)
    for number in range(length):
        canvas = ground.copy()
        paste(canvas, cells[0][number], lefts[0], upper)
        for column, left in enumerate(lefts[1:]):
            paste(canvas, cells[1 + 2 * column][number], left, upper)
            paste(canvas, cells[2 + 2 * column][number], left, lower)
        _time_bar(canvas, (number + 1) / length)
        frames[number] = canvas
    return save_video(frames, path, fps)


def save_video(frames: np.ndarray, path: str | os.PathLike[str], fps: float) -> Path:
    """Write uint8 [T, H, W, 3] as an H.264 MP4 that browsers play; an odd side gets one more line of its border.

    Raises DataError for an array or a rate that is no video, RunError where the file cannot be written.
    """
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or 0 in frames.shape:
        raise DataError(f"{frames.dtype} {frames.shape} cannot be written as a video: give uint8 [T, H, W, 3]")
    if not fps > 0:
        raise DataError(f"a video of {fps} frames per second cannot be written: give a rate above 0")
    return write_whole(path, _encode(frames, Fraction(fps).limit_denominator(1001)))


def _encode(frames: np.ndarray, rate: Fraction) -> bytes:
    import av

    # 4:2:0 colour needs even sides
    padded = np.pad(frames, ((0, 0), (0, frames.shape[1] % 2), (0, frames.shape[2] % 2), (0, 0)), mode="edge")
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.height, stream.width, stream.pix_fmt = padded.shape[1], padded.shape[2], "yuv420p"
        stream.options = {"crf": "18", "preset": "medium", "threads": "1"}
        for image in padded:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")))
        container.mux(stream.encode())
    return buffer.getvalue()


def _time_bar(canvas: np.ndarray, share: float) -> None:
    height, width = canvas.shape[:2]
    top, right = height - MARGIN - BAR, width - MARGIN
    canvas[top : top + BAR, MARGIN:right] = TRACK
    canvas[top : top + BAR, MARGIN : MARGIN + round(share * (right - MARGIN))] = DONE
