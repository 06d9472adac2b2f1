"""Folders of videos: one folder at any depth without labels, or one folder per class."""

from __future__ import annotations

from vidmodels.core.errors import DataError
from vidmodels.data.manifest import Manifest
from vidmodels.data.storage import join, list_files

VIDEO_ENDINGS = (".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".ts", ".mts", ".m2ts", ".3gp", ".3g2", ".mj2")


def is_video(name: str) -> bool:
    """Whether a file's name ends like a video's."""
    return name.lower().endswith(VIDEO_ENDINGS)


def read_folder(path: str) -> Manifest:
    """All videos under the folder, without labels; the id is the path below the folder. Raises DataError if none."""
    return Manifest.from_rows([_row(path, name, size, None) for name, size in _videos(path)])


def read_classes(path: str) -> Manifest:
    """Videos in one folder per class; classes in the order of their names. Raises DataError."""
    videos = _videos(path)
    if loose := [name for name, _ in videos if "/" not in name]:
        raise DataError(f"{path}/{loose[0]} lies outside of the folders of the classes: move it into one")
    classes = tuple(sorted({name.split("/")[0] for name, _ in videos}))
    labels = {name: number for number, name in enumerate(classes)}
    return Manifest.from_rows([_row(path, n, size, labels[n.split("/")[0]]) for n, size in videos], classes)


def _videos(path: str) -> list[tuple[str, int]]:
    files = list_files(path)
    videos = [(name, size) for name, size in files if is_video(name)]
    if not videos:
        held = f"holds {len(files)} files but no video" if files else "is empty"
        raise DataError(f"the folder {path} {held}: give a folder with files such as {', '.join(VIDEO_ENDINGS[:5])}")
    return videos


def _row(path: str, name: str, size: int, label: int | None) -> dict:
    return {"id": name, "uri": join(path, name), "label": label, "bytes": size}
