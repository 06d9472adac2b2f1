"""Data sets as they lie on disk or in an object store, read into manifests: one file per format."""

from __future__ import annotations

from vidmodels.core.errors import DataError, did_you_mean
from vidmodels.data.formats.folder import read_classes, read_folder
from vidmodels.data.formats.kinetics import is_official_csv, read_kinetics_csv, read_list
from vidmodels.data.formats.parquet import read_parquet
from vidmodels.data.manifest import Manifest
from vidmodels.data.storage import kind, list_files

FORMATS = ("auto", "folder", "classes", "kinetics", "kinetics_csv", "parquet")


def load_manifest(path: str, format: str = "auto", root: str | None = None) -> Manifest:
    """The manifest of the data set at `path`, a local path or an object-store URI.

    format: 'folder' (videos at any depth, no labels), 'classes' (a folder per class), 'kinetics' (list of path and
    label), 'kinetics_csv' (official CSV), 'parquet', or 'auto', which looks. root: the folder that listed paths are
    relative to; default: the folder of the list. Raises DataError: nothing there, no video in it, unknown format.
    """
    if format not in FORMATS:
        raise DataError(f"format {format!r} is none of {', '.join(FORMATS)}{did_you_mean(format, FORMATS)}")
    found = kind(path)
    if found == "missing":
        raise DataError(f"there is nothing at {path}: check the path")
    if format == "auto":
        format = _guess(path, found)
    if (format in ("folder", "classes")) != (found == "folder"):
        raise DataError(f"{path} is a {found}, which cannot be read as {format}: choose another path or format")
    if format == "folder":
        return read_folder(path)
    if format == "classes":
        return read_classes(path)
    if format == "parquet":
        return read_parquet(path, root)
    return read_kinetics_csv(path, root) if format == "kinetics_csv" else read_list(path, root)


def _guess(path: str, found: str) -> str:
    if found == "file":
        ending = path.rsplit(".", 1)[-1].lower()
        if ending in ("parquet", "pq"):
            return "parquet"
        if ending not in ("csv", "txt", "list", "tsv"):
            raise DataError(f"{path}: no list of videos ends like this; give a folder, .csv, .txt or .parquet")
        return "kinetics_csv" if is_official_csv(path) else "kinetics"
    # classes are two folders or more directly below, each with videos, and no video beside them
    from vidmodels.data.formats.folder import is_video

    videos = [name for name, _ in list_files(path) if is_video(name)]
    tops = {name.split("/")[0] for name in videos if "/" in name}
    return "classes" if len(tops) > 1 and all("/" in name for name in videos) else "folder"
