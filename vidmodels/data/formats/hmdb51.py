"""HMDB51: a folder of lists CLASS_test_split1.txt, whose lines mark each video as 1 training, 2 test or 0 neither."""

from __future__ import annotations

import re

from vidmodels.core.errors import DataError
from vidmodels.data.formats.lists import Classes, Row, Source, Videos, make_manifest, read_text
from vidmodels.data.manifest import Manifest
from vidmodels.data.storage import is_video, join, list_files, parent

SPLITS = tuple(f"{part}{number}" for number in (1, 2, 3) for part in ("train", "test"))
_LIST = re.compile(r"([^/]+)_test_split([123])\.txt")


def is_hmdb51(names: list[str]) -> bool:
    """Whether a folder with these files is one of HMDB51's lists."""
    return any(_LIST.fullmatch(name) for name in names)


def read_hmdb51(source: Source) -> Manifest:
    """The videos of one part of one of the three splits, `source.split`: train1 (the default), test1, train2 ...

    Videos lie in folders of their classes below `source.root`, by default the folder that holds the lists' folder.
    Raises DataError.
    """
    split = source.split or "train1"
    if split not in SPLITS:
        raise DataError(f"the split {split!r} is none of HMDB51's: choose one of {', '.join(SPLITS)}")
    wanted, mark = split[-1], "1" if split.startswith("train") else "2"
    lists = {found[1]: name for name, _ in list_files(source.path) if (found := _LIST.fullmatch(name)) and found[2] == wanted}
    if not lists:
        raise DataError(f"{source.path} holds no list CLASS_test_split{wanted}.txt: give the folder of HMDB51's splits")
    base = parent(source.path.rstrip("/")) if source.root is None else source.root
    classes, videos = Classes(source.classes, lists), Videos(base, source.fps)
    rows: list[Row] = []
    missing: list[str] = []
    for name, file in sorted(lists.items()):
        path = join(source.path, file)
        label = classes.number(name, path)
        for video in _marked(path, mark):
            place = videos.find(f"{name}/{video}")
            if place is None:
                missing.append(f"{name}/{video}")
            else:
                rows.append({"id": f"{name}/{video}", "uri": place.uri, "bytes": place.bytes, "label": label})
    return make_manifest(Source(source.path, base, source.fps), rows, missing, classes.names)


def _marked(path: str, mark: str) -> list[str]:
    """The videos of a list that have this mark."""
    chosen = []
    for line, text in enumerate(read_text(path).splitlines(), 1):
        cells = text.split()
        if not cells:
            continue
        if len(cells) != 2 or not is_video(cells[0]) or cells[1] not in ("0", "1", "2"):
            raise DataError(f"{path}, row {line}: {text.strip()[:80]!r} is no VIDEO.avi with 0, 1 or 2 behind it: correct it")
        if cells[1] == mark:
            chosen.append(cells[0])
    return chosen
