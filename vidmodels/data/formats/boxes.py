"""Boxes of your own: CSV with a header, JSON lines or Parquet, with a row for each box.

Columns: video, time (seconds), x1, y1, x2, y2, and where you have them label or labels, person, score.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

from vidmodels.core.errors import DataError, did_you_mean
from vidmodels.data.keyframes import BoxRow, KeyFrames
from vidmodels.data.storage import read_bytes

REQUIRED = ("video", "time", "x1", "y1", "x2", "y2")
OPTIONAL = ("label", "labels", "person", "score")
COLUMNS = (*REQUIRED, *OPTIONAL)

Record = dict[str, Any]


def read_boxes(path: str, classes: Sequence[str] | None = None, normalised: bool = False, scored: bool = False) -> KeyFrames:
    """The boxes in a file whose name ends in .csv, .json, .jsonl or .parquet.

    Several labels are a list, or one cell with ';' between them, or several rows of the same box. classes: the names that
    labels may have, default those of the file in the order of the alphabet. normalised: the boxes are shares of the frame,
    else pixels. scored: every box must have a score from 0 to 1. Rows count as lines of the file do, from 1. Raises DataError:
    unknown or missing column, what is no number, an inverted box, a label that is not in the list.
    """
    records = [(row, record, _labels(path, row, record)) for row, record in _records(path)]
    if not records:
        raise DataError(f"{path} holds no box: give a row for each")
    names = tuple(sorted({name for *_, labels in records for name in labels})) if classes is None else tuple(classes)
    numbers = {name: number for number, name in enumerate(names)}
    rows = []
    for row, record, labels in records:
        for name in labels:
            if name not in numbers:
                raise DataError(
                    f"{path}, row {row}: the label {name!r} is not in the list of {len(names)} classes"
                    f"{did_you_mean(name, numbers)}: correct it, or add it to the list"
                )
        time, x1, y1, x2, y2 = (_number(path, row, name, record[name]) for name in REQUIRED[1:])
        score = 1.0 if _absent(record.get("score")) else _number(path, row, "score", record["score"])
        if scored and (_absent(record.get("score")) or not 0 <= score <= 1):
            found = "is missing" if _absent(record.get("score")) else f"{score:g} is not in 0..1"
            raise DataError(f"{path}, row {row}: score {found}: give each detected box how sure the detector is, from 0 to 1")
        person = None if _absent(record.get("person")) else str(record["person"])
        video = str(record["video"])
        rows.append(BoxRow(video, time, (x1, y1, x2, y2), tuple(numbers[name] for name in labels), person, score, row))
    _check_persons(path, rows)
    return KeyFrames.from_rows(rows, path, names or None, normalised)


def _records(path: str) -> Iterator[tuple[int, Record]]:
    """Rows with their numbers, their columns checked."""
    ending = path.rsplit(".", 1)[-1].lower()
    if ending in ("parquet", "pq"):
        rows = _parquet(path)
    elif ending in ("json", "jsonl", "ndjson"):
        rows = _json(path)
    elif ending in ("csv", "txt"):
        rows = _csv(path)
    else:
        raise DataError(f"{path}: boxes are read from .csv, .json, .jsonl and .parquet files: give one of these")
    for row, record in rows:
        for name in record:
            _check_column(path, row, name)
        for name in REQUIRED:
            if _absent(record.get(name)):
                raise DataError(f"{path}, row {row}: {name} is missing: every box needs {', '.join(REQUIRED)}")
        yield row, record


def _csv(path: str) -> Iterator[tuple[int, Record]]:
    reader = csv.reader(io.StringIO(_text(path)), skipinitialspace=True)
    try:
        names = _header(path, next(reader, []))
        for cells in reader:
            if len(cells) > len(names):
                more = f"more cells than columns, from {cells[len(names)]!r} on"
                raise DataError(f"{path}, row {reader.line_num}: {more}: put cells with a comma into quotes")
            if any(cells):
                yield reader.line_num, dict(zip(names, cells))
    except csv.Error as error:
        raise DataError(f"{path}, row {reader.line_num}: this is not CSV ({error}): correct it") from error


def _header(path: str, cells: list[str]) -> list[str]:
    """The names of the columns."""
    names = [cell.strip().lower() for cell in cells]
    if not set(names) & set(COLUMNS):
        first = ",".join(names)[:80]
        raise DataError(f"{path}, row 1: the first row must name the columns {', '.join(REQUIRED)}, and it is {first!r}")
    for name in names:  # before the rows, of which there may be none
        _check_column(path, 1, name)
    return names


def _check_column(path: str, row: int, name: str) -> None:
    if name not in COLUMNS:
        known = ", ".join(COLUMNS)
        raise DataError(f"{path}, row {row}: unknown column {name!r}{did_you_mean(name, COLUMNS)}: columns are {known}")


def _json(path: str) -> Iterator[tuple[int, Record]]:
    """One object a line, or a list of objects."""
    text = _text(path)
    if text.lstrip().startswith("["):
        for number, record in enumerate(_parsed(path, 1, text), 1):
            yield number, _object(path, number, record)
        return
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            yield number, _object(path, number, _parsed(path, number, line))


def _parsed(path: str, row: int, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}, row {row}: this is not JSON ({error}): write one object a line") from None


def _object(path: str, row: int, record: Any) -> Record:
    if not isinstance(record, dict):
        raise DataError(f"{path}, row {row}: {str(record)[:60]} is no object with the keys {', '.join(REQUIRED)}")
    return record


def _parquet(path: str) -> Iterator[tuple[int, Record]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(io.BytesIO(read_bytes(path)))
    except (OSError, pa.ArrowException) as error:
        reason = str(error).split("\n")[0]
        raise DataError(f"cannot read the boxes {path} ({reason}): give a Parquet file with a row for each box") from error
    yield from enumerate(table.to_pylist(), 1)


def _labels(path: str, row: int, record: Record) -> tuple[str, ...]:
    value = record.get("labels") if _absent(record.get("label")) else record["label"]
    if _absent(value):
        return ()
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(";") if part.strip())
    found = value if isinstance(value, list) else [value]
    if not all(isinstance(name, (str, int)) for name in found):
        raise DataError(f"{path}, row {row}: labels {value!r} are no names: give a name or a list of names")
    return tuple(str(name) for name in found)


def _number(path: str, row: int, name: str, value: Any) -> float:
    try:
        found = float(value) if not isinstance(value, bool) else math.nan
    except (TypeError, ValueError, OverflowError):
        found = math.nan
    if not math.isfinite(found):
        raise DataError(f"{path}, row {row}: {name} {value!r} is not a number: correct it")
    return found


def _check_persons(path: str, rows: list[BoxRow]) -> None:
    """Raise DataError where a person is at two places at once."""
    places: dict[tuple[str, float, str], BoxRow] = {}
    for row in rows:
        if row.person is None:
            continue
        before = places.setdefault((row.video, row.time, row.person), row)
        if before.xyxy != row.xyxy:
            raise DataError(
                f"{path}, row {row.row}: the person {row.person!r} is in two boxes at {row.time:g} s, the other in row "
                f"{before.row}: give each person a name of its own"
            )


def _absent(value: Any) -> bool:
    """Whether a cell is empty: Parquet files have nan there too."""
    return value is None or value == "" or value == [] or (isinstance(value, float) and math.isnan(value))


def _text(path: str) -> str:
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not a text file: give boxes as CSV, JSON lines or Parquet") from error
