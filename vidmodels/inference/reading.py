"""The windows of a stranger's video, read by a child of a nursery: what a service computes on. Free of torch.

N windows, T frames, S side of a model's crop, C colours, A audio samples.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import tempfile
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from vidmodels.core.entry import AudioSpec, InputSpec
from vidmodels.core.errors import MediaError, MediaLimitError
from vidmodels.data.boxed_clips import centred_request, read_whole_frames
from vidmodels.data.frames import open_sample
from vidmodels.data.hearing import read_spans
from vidmodels.data.nursery import Nursery
from vidmodels.data.probe import UNTRUSTED, Limits, VideoInfo, read_image
from vidmodels.data.storage import is_picture
from vidmodels.data.synthetic.encode import encode_mp4
from vidmodels.inference.frame_stream import as_view
from vidmodels.inference.windows import Span, Video, read_clips, view_spans, window_seconds, window_spans

T = TypeVar("T")
HANDLER = "vidmodels.inference.reading:obey"


@dataclass(frozen=True)
class Views:
    """What is taken of a video: `num_clips` clips evenly over it, or (None) windows `stride` seconds apart over all of it.

    num_crops: crops of each, 1 or 3; batch: clips of one message; most: windows of one video.
    """

    num_clips: int | None = None
    num_crops: int = 1
    stride: float | None = None
    batch: int = 8
    most: int = 1200


@dataclass(frozen=True)
class Group:
    """Some windows of a video, in their order.

    spans: N; clips: uint8 [N * crops, T, S, S, C], crops of a window side by side; waves: float32 [N, A], the sound of each
    for a model that hears (zeros: none), else None.
    """

    spans: tuple[Span, ...]
    clips: np.ndarray
    waves: np.ndarray | None = None


def read_video(
    nursery: Nursery, uri: str, name: str, spec: InputSpec, views: Views, limits: Limits = UNTRUSTED
) -> AsyncGenerator[VideoInfo | Group, None]:
    """The header of a video, then its windows in groups, decoded and cropped in a child.

    nursery: made for HANDLER. name: what errors call the video. Raises MediaError and MediaLimitError.
    """
    order = {"do": "windows", "uri": uri, "spec": dataclasses.asdict(spec), "views": dataclasses.asdict(views),
             "limits": dataclasses.asdict(limits)}  # fmt: skip
    return _parts(nursery, order, name, _group)


@dataclass(frozen=True)
class Moments:
    """Clips around key frames. numbers: which of the key frames that were asked for; clips: uint8 [N, T, H, W, C], whole."""

    numbers: tuple[int, ...]
    clips: np.ndarray


def read_moments(
    nursery: Nursery, uri: str, name: str, spec: InputSpec, times: Sequence[float], limits: Limits = UNTRUSTED, batch: int = 4
) -> AsyncGenerator[VideoInfo | Moments, None]:
    """The header of a video, then the clips around key frames (seconds) as a detector of actions takes them, in groups.

    Raises MediaError and MediaLimitError.
    """
    order = {"do": "moments", "uri": uri, "spec": dataclasses.asdict(spec), "times": list(times), "batch": batch,
             "limits": dataclasses.asdict(limits)}  # fmt: skip

    def part(header: dict[str, Any], body: bytes) -> Moments:
        return Moments(tuple(int(number) for number in header["numbers"]), _array(header, body))

    return _parts(nursery, order, name, part)


def read_frames(
    nursery: Nursery, uri: str, name: str, size: int, limits: Limits = UNTRUSTED, batch: int = 32
) -> AsyncGenerator[VideoInfo | list[tuple[float, np.ndarray]], None]:
    """The header of a video, then all of its frames in groups: seconds and uint8 [S, S, C], cropped by `as_view` in a child.

    Raises MediaError and MediaLimitError.
    """
    order = {"do": "frames", "uri": uri, "size": size, "batch": batch, "limits": dataclasses.asdict(limits)}

    def part(header: dict[str, Any], body: bytes) -> list[tuple[float, np.ndarray]]:
        times = [float(time) for time in header["times"]]
        return list(zip(times, np.frombuffer(body, np.uint8).reshape(len(times), size, size, 3)))

    return _parts(nursery, order, name, part)


async def read_picture(nursery: Nursery, uri: str, name: str, limits: Limits = UNTRUSTED) -> np.ndarray:
    """A picture as uint8 [H, W, 3], decoded in a child. Raises MediaError and MediaLimitError."""
    header, body = await nursery.ask({"do": "picture", "uri": uri, "limits": dataclasses.asdict(limits)}, name)
    with _understood(name):
        return _array(header, body)


async def probe_video(nursery: Nursery, uri: str, name: str, limits: Limits = UNTRUSTED) -> VideoInfo:
    """The header of a video, its first frame decoded in a child. Raises MediaError and MediaLimitError."""
    header, _ = await nursery.ask({"do": "probe", "uri": uri, "limits": dataclasses.asdict(limits)}, name)
    with _understood(name):
        return VideoInfo(**header["info"])


async def _parts(
    nursery: Nursery, order: dict[str, Any], name: str, part: Callable[[dict[str, Any], bytes], T]
) -> AsyncGenerator[VideoInfo | T, None]:
    """The header of a video, then what `part` makes of each further message of a child."""
    async with contextlib.aclosing(nursery.stream(order, name)) as messages:
        async for header, body in messages:
            with _understood(name):
                found = VideoInfo(**header["info"]) if "info" in header else part(header, body)
            yield found


@contextlib.contextmanager
def _understood(name: str) -> Iterator[None]:
    """What a child says is not trusted: MediaError for an answer of another form."""
    try:
        yield
    except (KeyError, TypeError, ValueError) as error:
        raise MediaError(f"{name}: its decoder gave a broken answer: replace the file") from error


def _array(header: dict[str, Any], body: bytes) -> np.ndarray:
    return np.frombuffer(body, np.uint8).reshape([int(side) for side in header["shape"]])


def _group(header: dict[str, Any], body: bytes) -> Group:
    spans = tuple(Span(tuple(times), start, end) for times, start, end in header["spans"])
    shape = tuple(int(side) for side in header["shape"])
    size = int(np.prod(shape))
    clips = np.frombuffer(body, np.uint8, size).reshape(shape)
    waves = np.frombuffer(body, np.float32, offset=size).reshape(len(spans), -1) if header["sound"] else None
    return Group(spans, clips, waves)


# -- in the child ----------------------------------------------------------------------------------------------------


def prepare() -> None:
    """Read a picture and a video of our own before any child is forked.

    Each child would import the readers of pictures itself (80 ms), and find its way into the decoders (3 ms).
    """
    import av
    import cv2

    with tempfile.TemporaryDirectory() as folder:
        blank = np.zeros((2, 16, 16, 3), np.uint8)
        cv2.imwrite(f"{folder}/blank.jpg", blank[0])
        read_image(f"{folder}/blank.jpg", UNTRUSTED)
        with contextlib.suppress(av.FFmpegError, ValueError):  # an FFmpeg without this encoder decodes all the same
            Path(f"{folder}/blank.mp4").write_bytes(encode_mp4(blank, 2))
            with open_sample(f"{folder}/blank.mp4", None, UNTRUSTED) as video:
                assert len(list(video)) == len(blank)


def obey(order: dict[str, Any], send: Callable[..., None]) -> None:
    """What a child of the nursery does: `probe`, `windows`, `moments`, `frames` or `picture`."""
    limits, uri, name = Limits(**order["limits"]), order["uri"], order["name"]
    try:
        if order["do"] == "picture":
            picture = read_image(uri, limits)
            send({"shape": picture.shape}, picture)
            return
        with open_sample(uri, None, limits) as video:
            send({"info": dataclasses.asdict(video.info)})
            if order["do"] == "windows":
                _send_windows(video, order, send)
            elif order["do"] == "moments":
                _send_moments(video, order, send)
            elif order["do"] == "frames":
                _send_frames(video, order, send)
    except (MediaError, MediaLimitError) as error:
        # the caller knows the file by its own name, not by where it was spooled
        raise type(error)(str(error).replace(uri, name)) from None


def _send_windows(video: Video, order: dict[str, Any], send: Callable[..., None]) -> None:
    spec, views = spec_of(order["spec"]), Views(**order["views"])
    if spec.num_frames > 1 and is_picture(order["uri"]):
        raise MediaError(f"{order['name']} is a picture, and the model takes clips of {spec.num_frames} frames: give a video")
    spans = (
        window_spans(video.info, spec, views.stride)
        if views.num_clips is None
        else iter(view_spans(video.info, spec, views.num_clips))
    )
    with contextlib.ExitStack() as stack:
        # sound is read from a second handle, so that neither moves the other
        hears = spec.audio is not None and video.info.has_audio
        ear: Video | None = None
        if hears:
            ear = open_sample(order["uri"], None, Limits(**order["limits"]))
            stack.enter_context(ear)
        for group, clips in read_clips(video, _counted(spans, views, order["name"]), spec, views.num_crops, views.batch):
            waves = None if spec.audio is None else _waves(ear, video.info, group, spec)
            header = {
                "spans": [[span.times, span.start, span.end] for span in group],
                "shape": clips.shape,
                "sound": waves is not None,
            }
            send(header, clips, *([] if waves is None else [waves]))


def _send_moments(video: Video, order: dict[str, Any], send: Callable[..., None]) -> None:
    spec, times = spec_of(order["spec"]), order["times"]
    for begin in range(0, len(times), order["batch"]):
        part = times[begin : begin + order["batch"]]
        clips = read_whole_frames(video, [centred_request(time, spec, video.info) for time in part], spec.view_size)
        send({"numbers": list(range(begin, begin + len(part))), "shape": clips.shape}, clips)


def _send_frames(video: Video, order: dict[str, Any], send: Callable[..., None]) -> None:
    rest = iter(video)
    while part := list(itertools.islice(rest, order["batch"])):
        views = np.stack([as_view(frame, order["size"]) for _, frame in part])
        send({"times": [time for time, _ in part]}, views)


def _counted(spans: Iterator[Span], views: Views, name: str) -> Iterator[Span]:
    for number, span in enumerate(spans):
        if number == views.most:
            raise MediaLimitError(f"{name} has more than {views.most} windows, the limit: give a larger stride or less video")
        yield span


def _waves(ear: Video | None, info: VideoInfo, spans: Sequence[Span], spec: InputSpec) -> np.ndarray:
    """The sound of windows of the model's clip length, float32 [N, A]; zeros where there is none."""
    assert spec.audio is not None
    rate, seconds = spec.audio.sample_rate, window_seconds(info, spec)
    times = [(span.start, span.start + seconds) for span in spans]
    if ear is None:
        return np.zeros((len(spans), max(round(seconds * rate), 1)), np.float32)
    return read_spans(ear.read_audio, times, rate)


def spec_of(values: dict[str, Any]) -> InputSpec:
    """An InputSpec from its values, as JSON has them."""
    plain: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    audio = plain.pop("audio", None)
    return InputSpec(**plain, audio=None if audio is None else AudioSpec(**audio))
