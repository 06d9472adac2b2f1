"""Ego4D moments: JSON of videos, their clips, and the labelled windows that annotators marked in them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from vidmodels.core.errors import DataError
from vidmodels.data.formats.lists import Classes, Row, Source, Videos, make_manifest, read_json, span
from vidmodels.data.manifest import Manifest


class _Window(NamedTuple):
    """A labelled window; start and end in seconds of the clip, and of the whole video where that is said."""

    where: str
    video: str
    clip: str
    label: str
    of_clip: tuple[float, float]
    of_video: tuple[float, float] | None

    @property
    def key(self) -> str:
        """The window's name: its clip and its times."""
        return f"{self.clip}_{self.of_clip[0]:.3f}_{self.of_clip[1]:.3f}"


def is_moments(tree: Any) -> bool:
    """Whether JSON is a list of Ego4D moments."""
    videos = tree.get("videos") if isinstance(tree, dict) else None
    first = videos[0] if isinstance(videos, list) and videos else None
    return isinstance(first, dict) and {"video_uid", "clips"} <= set(first)


def read_ego4d_moments(source: Source) -> Manifest:
    """The windows of moments_train.json and the like, each with one label, or (`source.multi_label`) with all of its labels.

    Videos are the whole ones, VIDEO_UID.mp4, or the clips, CLIP_UID.mp4. Only the primary labels count where a file marks
    them; windows of no length are left out, as published. The same label of two annotators is one. split: train, val or test
    of a file that has several. Raises DataError.
    """
    tree = read_json(source.path)
    if not is_moments(tree):
        raise DataError(f"{source.path} is no list of Ego4D moments: give moments_train.json or moments_val.json")
    windows = list(_windows(source.path, tree["videos"], source.split))
    if not windows:
        of = f" in the split {source.split!r}" if source.split else ""
        raise DataError(f"{source.path} has no labelled window{of}: give another list or split")
    classes, videos = Classes(source.classes, (window.label for window in windows)), Videos(source.base, source.fps)
    rows: dict[str, Row] = {}
    missing: list[str] = []
    for window in windows:
        label = classes.number(window.label, window.where)
        name = window.key if source.multi_label else f"{window.key}_{window.label}"
        if name in rows:
            if source.multi_label and label not in rows[name]["labels"]:
                rows[name]["labels"] = sorted([*rows[name]["labels"], label])
            continue
        place = None if window.of_video is None else videos.find(f"{window.video}.mp4", window.video)
        start, end = window.of_video if place is not None and window.of_video is not None else window.of_clip
        place = place or videos.find(f"{window.clip}.mp4", window.clip)
        if place is None:
            missing.append(window.video)
            continue
        truth = {"labels": [label]} if source.multi_label else {"label": label}
        rows[name] = {"id": name, "uri": place.uri, "bytes": place.bytes, "start": start, "end": end, **truth}
    return make_manifest(source, list(rows.values()), missing, classes.names)


def _windows(path: str, videos: list[Any], split: str | None) -> Iterator[_Window]:
    for video in videos:
        try:
            if split is not None and video.get("split") != split:
                continue
            for clip in video["clips"]:
                names = str(video["video_uid"]), str(clip["clip_uid"])
                for annotation in clip.get("annotations") or ():
                    for number, label in enumerate(annotation["labels"], 1):
                        where = f"{path}, label {number} of clip {names[1]}"
                        yield from _window(where, *names, label)
        except (KeyError, TypeError, AttributeError) as error:
            name = video.get("video_uid") if isinstance(video, dict) else video
            raise DataError(f"{path}: the entry of video {name!r} cannot be read ({error!r}): correct it") from error


def _window(where: str, video: str, clip: str, label: dict[str, Any]) -> Iterator[_Window]:
    if label.get("primary") is False or label["start_time"] == label["end_time"]:
        return
    of_clip = span(where, label["start_time"], label["end_time"])
    known = label.get("video_start_time") is not None and label.get("video_end_time") is not None
    of_video = span(where, label["video_start_time"], label["video_end_time"]) if known else None
    yield _Window(where, video, clip, str(label["label"]), of_clip, of_video)
