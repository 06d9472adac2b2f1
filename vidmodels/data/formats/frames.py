"""Videos that lie as folders of pictures: a tree of such folders, or a list of all frames with their labels."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field

from vidmodels.core.errors import DataError
from vidmodels.data.formats.lists import Classes, Row, Source, Videos, make_manifest, read_text
from vidmodels.data.manifest import Manifest
from vidmodels.data.storage import is_picture, join, list_files

COLUMNS = ("original_vido_id", "video_id", "frame_id", "path", "labels")
"""The first line of a list of frames; the word is spelt so."""


def read_frames(source: Source) -> Manifest:
    """A folder for each video, or a folder for each class with those of its videos. Raises DataError.

    The frames are pictures with a number in their names, at `source.fps` frames per second.
    """
    if source.fps is None:
        raise DataError(f"the frames per second of the folders of pictures in {source.path} are not known: give data.fps")
    sizes: dict[str, int] = {}
    for name, size in list_files(source.path):
        if is_picture(name):
            if "/" not in name:
                raise DataError(f"{source.path}/{name} lies outside of the folders of the videos: move it into one")
            folder = name.rpartition("/")[0]
            sizes[folder] = sizes.get(folder, 0) + size
    if not sizes:
        raise DataError(f"the folder {source.path} holds no picture: give a folder with a folder of frames for each video")
    depths = {folder.count("/") for folder in sizes}
    if len(depths) > 1 or max(depths) > 1:
        raise DataError(
            f"{source.path} has frames at different depths or below classes of classes, such as in {max(sizes, key=len)}: "
            "lay them as VIDEO/000001.jpg or as CLASS/VIDEO/000001.jpg"
        )
    rows: list[Row] = [{"id": name, "uri": join(source.path, name), "bytes": size} for name, size in sorted(sizes.items())]
    if depths == {0}:
        return make_manifest(source, rows, (), None)
    classes = Classes(source.classes, (name.split("/")[0] for name in sizes))
    for row in rows:
        row["label"] = classes.number(row["id"].split("/")[0], f"{source.path}/{row['id']}")
    return make_manifest(source, rows, (), classes.names)


def is_frame_list(path: str) -> bool:
    """Whether the first line of a file names the columns of a list of frames."""
    return tuple(read_text(path).split("\n", 1)[0].split()) == COLUMNS


@dataclass
class _Video:
    """What a list says of one video: its folder, the number of its last frame, and the frames of each label."""

    folder: str
    last: int
    count: int = 0
    frames: dict[int, list[int]] = field(default_factory=dict)


def read_frame_list(source: Source) -> Manifest:
    """Lines "original_vido_id video_id frame_id path labels" with the class numbers of each frame, as in "12,7" or "".

    Each run of frames with a label is a span of that label. Raises DataError, also where a frame is left out.
    """
    if source.fps is None:
        raise DataError(f"the frames per second of {source.path} are not known: give data.fps (24 for Charades, 30 for AVA)")
    found = _videos(source.path)
    largest = max((label for video in found.values() for label in video.frames), default=-1)
    names = source.classes if source.classes is not None else tuple(map(str, range(largest + 1)))
    if largest >= len(names):
        raise DataError(f"{source.path}: the label {largest} is not in the list of {len(names)} classes: correct it")
    videos = Videos(source.base, source.fps)
    rows: list[Row] = []
    missing: list[str] = []
    for name, video in found.items():
        place = videos.find(video.folder)
        if place is None:
            missing.append(name)
            continue
        row: Row = {"id": name, "uri": place.uri}
        if largest >= 0:
            spans = [(label, span) for label in sorted(video.frames) for span in _runs(video.frames[label], source.fps)]
            row["labels"], row["label_spans"] = [label for label, _ in spans], [span for _, span in spans]
        rows.append(row)
    return make_manifest(source, rows, missing, names if largest >= 0 else source.classes)


def _videos(path: str) -> dict[str, _Video]:
    reader = csv.reader(io.StringIO(read_text(path)), delimiter=" ")
    videos: dict[str, _Video] = {}
    try:
        for cells in reader:
            where = f"{path}, row {reader.line_num}"
            if not cells or tuple(cells) == COLUMNS:
                continue
            if len(cells) not in (4, 5) or not (cells[2].isascii() and cells[2].isdigit()):
                raise DataError(f"{where}: {' '.join(cells)[:80]!r} is not {' '.join(COLUMNS)}: correct it")
            number, folder = int(cells[2]), cells[3].rpartition("/")[0]
            video = videos.setdefault(cells[0], _Video(folder, number - 1))
            if number != video.last + 1:
                after = f"frame {number} of {cells[0]} comes after frame {video.last}"
                raise DataError(f"{where}: {after}: list all frames in order")
            if folder != video.folder or not folder:
                raise DataError(f"{where}: {cells[3]} is not in the video's folder {video.folder!r}: give each video its own")
            for label in filter(None, cells[4].split(",") if len(cells) == 5 else ()):
                if not (label.isascii() and label.isdigit()):
                    raise DataError(f"{where}: the label {label!r} is no number: write class numbers with commas between them")
                video.frames.setdefault(int(label), []).append(video.count)
            video.last, video.count = number, video.count + 1
    except csv.Error as error:
        raise DataError(f"{path}, row {reader.line_num}: this is no list of frames ({error}): correct it") from error
    return videos


def _runs(frames: list[int], fps: float) -> list[tuple[float, float]]:
    """Spans in seconds of the runs of consecutive frames."""
    runs: list[tuple[int, int]] = []
    for frame in frames:
        if runs and runs[-1][1] == frame:
            runs[-1] = (runs[-1][0], frame + 1)
        else:
            runs.append((frame, frame + 1))
    return [(start / fps, end / fps) for start, end in runs]
