"""Where the windows of a model lie in a video, and their frames as the model's input.

N clips, T frames, H height, W width, S side of the model's crop, C colours. Free of torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from vidmodels.core.entry import InputSpec
from vidmodels.core.errors import ConfigError
from vidmodels.core.recipe import ClipSection
from vidmodels.data.decode import VideoReader
from vidmodels.data.frames import FrameReader
from vidmodels.data.geometry import crop_and_resize, spatial_crop
from vidmodels.data.probe import VideoInfo
from vidmodels.data.sampling import request_span, view_requests

Video = VideoReader | FrameReader
DECODED_BYTES = 256_000_000
"""About how much memory the full-size frames of the clips in hand may take; a single clip may take more."""


@dataclass(frozen=True)
class Span:
    """One clip: the times of its frames, and the span that it stands for, all in seconds."""

    times: tuple[float, ...]
    start: float
    end: float


def view_spans(info: VideoInfo, spec: InputSpec, num_clips: int) -> list[Span]:
    """`num_clips` clips evenly over a video (one: in the middle), the test views of the papers."""
    if num_clips < 1:
        raise ConfigError(f"{num_clips} clips of a video cannot be taken: give 1 or more")
    clip = ClipSection(
        num_frames=spec.num_frames, frame_stride=spec.frame_stride, fps=spec.fps, size=spec.size, sampling=spec.sampling
    )
    requests = view_requests(info.duration, info.fps, clip, num_clips)
    return [Span(request.times, *request_span(request, info.duration, info.fps)) for request in requests]


def window_spans(info: VideoInfo, spec: InputSpec, stride: float | None = None) -> Iterator[Span]:
    """Windows of the model's clip length over a whole video, `stride` seconds apart (default: end to end).

    The last one ends with the video. A video shorter than a window gives one. Raises ConfigError for a stride of 0 or less.
    """
    length = window_seconds(info, spec)
    frames = max(1, round(info.duration * info.fps))
    step = _step(info, spec)
    # in whole frames of the video: a start between two frames would make the picks depend on rounding
    span = round((spec.num_frames - 1) * step * info.fps) + 1
    if stride is not None and not stride > 0:
        raise ConfigError(f"windows {stride:g} s apart never reach the end of a video: give a stride above 0")
    hop = max(1, round((length if stride is None else stride) * info.fps))
    first = 0
    while True:
        start = first / info.fps
        times = tuple(start + i * step for i in range(spec.num_frames))
        yield Span(times, start, min(start + length, max(info.duration, start)))
        if first + max(span, round(length * info.fps)) >= frames or first >= frames - span:
            return
        first = min(first + hop, frames - span)


def moved(spans: Iterable[Span], by: float) -> Iterator[Span]:
    """Spans `by` seconds later."""
    for span in spans:
        yield Span(tuple(time + by for time in span.times), span.start + by, span.end + by)


def window_seconds(info: VideoInfo, spec: InputSpec) -> float:
    """How long a clip of the model lasts in this video."""
    return spec.num_frames * _step(info, spec)


def _step(info: VideoInfo, spec: InputSpec) -> float:
    return spec.frame_stride / (spec.fps or info.fps)


def read_clips(
    video: Video, spans: Iterator[Span] | Sequence[Span], spec: InputSpec, num_crops: int, batch_size: int
) -> Iterator[tuple[list[Span], np.ndarray]]:
    """Groups of spans with their clips uint8 [spans * num_crops, T, S, S, C], crops of a span side by side.

    At most `batch_size` clips are in a group, fewer where frames are large. Raises MediaError.
    """
    if num_crops not in (1, 3):
        raise ConfigError(f"{num_crops} crops cannot be taken: choose 1 (the centre) or 3 (along the long side)")
    clip_bytes = spec.num_frames * video.info.height * video.info.width * 3
    most = max(1, min(batch_size // num_crops, DECODED_BYTES // max(clip_bytes, 1)))
    group: list[Span] = []
    for span in spans:
        group.append(span)
        if len(group) == most:
            yield group, _clips(video, group, spec, num_crops)
            group = []
    if group:
        yield group, _clips(video, group, spec, num_crops)


def _clips(video: Video, group: list[Span], spec: InputSpec, num_crops: int) -> np.ndarray:
    decoded = video.read_many([span.times for span in group])
    clips = np.empty((len(group) * num_crops, spec.num_frames, spec.view_size, spec.view_size, 3), np.uint8)
    for i, part in enumerate(decoded):
        height, width = part.frames.shape[1:3]
        for j in range(num_crops):
            crop = spatial_crop(height, width, j, num_crops)
            crop_and_resize(part.frames, crop, spec.view_size, out=clips[i * num_crops + j])
    return clips
