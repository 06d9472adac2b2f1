"""Exact frames of a video by presentation time, decoding as little as the codec allows.

T frames, H height, W width, C colours (RGB), S audio samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import av
import numpy as np

from vidmodels.core.errors import MediaError, MediaLimitError
from vidmodels.data.audio import read_sound
from vidmodels.data.probe import TRUSTED, Limits, VideoInfo, open_container, packets_end, reason, turned, video_stream

BLIND_SEEK = 5.0
"""Seconds of gap from which a seek is tried in a file without an index of its keyframes."""


@dataclass
class Frames:
    """Decoded frames.

    frames: uint8 [T, H, W, C] RGB, upright; times: float64 [T], their true presentation times in seconds from the
    video's first frame; repeated: how many trailing frames repeat the last one because the video ended.
    """

    frames: np.ndarray
    times: np.ndarray
    repeated: int = 0


@dataclass(frozen=True)
class _Shown:
    """A decoded frame and the span of time in which it is shown, in seconds."""

    frame: av.VideoFrame
    time: float
    end: float


class VideoReader:
    """An open video that answers times with frames.

    uri: path or object-store URI; limits: what the video may cost (None: those for trusted files);
    thread_type: 'NONE' where one process per core decodes, 'AUTO' for the shortest answer to one request.
    Frames come upright (the rotation flag is applied) and as 8-bit RGB; a video that changes its size midway is
    resized to the size of its first frame. Raises MediaError and MediaLimitError on opening and on reading.
    """

    info: VideoInfo

    def __init__(self, uri: str, limits: Limits | None = None, thread_type: str = "NONE") -> None:
        self.uri = uri
        self.limits = limits or TRUSTED
        self._thread_type = thread_type
        self._stack = ExitStack()
        self._current: _Shown | None = None

    def __enter__(self) -> VideoReader:
        try:
            self._open()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *exc) -> None:
        self._stack.close()

    def read(self, times: Sequence[float]) -> Frames:
        """The frames shown at `times` (seconds, in any order); times after the end repeat the last frame."""
        return self.read_many([times])[0]

    def read_many(self, requests: Sequence[Sequence[float]]) -> list[Frames]:
        """Several reads in one pass over the video; a frame that two of them want is decoded once.

        Raises MediaError where the file is damaged before a wanted time or ends earlier than its header says, and
        MediaLimitError where the answer would be larger than the limit.
        """
        self._check_bytes(sum(len(times) for times in requests))
        shape = (self.info.height, self.info.width, 3)
        results = [Frames(np.empty((len(t), *shape), np.uint8), np.empty(len(t), np.float64)) for t in requests]
        places: dict[float, list[tuple[int, int]]] = {}
        for i, times in enumerate(requests):
            for j, time in enumerate(times):
                places.setdefault(float(time), []).append((i, j))
        shown, pixels = None, None
        for time in sorted(places):
            found = self._advance(time + self._tolerance)
            if found is not shown:
                shown, pixels = found, self._pixels(found.frame)
            for i, j in places[time]:
                results[i].frames[j] = pixels
                results[i].times[j] = found.time
        for result, times in zip(results, requests):
            result.repeated = self._repeated(times)
        return results

    def __iter__(self) -> Iterator[tuple[float, np.ndarray]]:
        """All frames from the first to the last as (time, uint8 [H, W, C]), one in memory at a time."""
        for shown in self.walk():
            yield shown.time, self._pixels(shown.frame)

    def walk(self) -> Iterator[_Shown]:
        """All frames from the first to the last, not yet converted. Raises MediaError at damage or an early end."""
        if self._sought or self._position > 1 or self._current is None:
            self._reopen()
        shown: _Shown | None = self._current
        while shown is not None:
            yield shown
            self._current, shown = shown, self._next()
        self._check_end()

    def read_audio(self, start: float, end: float, rate: int | None = None) -> np.ndarray:
        """Sound from `start` to `end` (seconds on the clock of the frames) as float32 [channels, S]; gaps are silent.

        rate: resampled to this many Hz; default: the sound's own. Raises MediaError where the video has no sound.
        """
        size = max(end - start, 0.0) * (rate or self.info.audio_rate) * self.info.audio_channels * 4
        if size > self.limits.decoded_bytes:
            raise MediaLimitError(f"{self.uri}: {end - start:.6g} s of sound are over the limit: ask for less at once")
        self._current = None  # the container is one: reading sound moves it
        return read_sound(self._container, self.uri, start, end, rate, self._origin * self._tick)

    # -- opening and moving --------------------------------------------------------------------------------------

    def _open(self) -> None:
        self._container, header = self._stack.enter_context(open_container(self.uri, self.limits))
        self._stream = video_stream(self._container, self.uri)
        self._stream.thread_type = self._thread_type
        if self._thread_type == "NONE":
            self._stream.thread_count = 1
        self._reformatter = av.video.reformatter.VideoReformatter()
        self._size = (header.width, header.height)
        self._tick = float(self._stream.time_base or 0)
        # times are rounded to ticks in the file: a wanted time may lie a rounding before its frame
        self._tolerance = min(max(self._tick, 1e-3), 0.25 / header.fps)
        self._blind = True
        self._delay = 0  # ticks from a keyframe's place in the order of decoding to when it is shown
        self.info = header
        self._start_walk(sought=False)
        # the origin of all times is the first frame; a file without times is counted by its average rate
        self._origin, self._timed = 0, True
        first = self._next()
        if first is None:
            raise MediaError(f"{self.uri} holds no frame that can be decoded: replace the file")
        self.info = turned(header, first.frame.rotation)
        self._current = first

    def _reopen(self) -> None:
        self._stack.close()
        self._open()

    def _start_walk(self, sought: bool) -> None:
        """Decode from where the container stands: its start, or wherever a seek went."""
        self._walker = self._decoded(sought)
        self._sought = sought
        self._position = 0  # frames since the walk began
        self._newest = -(1 << 62)  # time stamp of the newest packet given to the decoder
        self._last: _Shown | None = None
        self._ahead: _Shown | None = None  # decoded, but later than what was wanted
        self._ended = False

    def _advance(self, limit: float) -> _Shown:
        """The last frame that appears at or before `limit` (the first one where none does)."""
        if self._current is None or self._current.time > limit or self._worth_a_seek(limit):
            self._seek(limit)
        current = self._current
        assert current is not None
        while not self._ended and current.time < limit - 2 * self._tolerance:
            following = self._ahead or self._next()
            self._ahead = None
            if following is None:
                self._check_end()
            elif following.time > limit:
                self._ahead = following
                break
            else:
                current = following
        self._current = current
        return current

    def _worth_a_seek(self, limit: float) -> bool:
        """Whether a keyframe lies between here and `limit`, so that a seek saves decoding."""
        assert self._current is not None
        stamp, entries = self._stamp(limit), self._stream.index_entries
        if len(entries):
            # the index is in the order of decoding: a keyframe that is shown after `limit` is none on the way to it
            nearest = entries.search_timestamp(stamp - self._delay, backward=True)
            if nearest >= 0 and (entries[nearest].timestamp - self._newest) * self._tick > 4 / self.info.fps:
                return True
            if entries[len(entries) - 1].timestamp >= stamp:
                return False  # the index reaches as far as the wanted time and knows no keyframe on the way
        return self._blind and limit - self._current.time > BLIND_SEEK

    def _seek(self, limit: float) -> None:
        """Stand at a keyframe at or before `limit`: the nearest that the container finds, else its start."""
        before = self._current.time if self._current is not None else 0.0
        stamp = self._stamp(limit)
        for attempt in range(4):
            if not self._timed or stamp < self._origin:
                break
            try:
                self._container.seek(stamp, backward=True, stream=self._stream)
            except av.error.FFmpegError:
                break
            self._start_walk(sought=True)
            landed = self._next()
            if landed is not None and landed.time <= limit:
                self._current = landed
                # a seek that went back behind where we were costs more than it saves: do not try again
                self._blind = self._blind and not (before < limit and landed.time <= before)
                return
            # some containers land after the wanted frame (frames are ordered by decoding, not by showing)
            stamp = min(stamp, self._newest if landed is not None else stamp) - 1 - attempt * round(2 / self._tick)
        self._reopen()

    def _stamp(self, time: float) -> int:
        return self._origin + int(time / self._tick) if self._tick else 0

    # -- decoding ------------------------------------------------------------------------------------------------

    def _decoded(self, sought: bool) -> Iterator[av.VideoFrame]:
        """Frames in the order of showing; after a seek from the first keyframe on."""
        floor: int | None = None
        for packet in self._container.demux(self._stream):
            if sought and packet.size:
                if not packet.is_keyframe:
                    continue
                sought, floor = False, packet.pts
            if packet.dts is not None:
                self._newest = packet.dts
                if packet.is_keyframe and packet.pts is not None:
                    self._delay = max(self._delay, packet.pts - packet.dts)
            for frame in packet.decode():
                # frames shown before the keyframe lean on what was skipped (open group of pictures)
                if floor is None or frame.pts is None or frame.pts >= floor:
                    yield frame

    def _next(self) -> _Shown | None:
        """The next frame, or None at the end. Raises MediaError at damage."""
        try:
            frame = next(self._walker, None)
        except (av.error.FFmpegError, ValueError) as error:
            at = self._last.end if self._last is not None else 0.0
            if self._position == 0 or at < self.info.duration - self._slack:
                raise MediaError(f"{self.uri} is damaged at {at:.2f} s ({reason(error)}): replace the file") from error
            frame = None  # damage in the very last frames: the end
        if frame is None:
            self._ended = True
            return None
        if frame.width > self.limits.width or frame.height > self.limits.height:
            raise MediaLimitError(
                f"{self.uri} holds a frame of {frame.width}x{frame.height}, and the limit is "
                f"{self.limits.width}x{self.limits.height}: give a smaller video"
            )
        shown = self._timed_frame(frame)
        self._position += 1
        if self._position > self.limits.frames:
            raise MediaLimitError(f"{self.uri} holds more than {self.limits.frames} frames, the limit: cut it")
        self._last = shown
        return shown

    def _timed_frame(self, frame: av.VideoFrame) -> _Shown:
        stamp = frame.dts if frame.pts is None else frame.pts
        first = self._position == 0 and not self._sought
        if first:
            self._timed, self._origin = stamp is not None and self._tick > 0, stamp or 0
        if self._timed and stamp is not None:
            time = (stamp - self._origin) * self._tick
        else:
            time = 0.0 if self._last is None else self._last.time + 1 / self.info.fps
        return _Shown(frame, time, time + (frame.duration * self._tick or 1 / self.info.fps))

    def _pixels(self, frame: av.VideoFrame) -> np.ndarray:
        """uint8 [H, W, C], upright and in the size of the first frame."""
        # 0, as many threads as cores, is the default: they cost several times what they save where decoders share the cores
        threads = 1 if self._thread_type == "NONE" else 0
        pixels = self._reformatter.reformat(frame, *self._size, format="rgb24", threads=threads).to_ndarray()
        return np.rot90(pixels, self.info.rotation // 90) if self.info.rotation else pixels

    # -- the end -------------------------------------------------------------------------------------------------

    @property
    def _slack(self) -> float:
        """Seconds by which header and content may differ in a sound file."""
        return max(3 / self.info.fps, 0.02 * self.info.duration)

    def _check_end(self) -> None:
        """Raise MediaError where the frames ended earlier than the header says: FFmpeg does not tell."""
        end = self._last.end if self._last is not None else 0.0
        expected = self.info.num_frames
        if not self._sought and expected is not None and self._position < expected - max(1, expected // 50):
            raise MediaError(
                f"{self.uri} is cut off or damaged: its header promises {expected} frames, and {self._position} can be "
                "decoded; replace the file"
            )
        missing = self.info.duration - end
        if missing > self._slack and not self._only_sound_follows(end):
            raise MediaError(
                f"{self.uri} is cut off or damaged: its header promises {self.info.duration:.2f} s, and its frames end "
                f"at {end:.2f} s; replace the file"
            )

    def _only_sound_follows(self, end: float) -> bool:
        """Whether the header's duration is that of a longer sound: then all packets are there."""
        if not self.info.has_audio:
            return False
        pictures, everything = packets_end(self.uri, self.limits)
        return pictures <= end + self._slack and everything >= self.info.duration - self._slack

    def _repeated(self, times: Sequence[float]) -> int:
        """How many of the trailing times lie after the end of the video."""
        if not self._ended or self._last is None:
            return 0
        count = 0
        for time in reversed(times):
            if time + self._tolerance < self._last.end:
                break
            count += 1
        return count

    def _check_bytes(self, count: int) -> None:
        size = count * self.info.height * self.info.width * 3
        if size > self.limits.decoded_bytes:
            raise MediaLimitError(
                f"{self.uri}: {count} frames of {self.info.width}x{self.info.height} are {size:.3g} bytes, and the "
                f"limit is {self.limits.decoded_bytes:.3g}: ask for fewer frames at once"
            )
