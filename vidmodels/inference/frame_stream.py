"""Windows of a model over frames that come one by one, as from a camera: what is kept does not grow. Free of torch.

T frames of a clip, H height, W width, S side of the model's crop, C colours.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from vidmodels.core.entry import InputSpec
from vidmodels.core.errors import ConfigError, DataError
from vidmodels.data.geometry import crop_and_resize, spatial_crop

PAUSE = 10.0
"""Seconds without a frame that no window spans: of a jump in time there would be windows without end."""


@dataclass(frozen=True)
class FrameWindow:
    """A clip of the frames from `start` to `end` (seconds). number: from 0; clip: uint8 [T, S, S, C]."""

    number: int
    start: float
    end: float
    clip: np.ndarray


def as_view(frame: np.ndarray, size: int) -> np.ndarray:
    """The centre of a frame uint8 [H, W, C] as the model takes it, [S, S, C]; one of that size stays as it is."""
    if frame.shape[:2] == (size, size):
        return frame
    return crop_and_resize(frame[None], spatial_crop(frame.shape[0], frame.shape[1], 0, 1), size)[0]


class FrameStream:
    """Cuts pushed frames into the windows that `window_spans` cuts a video into.

    spec: the model's input; fps: frames per second of the source; hop: seconds from window to window, default end to end. A
    window is complete with the first frame at or after its last time; it has for each of its times the newest frame that was
    there. After a pause of more than PAUSE seconds windows begin anew. Raises ConfigError for settings that give no windows.
    """

    def __init__(self, spec: InputSpec, fps: float = 30.0, hop: float | None = None) -> None:
        if not 1 / PAUSE <= fps <= 1000:
            raise ConfigError(f"{fps:g} frames per second give no windows: give a number from {1 / PAUSE:g} to 1000")
        if hop is not None and not hop > 0:
            raise ConfigError(f"windows {hop:g} s apart never reach the end: give a time above 0")
        self.spec = spec
        self.step = spec.frame_stride / (spec.fps or fps)
        self.length = spec.num_frames * self.step
        # whole frames of the source apart, as `window_spans`
        self.hop = max(1, round((self.length if hop is None else hop) * fps)) / fps
        self.number = 0
        """The number of the next window."""
        self._slack = 0.25 / fps
        self._frames: deque[tuple[float, np.ndarray]] = deque()
        self._origin: float | None = None

    @property
    def frames(self) -> list[tuple[float, np.ndarray]]:
        """What is kept: times and frames uint8 [S, S, C], of which the first may lie before the next window."""
        return list(self._frames)

    @property
    def origin(self) -> float | None:
        """The time of the first frame, from which windows are counted."""
        return self._origin

    def push(self, time: float, frame: np.ndarray) -> list[FrameWindow]:
        """Take a frame uint8 [H, W, C] at `time` (seconds, growing); the windows that it completes.

        Raises DataError for a time that does not grow, and for something that is no frame.
        """
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
            raise DataError(f"a frame is uint8 [H, W, 3], not {frame.dtype} {list(frame.shape)}")
        if not np.isfinite(time) or (self._frames and time <= self._frames[-1][0]):
            raise DataError(f"a frame at {time:g} s does not follow one at {self.newest:g} s: times must grow")
        if self._origin is None or time - self.newest > PAUSE:
            self._frames.clear()
            self._origin = time - self.number * self.hop
        self._frames.append((time, as_view(frame, self.spec.view_size)))
        found = []
        while time >= self._last_of(self.number) - self._slack:
            found.append(self._window())
            self.number += 1
            self._forget()
        return found

    @property
    def newest(self) -> float:
        """The time of the newest frame; minus infinity before the first."""
        return self._frames[-1][0] if self._frames else -np.inf

    def restore(self, number: int, origin: float | None, frames: list[tuple[float, np.ndarray]]) -> None:
        """Go on as a stream that had this `number` of windows, this `origin`, and these `frames`."""
        self.number, self._origin, self._frames = number, origin, deque(frames)

    def _start_of(self, number: int) -> float:
        assert self._origin is not None
        return self._origin + number * self.hop

    def _last_of(self, number: int) -> float:
        return self._start_of(number) + (self.spec.num_frames - 1) * self.step

    def _window(self) -> FrameWindow:
        start = self._start_of(self.number)
        times = np.array([time for time, _ in self._frames])
        wanted = start + self.step * np.arange(self.spec.num_frames)
        picks = np.searchsorted(times, wanted + self._slack, side="right") - 1
        clip = np.stack([self._frames[max(pick, 0)][1] for pick in picks])
        return FrameWindow(self.number, start, start + self.length, clip)

    def _forget(self) -> None:
        """Drop frames that no later window can want: all before the newest one at the next start."""
        start = self._start_of(self.number) + self._slack
        while len(self._frames) > 1 and self._frames[1][0] <= start:
            self._frames.popleft()
