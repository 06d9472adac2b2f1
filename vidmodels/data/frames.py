"""A video that lies as picture files, one for each frame, read like a video file. Free of torch.

T frames, H height, W width, C colours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from vidmodels.core.errors import DataError, MediaError
from vidmodels.data.decode import Frames
from vidmodels.data.probe import VideoInfo, read_image


class FrameReader:
    """Picture files in the order of time that answer times with frames, as VideoReader does.

    paths: one for each frame, local or in an object store; fps: frames per second; uri: the name of the whole. Pictures of
    another size are resized to that of the first. Raises DataError for no pictures, MediaError for one that cannot be read.
    """

    info: VideoInfo

    def __init__(self, paths: Sequence[str], fps: float, uri: str) -> None:
        if not paths:
            raise DataError(f"{uri} has no frames: give at least one picture")
        self.paths, self.fps, self.uri = tuple(paths), fps, uri

    def __enter__(self) -> FrameReader:
        height, width = read_image(self.paths[0]).shape[:2]
        count = len(self.paths)
        self.info = VideoInfo(count / self.fps, self.fps, width, height, count, "pictures", "pictures", "rgb24")
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    def read(self, times: Sequence[float]) -> Frames:
        """The frames shown at `times` (seconds, in any order); times after the end repeat the last frame."""
        last = len(self.paths) - 1
        # a time may lie a rounding before its frame
        picks = [min(max(int(time * self.fps + 1e-3), 0), last) for time in times]
        frames = np.empty((len(picks), self.info.height, self.info.width, 3), np.uint8)
        pixels: dict[int, np.ndarray] = {}
        for place, pick in enumerate(picks):
            if pick not in pixels:
                pixels = {pick: self._picture(pick)}
            frames[place] = pixels[pick]
        after = [time * self.fps + 1e-3 >= len(self.paths) for time in times]
        repeated = next((count for count, late in enumerate(reversed(after)) if not late), len(after))
        return Frames(frames, np.array(picks) / self.fps, repeated)

    def __iter__(self) -> Iterator[tuple[float, np.ndarray]]:
        """All frames as (time, uint8 [H, W, C]), one in memory at a time."""
        for number in range(len(self.paths)):
            yield number / self.fps, self._picture(number)

    def _picture(self, number: int) -> np.ndarray:
        try:
            picture = read_image(self.paths[number])
        except MediaError as error:
            raise MediaError(f"frame {number} of {self.uri}: {error}") from error
        if picture.shape[:2] != (self.info.height, self.info.width):
            picture = cv2.resize(picture, (self.info.width, self.info.height), interpolation=cv2.INTER_LINEAR)
        return picture
