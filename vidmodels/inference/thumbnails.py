"""Small pictures of videos, for sheets that show many of them.

T frames, H height, W width.
"""

from __future__ import annotations

import cv2
import numpy as np

from vidmodels.data.frames import open_sample
from vidmodels.visual.canvas import BACKGROUND, rgb

GROUND = rgb(BACKGROUND)
"""Colour beside a picture of other proportions: that of the sheets."""


def read_thumbnails(uri: str, start: float, end: float, count: int, size: tuple[int, int] | None, side: int) -> np.ndarray:
    """`count` frames evenly over a part of a video (seconds), each whole within a box, uint8 [T, H, W, 3].

    size: height and width of the box; None: that of the video, its long side `side`. Raises MediaError and DataError.
    """
    times = start + (np.arange(count) + 0.5) / count * max(end - start, 0.0)
    with open_sample(uri) as video:
        if size is None:
            scale = side / max(video.info.height, video.info.width)
            size = max(1, round(video.info.height * scale)), max(1, round(video.info.width * scale))
        return np.stack([_boxed(frame, size) for frame in video.read(times.tolist()).frames])


def _boxed(frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    height, width = size
    scale = min(height / frame.shape[0], width / frame.shape[1])
    new = (min(width, max(1, round(frame.shape[1] * scale))), min(height, max(1, round(frame.shape[0] * scale))))
    small = cv2.resize(frame, new, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    box = np.full((height, width, 3), GROUND, np.uint8)
    top, left = (height - small.shape[0]) // 2, (width - small.shape[1]) // 2
    box[top : top + small.shape[0], left : left + small.shape[1]] = small
    return box
