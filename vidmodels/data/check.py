"""What is wrong with the videos of a data set, found before a training run meets it. Pure logic; callers print."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from vidmodels.core.errors import DataError, MediaError, VidmodelsError
from vidmodels.core.label_sets import name_of
from vidmodels.data.formats import load_manifest
from vidmodels.data.frames import FrameReader, frame_paths, open_sample
from vidmodels.data.manifest import Manifest, SampleRef
from vidmodels.data.probe import TRUSTED, Limits, VideoInfo
from vidmodels.data.sandbox import probe_untrusted
from vidmodels.data.storage import is_picture, kind, open_media

Kind = Literal["corrupt", "short", "variable_rate", "rotated", "mixed_size", "missing", "duplicate", "label_mismatch"]
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Finding:
    """Something to know about one video. kind: of trouble; id, uri: of the video; detail: one sentence."""

    kind: Kind
    id: str
    uri: str
    detail: str


def check_paths(
    data: Manifest | str,
    format: str = "auto",
    root: str | None = None,
    num_frames: int = 16,
    frame_stride: int = 4,
    quick: bool = False,
    limits: Limits = TRUSTED,
    progress: Callable[[int, int], None] | None = None,
) -> list[Finding]:
    """All findings in a manifest, or in the data set at a path (`format`, `root`: see formats.load_manifest).

    num_frames, frame_stride: the clip that a video should be long enough for (a picture is one frame). quick: headers and
    first frames only (no whole decoding, no comparison of contents). Each video is opened in a child process first, so that
    one that kills its decoder is a finding. progress(done, total) is called after each video. Raises DataError.
    """
    manifest = load_manifest(data, format, root) if isinstance(data, str) else data
    need = (num_frames - 1) * frame_stride + 1
    findings = [Finding("missing", name, name, "is listed but not there") for name in manifest.missing]
    contents: dict[str, list[SampleRef]] = {}
    for index in range(len(manifest)):
        ref = manifest.row(index)
        findings += check_video(ref, 1 if is_picture(ref.uri) else need, quick, limits)
        if not quick and (content := _content(ref)) is not None:
            contents.setdefault(content, []).append(ref)
        if progress is not None:
            progress(index + 1, len(manifest))
    return findings + list(_same(contents, manifest.classes))


def check_video(ref: SampleRef, need: int, quick: bool = False, limits: Limits = TRUSTED) -> list[Finding]:
    """Findings of one video; need: frames that it should have at least."""
    try:
        _look(ref)
    except DataError as error:
        return [Finding("missing", ref.id, ref.uri, str(error))]
    try:
        info = probe_untrusted(ref.uri, limits, ref.fps)
        times, sizes = (None, set()) if quick else _walk(ref, limits)
    except MediaError as error:
        return [Finding("corrupt", ref.id, ref.uri, str(error))]
    findings = list(_judged(ref, info, times, need))
    if len(sizes) > 1:
        (height, width), other = (info.height, info.width), min(sizes - {(info.height, info.width)})
        detail = f"has frames of {width}x{height} and of {other[1]}x{other[0]}: the others are resized to the first"
        findings.append(Finding("mixed_size", ref.id, ref.uri, detail))
    return findings


def _look(ref: SampleRef) -> None:
    """Raise DataError where there is no such file or folder."""
    if ref.fps is None:
        with open_media(ref.uri):
            return
    if kind(ref.uri) != "folder":
        raise DataError(f"there is no folder of frames at {ref.uri}: check the path")


def _judged(ref: SampleRef, info: VideoInfo, times: np.ndarray | None, need: int) -> Iterator[Finding]:
    start = 0.0 if ref.start is None else ref.start
    end = info.duration if ref.end is None else min(ref.end, info.duration)
    if times is None:
        frames = round((end - start) * info.fps)
    elif ref.start is None and ref.end is None:
        frames = len(times)
    else:
        frames = int(((times >= start) & (times < end)).sum())
    if frames < need:
        yield Finding("short", ref.id, ref.uri, f"has {max(frames, 0)} frames, and a clip spans {need}")
    gaps = np.diff(times) if times is not None and len(times) > 2 else None
    # times in files are rounded, at worst to milliseconds
    uneven = info.variable_rate if gaps is None else bool(np.ptp(gaps) > max(0.1 * float(np.median(gaps)), 2.1e-3))
    if uneven:
        spread = "" if gaps is None else f", from {gaps.min() * 1e3:.1f} to {gaps.max() * 1e3:.1f} ms apart"
        yield Finding("variable_rate", ref.id, ref.uri, f"its frames come at uneven times{spread}")
    if info.rotation:
        yield Finding("rotated", ref.id, ref.uri, f"is stored turned by {info.rotation} degrees (frames come upright)")


def _walk(ref: SampleRef, limits: Limits) -> tuple[np.ndarray, set[tuple[int, int]]]:
    """Presentation times of all frames in seconds, [N], and the sizes of pictures. Raises MediaError at the first damage."""
    times = []
    with open_sample(ref.uri, ref.fps, limits) as video:
        if isinstance(video, FrameReader):
            sizes = list(video.sizes())
            return np.arange(len(sizes)) / video.fps, set(sizes)
        for shown in video.walk():
            if shown.frame.is_corrupt:
                raise MediaError(f"{ref.uri} is damaged at {shown.time:.2f} s: replace the file")
            times.append(shown.time)
    return np.array(times), set()


def _content(ref: SampleRef) -> str | None:
    """SHA-256 of the file or frames and the span, or None where it cannot be read (which is a finding already)."""
    digest = hashlib.sha256(repr((ref.start, ref.end)).encode())
    try:
        for uri in (ref.uri,) if ref.fps is None else frame_paths(ref.uri):
            with open_media(uri) as file:
                while block := file.read(_BLOCK):
                    digest.update(block)
    except (OSError, VidmodelsError):
        return None
    return digest.hexdigest()


def _same(contents: dict[str, list[SampleRef]], classes: tuple[str, ...] | None) -> Iterator[Finding]:
    """Videos of equal content: a duplicate each, and a mismatch where their labels differ."""
    for first, *others in contents.values():
        for other in others:
            yield Finding("duplicate", other.id, other.uri, f"has the same content as {first.id}")
            if (other.label, other.set_labels) != (first.label, first.set_labels):
                mine, its = _class_name(other, classes), _class_name(first, classes)
                detail = f"is labelled {mine}, and {first.id} of the same content is labelled {its}"
                yield Finding("label_mismatch", other.id, other.uri, detail)


def _class_name(ref: SampleRef, classes: tuple[str, ...] | None) -> str:
    label = ref.label if ref.set_labels is None else ref.set_labels
    return str(label) if label is None or classes is None else name_of(label, classes)
