"""Data sets as they lie on disk or in an object store, read into manifests: one file per format."""

from __future__ import annotations

from vidmodels.core.errors import DataError, did_you_mean
from vidmodels.data.formats.folder import read_classes, read_folder
from vidmodels.data.formats.kinetics import is_official_csv, read_kinetics_csv, read_list, read_multi_label_list
from vidmodels.data.formats.parquet import read_parquet
from vidmodels.data.manifest import Manifest
from vidmodels.data.storage import kind, list_files

FORMATS = ("auto", "folder", "classes", "kinetics", "kinetics_csv", "parquet")


def load_manifest(path: str, format: str = "auto", root: str | None = None, multi_label: bool = False) -> Manifest:
    """The manifest of the data set at `path`, a local path or an object-store URI.

    format: 'folder' (videos at any depth, no labels), 'classes' (a folder per class), 'kinetics' (list of path and
    label), 'kinetics_csv' (official CSV), 'parquet', or 'auto', which looks. root: the folder that listed paths are
    relative to; default: the folder of the list. multi_label: each video of a list may have several labels. Raises
    DataError: nothing there, no video in it, unknown format, a format without several labels.
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
    if multi_label and format not in ("kinetics", "parquet"):
        raise DataError(f"{path} is read as {format}, in which a video has one label: give a list or a Parquet manifest")
    if format == "folder":
        return read_folder(path)
    if format == "classes":
        return read_classes(path)
    if format == "parquet":
        return _of_several(read_parquet(path, root), path) if multi_label else read_parquet(path, root)
    if format == "kinetics_csv":
        return read_kinetics_csv(path, root)
    return read_multi_label_list(path, root) if multi_label else read_list(path, root)


def _of_several(manifest: Manifest, path: str) -> Manifest:
    if not manifest.multi_label or manifest.classes is None:
        raise DataError(f"{path} has no column 'labels' with lists of classes and their names: add them")
    return manifest


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
