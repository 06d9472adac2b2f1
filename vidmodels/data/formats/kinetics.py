"""Lists of videos as the Kinetics data sets come: "path label" lines, and the official CSV of YouTube clips.

The lines of a list may also name pictures, or folders of pictures where the frames per second of those are given.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable

from vidmodels.core.errors import DataError
from vidmodels.data.formats.lists import Classes, Row, Source, Videos, make_manifest, number, read_records, read_text
from vidmodels.data.manifest import Manifest
from vidmodels.data.storage import is_picture, is_video

OFFICIAL = ("youtube_id", "time_start", "time_end")
_WHOLE = re.compile(r"-?[0-9]{1,9}")


def read_list(source: Source) -> Manifest:
    """Lines "path label", separated by space, tab or comma; the label is a number or a class name, or left out.

    With `source.multi_label` the labels of a video are names or numbers with semicolons between them. Classes that are
    numbered and not named are called by their numbers, from 0 to the largest. Raises DataError.
    """
    lines = list(_lines(source))
    each = [_words(text, source.multi_label) for _, _, text in lines]
    words = {word for labels in each for word in labels}
    if source.multi_label and not words:
        raise DataError(
            f"{source.path} names no label: write them after the path, with semicolons between them, as in a.mp4 run;jump"
        )
    numeric = all(_WHOLE.fullmatch(word) for word in words)
    classes = _numbered(source, words) if numeric else Classes(source.classes, words)
    videos = Videos(source.base, source.fps, pictures=True, exact=True)
    rows: list[Row] = []
    missing: list[str] = []
    seen: set[str] = set()
    for (line, name, _), labels in zip(lines, each):
        where = f"{source.path}, line {line}"
        numbers = [_number(where, word, classes) if numeric else classes.number(word, where) for word in labels]
        place = videos.find(name)
        if place is None:
            missing.append(name)
            continue
        if name in seen:
            raise DataError(f"{source.path} lists {name} twice: leave one of the lines out")
        seen.add(name)
        truth = {"labels": sorted(set(numbers))} if source.multi_label else {"label": numbers[0] if numbers else None}
        rows.append({"id": name, "uri": place.uri, "bytes": place.bytes, **truth})
    return make_manifest(source, rows, missing, classes.names or None)


def _words(text: str | None, several: bool) -> list[str]:
    if text is None:
        return []
    return [part.strip() for part in text.split(";") if part.strip()] if several else [text]


def _numbered(source: Source, words: Iterable[str]) -> Classes:
    """The given classes, or as many as the numbers need, called by them; a number below 0 is no label."""
    if source.classes is not None:
        return Classes(source.classes)
    return Classes(tuple(map(str, range(max(map(int, words), default=-1) + 1))))


def _number(where: str, word: str, classes: Classes) -> int:
    if int(word) >= len(classes.names):
        raise DataError(f"{where}: the label {word} is not in the list of {len(classes.names)} classes: correct it")
    return int(word)


def read_kinetics_csv(source: Source) -> Manifest:
    """The official CSV (label, youtube_id, time_start, time_end, split) with the clips found under the root.

    A clip is the file ID_000010_000020.mp4 (already cut) or ID.mp4 (the whole video: the span is kept), at any depth.
    Clips that are not there are listed in `missing`. Raises DataError.
    """
    records = list(read_records(source.path, OFFICIAL, "official Kinetics CSV"))
    classes = Classes(source.classes, (label for _, record in records if (label := record.get("label"))))
    videos = Videos(source.base, source.fps)
    rows: list[Row] = []
    missing: list[str] = []
    for where, record in records:
        start, end = (number(where, name, record[name]) for name in OFFICIAL[1:])
        name = f"{record['youtube_id']}_{int(start):06d}_{int(end):06d}"
        label = record.get("label")
        row: Row = {"id": name, "label": classes.number(label, where) if label else None}
        place = videos.find(name)
        if place is None:
            place, row = videos.find(record["youtube_id"]), {**row, "start": start, "end": end}
        if place is None:
            missing.append(name)
        else:
            rows.append({**row, "uri": place.uri, "bytes": place.bytes})
    return make_manifest(source, rows, missing, classes.names or None, "clips")


def _cells(path: str, line: int, text: str) -> list[str]:
    try:
        return [*next(csv.reader([text])), ""][:2]  # a comma in open quotes leaves one cell
    except (csv.Error, StopIteration) as error:
        raise DataError(f"{path}, line {line}: {text[:80]!r} is not CSV ({error}): correct it") from error


def _lines(source: Source) -> Iterable[tuple[int, str, str | None]]:
    """(number, path, label or None) of each line; a comma wins over spaces, and only the last space separates."""
    for line, text in enumerate(read_text(source.path).splitlines(), 1):
        text = text.strip()
        if not text or text.startswith("#"):
            continue
        if "," in text:
            name, label = _cells(source.path, line, text)
        elif is_video(text) or is_picture(text):
            name, label = text, ""
        else:
            name, _, label = text.replace("\t", " ").rpartition(" ")
            if not name and source.fps is not None:
                name, label = label, ""
        name, label = name.strip(), label.strip()
        if "\0" in name or not (is_video(name) or is_picture(name) or (name and source.fps is not None)):
            if line == 1:
                continue  # the names of the columns
            raise DataError(f"{source.path}, line {line}: {text[:80]!r} does not start with the path of a video: correct it")
        yield line, name, label or None
