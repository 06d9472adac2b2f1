"""Which data set lies at a path, from the names of its files and the first lines of its lists."""

from __future__ import annotations

import csv
import re

from vidmodels.core.errors import DataError
from vidmodels.data.formats import charades, ego4d_moments, epic_kitchens, ucf101
from vidmodels.data.formats.frames import is_frame_list
from vidmodels.data.formats.hmdb51 import is_hmdb51
from vidmodels.data.formats.kinetics import OFFICIAL
from vidmodels.data.formats.lists import Source, beside, read_json, read_text
from vidmodels.data.formats.ssv2 import is_ssv2
from vidmodels.data.storage import is_picture, is_video, list_files

UNMISTAKABLE = frozenset(
    {"frame_list", "ucf101", "hmdb51", "ssv2", "charades", "epic_kitchens", "ego4d_moments", "kinetics_csv", "parquet"}
)
"""Formats whose files look like no other's."""
_UCF101 = re.compile(r"(train|test)list\d\d\.txt")


def guess(source: Source, found: str) -> str:
    """The format of a 'file' or 'folder' at the source's path. Raises DataError for a file that is no list."""
    return _of_folder(source) if found == "folder" else _of_file(source.path)


def _of_file(path: str) -> str:
    name = path.rsplit("/", 1)[-1]
    ending = name.rsplit(".", 1)[-1].lower()
    if ending in ("parquet", "pq"):
        return "parquet"
    if ending in ("json", "jsonl"):
        tree = read_json(path)
        return "ego4d_moments" if ego4d_moments.is_moments(tree) else "ssv2" if is_ssv2(tree) else "json"
    if ending not in ("csv", "txt", "list", "tsv"):
        raise DataError(f"{path}: no list of videos ends like this; give a folder, .csv, .txt, .json or .parquet")
    if is_frame_list(path):
        return "frame_list"
    columns = _first_cells(path)
    for format, needed in (
        ("kinetics_csv", OFFICIAL),
        ("charades", charades.COLUMNS),
        ("epic_kitchens", epic_kitchens.COLUMNS),
    ):
        if columns >= set(needed):
            return format
    if _UCF101.fullmatch(name) and beside(path, [ucf101.CLASS_LIST]):
        return "ucf101"
    return "kinetics"


def _first_cells(path: str) -> set[str]:
    """The cells of the first line, none where it is not CSV."""
    try:
        return set(next(csv.reader(read_text(path).splitlines()[:1]), []))
    except csv.Error:
        return set()


def _of_folder(source: Source) -> str:
    names = [name for name, _ in list_files(source.path)]
    if is_hmdb51(names):
        return "hmdb51"
    videos = [name for name in names if is_video(name)]
    if not videos and any(is_picture(name) for name in names):
        # who knows the frames per second has folders of frames; ImageNet's lie just so
        return "images" if source.fps is None else "frames"
    # classes are two folders or more directly below, each with videos, and no video beside them
    tops = {name.split("/")[0] for name in videos if "/" in name}
    return "classes" if len(tops) > 1 and all("/" in name for name in videos) else "folder"
