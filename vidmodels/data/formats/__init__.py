"""Data sets as they lie on disk or in an object store, read into manifests: one file per format."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, get_args

from vidmodels.core.errors import DataError, did_you_mean
from vidmodels.core.formats import Format
from vidmodels.data.formats.charades import read_charades
from vidmodels.data.formats.ego4d_moments import read_ego4d_moments
from vidmodels.data.formats.epic_kitchens import read_epic_kitchens
from vidmodels.data.formats.folder import read_classes, read_folder, read_images
from vidmodels.data.formats.frames import read_frame_list, read_frames
from vidmodels.data.formats.guess import UNMISTAKABLE, guess
from vidmodels.data.formats.hmdb51 import read_hmdb51
from vidmodels.data.formats.json_list import read_json_list
from vidmodels.data.formats.kinetics import read_kinetics_csv, read_list
from vidmodels.data.formats.lists import Source, read_class_names
from vidmodels.data.formats.parquet import read_parquet
from vidmodels.data.formats.ssv2 import read_ssv2
from vidmodels.data.formats.ucf101 import read_ucf101
from vidmodels.data.manifest import Manifest
from vidmodels.data.storage import kind


class _Format(NamedTuple):
    """How a format is read.

    of: 'file' or 'folder'; settings: what it takes; several: whether a video may have several labels.
    """

    read: Callable[[Source], Manifest]
    of: str
    settings: frozenset[str]
    several: bool = False


def _takes(*settings: str) -> frozenset[str]:
    return frozenset(settings)


_LISTED = _takes("root", "fps", "classes")
_READERS = {
    "folder": _Format(read_folder, "folder", _takes()),
    "classes": _Format(read_classes, "folder", _takes("classes")),
    "images": _Format(read_images, "folder", _takes("classes")),
    "frames": _Format(read_frames, "folder", _takes("fps", "classes")),
    "kinetics": _Format(read_list, "file", _LISTED, several=True),
    "kinetics_csv": _Format(read_kinetics_csv, "file", _LISTED),
    "parquet": _Format(read_parquet, "file", _takes("root", "classes", "label"), several=True),
    "json": _Format(read_json_list, "file", _LISTED | {"label"}, several=True),
    "frame_list": _Format(read_frame_list, "file", _LISTED, several=True),
    "ucf101": _Format(read_ucf101, "file", _LISTED),
    "hmdb51": _Format(read_hmdb51, "folder", _LISTED | {"split"}),
    "ssv2": _Format(read_ssv2, "file", _LISTED),
    "charades": _Format(read_charades, "file", _LISTED, several=True),
    "epic_kitchens": _Format(read_epic_kitchens, "file", _LISTED | {"label"}),
    "ego4d_moments": _Format(read_ego4d_moments, "file", _LISTED | {"split"}, several=True),
}
FORMATS = ("auto", *_READERS)
assert set(FORMATS) == set(get_args(Format)), "a recipe can name other formats than can be read"


def load_manifest(
    path: str,
    format: str = "auto",
    root: str | None = None,
    multi_label: bool = False,
    *,
    fps: float | None = None,
    split: str | None = None,
    label: str | None = None,
    classes: str | tuple[str, ...] | None = None,
) -> Manifest:
    """The manifest of the data set at `path`, a local path or an object-store URI.

    format: one of FORMATS, which README.md describes, or 'auto', which looks. root: the folder that holds the videos of a
    list; default: the folder of the list. multi_label: each video of a list may have several labels. fps: frames per second
    of videos that are folders of pictures. split, label: of data sets that have several parts, or several labels for each
    video. classes: names of the classes, or a file of them; default: those of the data set. Raises DataError: nothing there,
    no video in it, unknown format, a list of another data set, a setting that the format has not.
    """
    if format not in FORMATS:
        raise DataError(f"format {format!r} is none of {', '.join(FORMATS)}{did_you_mean(format, FORMATS)}")
    found = kind(path)
    if found == "missing":
        raise DataError(f"there is nothing at {path}: check the path")
    names = read_class_names(classes) if isinstance(classes, str) else classes
    source = Source(path, root, fps, split, label, names, multi_label)
    format = _format_of(source, format, found)
    reader = _READERS[format]
    if multi_label and not reader.several:
        raise DataError(f"{path} is read as {format}, in which a video has one label: give a list or a Parquet manifest")
    # a root or classes that a whole folder has no use for do no harm, and validation data come with those of training
    given = {"fps": fps, "split": split, "label": label}
    for name, value in given.items():
        if value is not None and name not in reader.settings:
            raise DataError(f"{path} is read as {format}, which has no setting {name}: leave data.{name} out")
    return reader.read(source)


def _format_of(source: Source, format: str, found: str) -> str:
    """The named format, or what the path looks like. Raises DataError where the named one cannot be."""
    if format == "auto":
        return guess(source, found)
    if _READERS[format].of != found:
        raise DataError(f"{source.path} is a {found}, which cannot be read as {format}: choose another path or format")
    if found == "file" and format in UNMISTAKABLE and format != "parquet":
        seems = guess(source, found)
        if seems in UNMISTAKABLE and seems != format and (format, seems) != ("charades", "frame_list"):
            raise DataError(f"{source.path} is a list of {seems}, not of {format}: name that format, or leave it out")
    return format
