"""Lists of videos as the Kinetics data sets come: "path label" lines, and the official CSV of YouTube clips."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from vidmodels.core.errors import DataError
from vidmodels.data.formats.folder import is_video
from vidmodels.data.manifest import Manifest
from vidmodels.data.storage import is_local, join, kind, list_files, parent, read_bytes

_OFFICIAL = {"youtube_id", "time_start", "time_end"}


def is_official_csv(path: str) -> bool:
    """Whether the first line of a file names the columns of the official CSV."""
    return set(next(csv.reader(io.StringIO(_text(path))), [])) >= _OFFICIAL


def read_list(path: str, root: str | None = None) -> Manifest:
    """Lines "path label", separated by space, tab or comma; the label is a number or a class name, or left out.

    With numbers there are no class names. What is not found is listed in `missing`. Raises DataError.
    """
    pairs = _pairs(path)
    numeric = all(label is None or label.lstrip("-").isdigit() for _, label in pairs)
    classes = None if numeric else tuple(sorted({label for _, label in pairs if label is not None}))
    numbers = {name: number for number, name in enumerate(classes or ())}
    rows, missing = _found(path, root, pairs)
    for row in rows:
        label = row.pop("text")
        row["label"] = None if label is None else numbers[label] if classes is not None else int(label)
    return Manifest.from_rows(rows, classes, missing)


def read_multi_label_list(path: str, root: str | None = None) -> Manifest:
    """Lines "path labels", where the labels of a video are names or numbers with semicolons between them, or left out.

    With numbers the classes are named after them, from 0 to the largest. Raises DataError.
    """
    pairs = _pairs(path)
    rows, missing = _found(path, root, pairs)
    each = {name: [part.strip() for part in (text or "").split(";") if part.strip()] for name, text in pairs}
    words = {word for labels in each.values() for word in labels}
    if not words:
        raise DataError(f"{path} names no label: write them after the path, with semicolons between them, as in a.mp4 run;jump")
    numeric = all(word.isdigit() for word in words)
    classes = tuple(map(str, range(max(map(int, words)) + 1))) if numeric else tuple(sorted(words))
    numbers = {name: number for number, name in enumerate(classes)}
    for row in rows:
        del row["text"]
        row["labels"] = sorted({numbers[str(int(word)) if numeric else word] for word in each[row["id"]]})
    return Manifest.from_rows(rows, classes, missing)


def _pairs(path: str) -> list[tuple[str, str | None]]:
    pairs = list(_lines(path))
    if not pairs:
        raise DataError(f"{path} lists no video: write a path and a label on each line")
    return pairs


def _found(path: str, root: str | None, pairs: list[tuple[str, str | None]]) -> tuple[list[dict], tuple[str, ...]]:
    """Rows with id, uri, bytes and the label's `text` of the listed videos that exist, and the names of those that do not."""
    base = parent(path) if root is None else root
    sizes = _sizes(base, [name for name, _ in pairs])
    rows: list[dict] = []
    missing, seen = [], set()
    for name, text in pairs:
        if name not in sizes:
            missing.append(name)
            continue
        if name in seen:
            raise DataError(f"{path} lists {name} twice: leave one of the lines out")
        seen.add(name)
        rows.append({"id": name, "uri": join(base, name), "text": text, "bytes": sizes[name]})
    if not rows:
        raise DataError(f"none of the {len(pairs)} videos of {path} is in {base} ({missing[0]} ...): give its root")
    return rows, tuple(missing)


def read_kinetics_csv(path: str, root: str | None = None) -> Manifest:
    """The official CSV (label, youtube_id, time_start, time_end, split) with the clips found under `root`.

    A clip is the file ID_000010_000020.mp4 (already cut) or ID.mp4 (the whole video: the span is kept), at any depth.
    Clips that are not there are listed in `missing`. Raises DataError.
    """
    base = parent(path) if root is None else root
    found: dict[str, tuple[str, int]] = {}
    for name, size in list_files(base):
        if is_video(name):
            found.setdefault(name.rsplit("/", 1)[-1].rsplit(".", 1)[0], (name, size))
    records = list(csv.DictReader(io.StringIO(_text(path))))
    if not records or not set(records[0]) >= _OFFICIAL:
        raise DataError(f"{path} is no official Kinetics CSV: its first line must name {', '.join(sorted(_OFFICIAL))}")
    labels = sorted({record["label"] for record in records if record.get("label")})
    numbers = {name: number for number, name in enumerate(labels)}
    rows, missing = [], []
    for line, record in enumerate(records, 2):
        name, start, end = _clip(path, line, record)
        span: dict[str, float] = {}
        if name not in found:
            span = {"start": start, "end": end}
        file = found.get(name) or found.get(record["youtube_id"])
        if file is None:
            missing.append(name)
            continue
        label = numbers.get(record.get("label") or "")
        rows.append({"id": name, "uri": join(base, file[0]), "label": label, "bytes": file[1], **span})
    if not rows:
        raise DataError(f"none of the {len(records)} clips of {path} is in {base} ({missing[0]} ...): give its root")
    return Manifest.from_rows(rows, tuple(labels) or None, tuple(missing))


def _clip(path: str, line: int, record: dict[str, str]) -> tuple[str, float, float]:
    try:
        start, end = float(record["time_start"]), float(record["time_end"])
        return f"{record['youtube_id']}_{int(start):06d}_{int(end):06d}", start, end
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{path}, line {line}: time_start and time_end must be numbers of seconds") from error


def _text(path: str) -> str:
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not a text file: give a list with a path and a label on each line") from error


def _lines(path: str) -> Iterable[tuple[str, str | None]]:
    """(path, label or None) of each line; a comma wins over spaces, and only the last space separates."""
    for number, line in enumerate(_text(path).splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        if "," in line:
            name, label = next(csv.reader([line]))[:2]
        elif is_video(line):
            name, label = line, ""
        else:
            name, _, label = line.replace("\t", " ").rpartition(" ")
        name, label = name.strip(), label.strip()
        if "\0" in name or not is_video(name):
            if number == 1:
                continue  # the names of the columns
            raise DataError(f"{path}, line {number}: {line[:80]!r} does not start with the path of a video: correct it")
        yield name, label or None


def _sizes(base: str, names: list[str]) -> dict[str, int]:
    """Bytes of the listed files that exist, from one listing of the folder where they lie below it."""
    below = dict(list_files(base)) if kind(base) == "folder" else {}
    sizes = {}
    for name in names:
        plain = name.removeprefix("./")
        if plain in below:
            sizes[name] = below[plain]
        elif "://" in name or name.startswith(("/", "..")):
            size = _size(join(base, name))
            if size is not None:
                sizes[name] = size
    return sizes


def _size(uri: str) -> int | None:
    from vidmodels.data.storage import open_filesystem

    system, path = open_filesystem(uri)
    info = system.get_file_info(path)
    return info.size if info.is_file or (is_local(uri) and info.size) else None
