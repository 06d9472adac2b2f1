"""The clip around a key frame: its times, and its whole frames at the size that a detector is tested with. Free of torch.

N clips, T frames, H height, W width, C colours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import cv2
import numpy as np

from vidmodels.core.clip import ClipRequest
from vidmodels.core.entry import InputSpec
from vidmodels.core.recipe import ClipSection
from vidmodels.data.decode import Frames
from vidmodels.data.geometry import short_side
from vidmodels.data.probe import VideoInfo

FULL_SIZE_BYTES = 64_000_000
"""About how much memory frames take before they are resized; one frame may take more."""


class FrameSource(Protocol):
    """What answers times with frames: an open VideoReader or FrameReader."""

    uri: str
    info: VideoInfo

    def read(self, times: Sequence[float]) -> Frames:
        """The frames shown at these times in seconds."""


def centred_request(time: float, spec: InputSpec | ClipSection, info: VideoInfo) -> ClipRequest:
    """The clip of T frames around a key frame at `time` seconds: from T * stride / 2 frames before it in steps of the stride.

    Frames count at `spec.fps`, by default the video's own; what lies before the first or after the last frame is that one
    (the windows of AVA: SlowFast, section 5).
    """
    fps = spec.fps or info.fps
    start = round(time * fps) - spec.num_frames * spec.frame_stride // 2
    last = max(1, round(info.duration * fps)) - 1
    picks = (min(max(start + number * spec.frame_stride, 0), last) for number in range(spec.num_frames))
    return ClipRequest(tuple(pick / fps for pick in picks))


def resize(frame: np.ndarray, height: int, width: int) -> np.ndarray:
    """A frame uint8 [H, W, C] as [height, width, C], bilinear between pixel centres without averaging, as published."""
    if frame.shape[:2] == (height, width):
        return frame
    return cv2.resize(frame, (width, height), interpolation=cv2.INTER_LINEAR)


def read_whole_frames(video: FrameSource, requests: Sequence[ClipRequest], size: int) -> np.ndarray:
    """Clips uint8 [N, T, h, w, C] of whole frames with a short side of `size`.

    A frame that several clips want is decoded once, and few are in memory before they are resized. Raises MediaError.
    """
    height, width = short_side(video.info.height, video.info.width, size)
    places: dict[float, list[tuple[int, int]]] = {}
    for i, request in enumerate(requests):
        for j, time in enumerate(request.times):
            places.setdefault(time, []).append((i, j))
    clips = np.empty((len(requests), len(requests[0].times), height, width, 3), np.uint8)
    times = sorted(places)
    at_once = max(1, FULL_SIZE_BYTES // (video.info.height * video.info.width * 3))
    for begin in range(0, len(times), at_once):
        part = times[begin : begin + at_once]
        for time, frame in zip(part, video.read(part).frames):
            small = resize(frame, height, width)
            for place in places[time]:
                clips[place] = small
    return clips
