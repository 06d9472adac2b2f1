"""Folders of videos at any depth without labels, and folders of videos or pictures with one folder per class."""

from __future__ import annotations

from vidmodels.core.errors import DataError
from vidmodels.data.formats.lists import Classes, Row, Source
from vidmodels.data.manifest import Manifest
from vidmodels.data.storage import PICTURE_ENDINGS, VIDEO_ENDINGS, is_picture, is_video, join, list_files


def read_folder(source: Source) -> Manifest:
    """All videos under the folder, without labels; the id is the path below the folder. Raises DataError if none."""
    return Manifest.from_rows([_row(source.path, name, size) for name, size in _videos(source.path)])


def read_classes(source: Source) -> Manifest:
    """Videos in one folder per class; classes in the order of their names. Raises DataError."""
    return _by_class(source, _videos(source.path))


def read_images(source: Source) -> Manifest:
    """Pictures in one folder per class, as ImageNet has them. Raises DataError, also for videos among them."""
    files = list_files(source.path)
    pictures = [(name, size) for name, size in files if is_picture(name)]
    if videos := [name for name, _ in files if is_video(name)]:
        raise DataError(
            f"the folder {source.path} holds {len(pictures)} pictures and {len(videos)} videos, such as {videos[0]}: "
            "keep one kind"
        )
    if not pictures:
        held = f"holds {len(files)} files but no picture" if files else "is empty"
        raise DataError(f"the folder {source.path} {held}: give a folder with files such as {', '.join(PICTURE_ENDINGS)}")
    return _by_class(source, pictures)


def _by_class(source: Source, files: list[tuple[str, int]]) -> Manifest:
    if loose := [name for name, _ in files if "/" not in name]:
        raise DataError(f"{source.path}/{loose[0]} lies outside of the folders of the classes: move it into one")
    classes = Classes(source.classes, (name.split("/")[0] for name, _ in files))
    rows = []
    for name, size in files:
        label = classes.number(name.split("/")[0], join(source.path, name))
        rows.append({**_row(source.path, name, size), "label": label})
    return Manifest.from_rows(rows, classes.names)


def _videos(path: str) -> list[tuple[str, int]]:
    files = list_files(path)
    videos = [(name, size) for name, size in files if is_video(name)]
    if not videos:
        held = f"holds {len(files)} files but no video" if files else "is empty"
        raise DataError(f"the folder {path} {held}: give a folder with files such as {', '.join(VIDEO_ENDINGS[:5])}")
    return videos


def _row(path: str, name: str, size: int) -> Row:
    return {"id": name, "uri": join(path, name), "bytes": size}
