"""Writing of a video frame by frame, for videos that do not fit into memory.

H height, W width, C colours.
"""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import numpy as np

from vidmodels.core.errors import DataError, RunError

TICKS = 90_000  # of a second, fine enough for the times of any frame rate


class VideoWriter:
    """An H.264 MP4 that grows by `write` and appears at `path` when the `with` block ends without an error.

    fps: frames per second. An odd side gets one more line of its border. Raises DataError for a rate that is no rate and
    frames of another size, RunError where the file cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str], fps: float) -> None:
        if not 0 < fps < 1001:
            raise DataError(f"a video of {fps} frames per second cannot be written: give a rate from above 0 to 1000")
        self.path = Path(path)
        self._aside = self.path.with_name(f".{self.path.name}.{os.getpid()}.tmp")
        self._rate = Fraction(fps).limit_denominator(1001)
        self._shape: tuple[int, ...] | None = None
        self._count, self._last = 0, -1

    def __enter__(self) -> VideoWriter:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._container = av.open(str(self._aside.absolute()), "w", format="mp4")
        except OSError as error:
            raise self._unwritable(error) from None
        return self

    def write(self, frame: np.ndarray, time: float | None = None) -> None:
        """Append one frame, uint8 [H, W, 3], shown at `time` (seconds, growing; default: evenly at `fps`)."""
        if self._shape is None:
            self._open_stream(frame)
        if frame.shape != self._shape or frame.dtype != np.uint8:
            raise DataError(f"{frame.dtype} {frame.shape} does not go on a video of uint8 {self._shape}: give equal frames")
        padded = np.pad(frame, ((0, frame.shape[0] % 2), (0, frame.shape[1] % 2), (0, 0)), mode="edge")
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(padded), format="rgb24")
        ticks = round(TICKS * (self._count / float(self._rate) if time is None else time))
        picture.pts, picture.time_base = max(ticks, self._last + 1), Fraction(1, TICKS)
        self._count, self._last = self._count + 1, picture.pts
        try:
            self._container.mux(self._stream.encode(picture))
        except OSError as error:
            raise self._unwritable(error) from None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if kind is None and self._shape is not None:
                self._container.mux(self._stream.encode())
            self._container.close()
            if kind is None:
                self._aside.replace(self.path)
        except OSError as problem:
            raise self._unwritable(problem) from None
        finally:
            self._aside.unlink(missing_ok=True)

    def _open_stream(self, frame: np.ndarray) -> None:
        if frame.ndim != 3 or frame.shape[-1] != 3 or 0 in frame.shape:
            raise DataError(f"a frame of shape {frame.shape} cannot be written: give [H, W, 3]")
        self._shape = frame.shape
        self._stream = self._container.add_stream("libx264", rate=self._rate)
        self._stream.height, self._stream.width = frame.shape[0] + frame.shape[0] % 2, frame.shape[1] + frame.shape[1] % 2
        self._stream.codec_context.time_base = Fraction(1, TICKS)
        self._stream.pix_fmt = "yuv420p"  # 4:2:0 colour needs even sides
        self._stream.options = {"crf": "20", "preset": "veryfast", "threads": "1"}

    def _unwritable(self, error: OSError) -> RunError:
        return RunError(f"cannot write {self.path}: {error.strerror or error}; free some space or choose another folder")
