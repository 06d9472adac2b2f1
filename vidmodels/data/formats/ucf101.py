"""UCF101: lists of "Class/video.avi number" for training and "Class/video.avi" for tests, with classInd.txt beside them."""

from __future__ import annotations

from vidmodels.core.errors import DataError
from vidmodels.data.formats.lists import Classes, Row, Source, Videos, beside, make_manifest, read_class_names, read_text
from vidmodels.data.manifest import Manifest
from vidmodels.data.storage import is_video

CLASS_LIST = "classInd.txt"


def read_ucf101(source: Source) -> Manifest:
    """The videos of trainlist01.txt, testlist01.txt and the like. The class is the folder's name. Raises DataError."""
    names = source.classes
    if names is None:
        found = beside(source.path, [CLASS_LIST])
        if found is None:
            raise DataError(f"{CLASS_LIST} is not beside {source.path}: put it there, or name such a list (data.classes)")
        names = read_class_names(found)
    classes, videos = Classes(names), Videos(source.base, source.fps)
    rows: list[Row] = []
    missing: list[str] = []
    for line, text in enumerate(read_text(source.path).splitlines(), 1):
        if not text.strip():
            continue
        where = f"{source.path}, row {line}"
        name, _, number = text.strip().partition(" ")
        folder, _, file = name.partition("/")
        if not file or not is_video(name):
            raise DataError(f"{where}: {text.strip()[:80]!r} is no CLASS/VIDEO.avi with or without a number: correct it")
        label = classes.number(folder, where)
        if number and number.strip() != str(label + 1):
            raise DataError(f"{where}: {folder} has the number {number.strip()}, and {label + 1} in {CLASS_LIST}: correct it")
        place = videos.find(name)
        if place is None:
            missing.append(name)
        else:
            rows.append({"id": name, "uri": place.uri, "bytes": place.bytes, "label": label})
    return make_manifest(source, rows, missing, classes.names)
