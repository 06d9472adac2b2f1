"""A video that lies as picture files, one for each frame, and a single picture, read like a video file. Free of torch.

T frames, H height, W width, C colours.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from vidmodels.core.errors import DataError, MediaError, MediaLimitError
from vidmodels.data.decode import Frames, VideoReader
from vidmodels.data.probe import TRUSTED, Limits, VideoInfo, read_image
from vidmodels.data.storage import is_picture, join, list_files

_NUMBER = re.compile(r"(\d{1,18})\D*$")


class FrameReader:
    """Picture files in the order of time that answer times with frames, as VideoReader does.

    paths: one for each frame, local or in an object store; fps: frames per second; uri: the name of the whole; limits: what
    it may cost (None: those for trusted files). Pictures of another size are resized to that of the first. Raises DataError
    for no pictures, MediaError for one that cannot be read, MediaLimitError for too many or too large ones.
    """

    info: VideoInfo

    def __init__(self, paths: Sequence[str], fps: float, uri: str, limits: Limits | None = None) -> None:
        if not paths:
            raise DataError(f"{uri} has no frames: give at least one picture")
        self.paths, self.fps, self.uri = tuple(paths), fps, uri
        self.limits = limits or TRUSTED
        if len(self.paths) > self.limits.frames:
            raise MediaLimitError(f"{uri} has {len(self.paths)} frames, and the limit is {self.limits.frames}: give fewer")

    def __enter__(self) -> FrameReader:
        height, width = self._read(0).shape[:2]
        count = len(self.paths)
        self.info = VideoInfo(count / self.fps, self.fps, width, height, count, "pictures", "pictures", "rgb24")
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    def read(self, times: Sequence[float]) -> Frames:
        """The frames shown at `times` (seconds, in any order); times after the end repeat the last frame."""
        return self.read_many([times])[0]

    def read_many(self, requests: Sequence[Sequence[float]]) -> list[Frames]:
        """Several reads at once; a picture that two of them want is decoded once.

        Raises MediaError, and MediaLimitError where the answer would be larger than the limit.
        """
        size = sum(len(times) for times in requests) * self.info.height * self.info.width * 3
        if size > self.limits.decoded_bytes:
            raise MediaLimitError(f"{self.uri}: {size / 1e9:.1f} GB of frames are over the limit: ask for fewer at once")
        picks = [[self._pick(time) for time in times] for times in requests]
        shape = (self.info.height, self.info.width, 3)
        results = [Frames(np.empty((len(part), *shape), np.uint8), np.array(part, float) / self.fps) for part in picks]
        places: dict[int, list[tuple[int, int]]] = {}
        for i, part in enumerate(picks):
            for j, pick in enumerate(part):
                places.setdefault(pick, []).append((i, j))
        for pick in sorted(places):
            pixels = self._picture(pick)
            for i, j in places[pick]:
                results[i].frames[j] = pixels
        for result, times in zip(results, requests):
            result.repeated = self._repeated(times)
        return results

    def __iter__(self) -> Iterator[tuple[float, np.ndarray]]:
        """All frames as (time, uint8 [H, W, C]), one in memory at a time."""
        for number in range(len(self.paths)):
            yield number / self.fps, self._picture(number)

    def read_audio(self, start: float, end: float, rate: int | None = None) -> np.ndarray:
        """Pictures have no sound: raises MediaError, as a video without does."""
        raise MediaError(f"{self.uri} has no sound: pictures have none, give a video file")

    def sizes(self) -> Iterator[tuple[int, int]]:
        """Height and width of each picture as it is stored. Raises MediaError at the first that cannot be read."""
        for number in range(len(self.paths)):
            height, width = self._read(number).shape[:2]
            yield height, width

    def _pick(self, time: float) -> int:
        # a time may lie a rounding before its frame
        return min(max(int(time * self.fps + 1e-3), 0), len(self.paths) - 1)

    def _repeated(self, times: Sequence[float]) -> int:
        """How many of the last times lie after the end."""
        after = [time * self.fps + 1e-3 >= len(self.paths) for time in times]
        return next((count for count, late in enumerate(reversed(after)) if not late), len(after))

    def _picture(self, number: int) -> np.ndarray:
        picture = self._read(number)
        if picture.shape[:2] != (self.info.height, self.info.width):
            picture = cv2.resize(picture, (self.info.width, self.info.height), interpolation=cv2.INTER_LINEAR)
        return picture

    def _read(self, number: int) -> np.ndarray:
        try:
            return read_image(self.paths[number], self.limits)
        except MediaError as error:
            if self.paths[number] == self.uri:
                raise  # the error names the picture, which is the whole
            raise type(error)(f"frame {number} of {self.uri}: {error}") from error


def frame_paths(folder: str) -> tuple[str, ...]:
    """The pictures of a folder in the order of their numbers, for FrameReader.

    The last number in a name counts. Raises MediaError where one comes twice or the steps between them differ, because a
    picture that is missing would shift the times of all that follow.
    """
    try:
        names = [name for name, _ in list_files(folder) if is_picture(name) and "/" not in name]
    except DataError as error:
        raise MediaError(str(error)) from error
    if not names:
        raise MediaError(f"the folder {folder} holds no picture: give one with a picture for each frame")
    numbered: dict[int, str] = {}
    for name in names:
        found = _NUMBER.search(name.rsplit(".", 1)[0])
        if found is None:
            raise MediaError(f"{join(folder, name)} has no number: number the frames, as in 000001.jpg")
        number = int(found[1])
        if number in numbered:
            raise MediaError(f"{folder} has two frames of number {number}, {numbered[number]} and {name}: keep one video's")
        numbered[number] = name
    order = sorted(numbered)
    pairs = list(itertools.pairwise(order))
    step = min((after - before for before, after in pairs), default=1)
    for before, after in pairs:
        if after - before != step:
            raise MediaError(
                f"{folder} has a gap: after {numbered[before]} comes {numbered[after]}; add the frames that are missing"
            )
    return tuple(join(folder, numbered[number]) for number in order)


def open_sample(
    uri: str, fps: float | None = None, limits: Limits | None = None, thread_type: str = "NONE"
) -> VideoReader | FrameReader:
    """A reader, to be entered, of a video file, a folder of pictures at `fps`, or one picture (a video of one second).

    limits, thread_type: as of VideoReader. Raises MediaError for a folder that is no row of frames.
    """
    if is_picture(uri):
        return FrameReader((uri,), 1.0, uri, limits)
    if fps is not None:
        return FrameReader(frame_paths(uri), fps, uri, limits)
    return VideoReader(uri, limits, thread_type)
