"""What the readers of lists share: text, JSON and CSV with errors that name the row, videos by name, numbers of classes."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from vidmodels.core.errors import DataError, did_you_mean
from vidmodels.data.manifest import Manifest
from vidmodels.data.storage import file_size, is_picture, is_video, join, kind, list_files, parent, read_bytes

Row = dict[str, Any]


@dataclass(frozen=True)
class Source:
    """A data set to be read.

    path: of its list or folder; root: folder of the videos; fps: frames per second, where each video is a folder of pictures;
    split: part of a data set whose lists hold several; label: which of several labels; classes: their names, where the user
    or the training data give them, LabelSets where these have several; multi_label: a video may have several labels.
    """

    path: str
    root: str | None = None
    fps: float | None = None
    split: str | None = None
    label: str | None = None
    classes: tuple[str, ...] | None = None
    multi_label: bool = False

    @property
    def base(self) -> str:
        """The folder of the videos: `root`, by default that of the list."""
        return parent(self.path) if self.root is None else self.root


class Found(NamedTuple):
    """Where a video lies, and the bytes of its file (None for a folder of pictures)."""

    uri: str
    bytes: int | None


@dataclass
class Videos:
    """The videos below a folder by their path or their name without the ending; with `fps`, folders of pictures.

    pictures: single pictures count as videos too; exact: by their path only.
    """

    base: str
    fps: float | None = None
    pictures: bool = False
    exact: bool = False
    _paths: dict[str, int] | None = field(default=None, init=False)
    _stems: dict[str, str] = field(default_factory=dict, init=False)

    def find(self, *names: str) -> Found | None:
        """The first of these names that exists, each a path below the folder or a name with or without ending."""
        each = (self._folder(name) if self.fps is not None else self._file(name) for name in names)
        return next((found for found in each if found is not None), None)

    def _file(self, name: str) -> Found | None:
        paths = self._listed()
        plain = name.removeprefix("./")
        if plain in paths:
            return Found(join(self.base, name), paths[plain])
        if "://" in name or name.startswith(("/", "..")):
            uri = join(self.base, name)
            size = file_size(uri)
            return None if size is None else Found(uri, size)
        path = None if self.exact else self._stems.get(stem(plain))
        return None if path is None else Found(join(self.base, path), paths[path])

    def _folder(self, name: str) -> Found | None:
        """Folders are looked at one by one: a listing would name every frame."""
        for path in (name,) if self.exact else dict.fromkeys((name, without_ending(name))):
            if kind(join(self.base, path)) == "folder":
                return Found(join(self.base, path).rstrip("/"), None)
        return None

    def _listed(self) -> dict[str, int]:
        if self._paths is None:
            files = list_files(self.base) if kind(self.base) == "folder" else []
            self._paths = {name: size for name, size in files if is_video(name) or (self.pictures and is_picture(name))}
            for name in self._paths:
                self._stems.setdefault(stem(name), name)
        return self._paths


class Classes:
    """Names of classes and their numbers; given: the list is fixed, else it is made of the labels that come."""

    def __init__(self, given: Sequence[str] | None, labels: Iterable[str] = ()) -> None:
        self.names = tuple(sorted(set(labels))) if given is None else tuple(given)
        self._numbers = {name: number for number, name in enumerate(self.names)}

    def number(self, label: str, where: str) -> int:
        """The number of a label. Raises DataError, which begins with `where`, for one that is not in the list."""
        if label not in self._numbers:
            raise DataError(
                f"{where}: the label {label!r} is not in the list of {len(self.names)} classes"
                f"{did_you_mean(label, self.names)}: correct it, or give the list that has it"
            )
        return self._numbers[label]


def make_manifest(
    source: Source, rows: Sequence[Row], missing: Sequence[str], classes: tuple[str, ...] | None, what: str = "videos"
) -> Manifest:
    """A manifest of what was found. Raises DataError where the list is empty or none of its videos is there."""
    if not rows and not missing:
        raise DataError(f"{source.path} lists no video: give a list with at least one")
    if not rows:
        count = f"none of the {len(missing)} {what} of {source.path}"
        raise DataError(f"{count} is in {source.base} ({missing[0]} ...): give its root")
    if source.fps is not None:
        rows = [{**row, "fps": source.fps} for row in rows]
    try:
        return Manifest.from_rows(list(rows), classes, tuple(dict.fromkeys(missing)))
    except DataError as error:
        raise DataError(f"{source.path}: {error}") from error


def read_text(path: str) -> str:
    """A text file. Raises DataError."""
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not a text file: give a list with a video on each line") from error


def read_json(path: str) -> Any:
    """A JSON file, or one with a JSON object on each line where its name ends in .jsonl. Raises DataError."""
    text = read_text(path)
    if path.lower().endswith(".jsonl"):
        return [_parsed(f"{path}, row {row}", line) for row, line in enumerate(text.splitlines(), 1) if line.strip()]
    return _parsed(path, text)


def _parsed(where: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: this is not JSON ({error}): correct it") from error


def read_records(path: str, needed: Sequence[str], what: str, separator: str = ",") -> Iterator[tuple[str, dict[str, str]]]:
    """Rows of a file whose first line names the columns, each with "FILE, row N" for errors. Raises DataError.

    needed: columns that must be there; what: name of the list, for the error that says so.
    """
    reader = csv.DictReader(io.StringIO(read_text(path)), delimiter=separator)
    try:
        if missing := [name for name in needed if name not in (reader.fieldnames or ())]:
            raise DataError(f"{path} is no {what}: its first line must name {', '.join(needed)}, and {missing[0]} is missing")
        for record in reader:
            where = f"{path}, row {reader.line_num}"
            if absent := [name for name in needed if record[name] is None]:
                raise DataError(f"{where}: {absent[0]} is missing: each row needs {', '.join(needed)}")
            yield where, {name: text.strip() for name, text in record.items() if isinstance(text, str)}
    except csv.Error as error:
        raise DataError(f"{path}, row {reader.line_num}: this is not CSV ({error}): correct it") from error


def read_class_names(path: str) -> tuple[str, ...]:
    """Class names in the order of their numbers from a file that a data set or a user has.

    One name a line; "1 Name" or "c000 Name" lines; JSON: a list of names, or an object name -> number. Raises DataError.
    """
    if path.lower().endswith(".json"):
        tree = read_json(path)
        if isinstance(tree, list) and all(isinstance(name, str) for name in tree):
            return _distinct(path, tree)
        if isinstance(tree, dict):
            return _ordered(path, [(str(number), name) for name, number in tree.items()])
        raise DataError(f"{path} holds no class names: give a list of names, or an object name -> number")
    lines = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    pairs = [(number.removeprefix("c"), name.strip()) for number, _, name in (line.partition(" ") for line in lines)]
    if lines and all(number.isascii() and number.isdigit() and name for number, name in pairs):
        return _ordered(path, pairs)
    return _distinct(path, lines)


def _ordered(path: str, pairs: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """Names of pairs (number, name), whose numbers count from 0 or 1."""
    for number, name in pairs:
        if not (number.isascii() and number.isdigit()):
            raise DataError(f"{path}: the class {name!r} has the number {number!r}: write a whole number")
    ordered = sorted((int(number), name) for number, name in pairs)
    first = ordered[0][0] if ordered else 0
    if first > 1 or [number for number, _ in ordered] != list(range(first, first + len(ordered))):
        raise DataError(f"{path}: the numbers of the classes must count from 0 or 1, and each must come once: correct them")
    return _distinct(path, [name for _, name in ordered])


def _distinct(path: str, names: Sequence[str]) -> tuple[str, ...]:
    if not names:
        raise DataError(f"{path} holds no class name: write one a line")
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise DataError(f"{path} names the class {twice!r} twice: leave one of them out")
    return tuple(names)


def beside(path: str, names: Sequence[str]) -> str | None:
    """The first of these files that lies in the folder of `path`."""
    return next((place for name in names if kind(place := join(parent(path), name)) == "file"), None)


def number(where: str, name: str, value: Any, convert: Callable[[Any], float] = float) -> float:
    """A finite number of seconds or the like. Raises DataError."""
    try:
        if isinstance(value, bool):
            raise ValueError
        found = convert(value)
    except (TypeError, ValueError, OverflowError):
        found = math.nan
    if not math.isfinite(found):
        raise DataError(f"{where}: {name} {value!r} is not a number: correct it")
    return found


def span(where: str, start: Any, end: Any, convert: Callable[[Any], float] = float) -> tuple[float, float]:
    """Start and end in seconds. Raises DataError where they are no numbers, or the end is not after the start."""
    first, last = number(where, "start", start, convert), number(where, "end", end, convert)
    if not 0 <= first < last:
        raise DataError(f"{where}: the span from {start} to {end} is empty or before the start: give start < end in seconds")
    return first, last


def stem(name: str) -> str:
    """The name of a file without folders and ending."""
    return without_ending(name.rsplit("/", 1)[-1])


def without_ending(name: str) -> str:
    """A path without the ending of a video or picture."""
    return name.rsplit(".", 1)[0] if is_video(name) or is_picture(name) else name
