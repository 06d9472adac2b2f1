"""The list of a data set's videos: ids, addresses, labels and spans in one pyarrow table."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from vidmodels.core.errors import ConfigError, DataError, did_you_mean
from vidmodels.core.label_sets import LabelSets
from vidmodels.data.storage import is_picture, open_filesystem

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("uri", pa.string()),
        ("label", pa.int64()),
        ("start", pa.float64()),
        ("end", pa.float64()),
        ("bytes", pa.int64()),
        ("labels", pa.list_(pa.int64())),
        ("label_spans", pa.list_(pa.list_(pa.float64()))),
        ("fps", pa.float64()),
    ]
)
_CLASSES = b"vidmodels.classes"
SET_COLUMN = "label."
"""What the column of a label set begins with; its name follows."""


@dataclass(frozen=True)
class SampleRef:
    """One video or picture, or the span `start` to `end` (seconds) of a video.

    label: a class number, or None; labels: class numbers where a video may have any number of them, else None;
    label_spans: start and end in seconds of each of the labels, where that is known; fps: frames per second of a video that
    lies as a folder of pictures (`uri`), else None; set_labels: of several label sets the class number in each (-1: none), in
    the order of their names, else None.
    """

    id: str
    uri: str
    label: int | None = None
    start: float | None = None
    end: float | None = None
    labels: tuple[int, ...] | None = None
    label_spans: tuple[tuple[float, float], ...] | None = None
    fps: float | None = None
    set_labels: tuple[int, ...] | None = None


class Manifest:
    """The videos of a data set.

    table: columns id, uri and optionally label (null or -1: none), start, end (seconds; null or NaN: the whole
    video), bytes (size of the file), labels (a list of classes, where a video may have several), label_spans (start and end
    of each of them), fps (of a folder of pictures). classes: names of the labels; missing: what a list names and nobody found.
    Where classes are LabelSets, the column label.NAME has the number in each set instead of label (null or -1: none).
    Raises DataError where a column is missing, an id comes twice, a label has no class or spans are not those of the labels.
    """

    def __init__(self, table: pa.Table, classes: tuple[str, ...] | None = None, missing: tuple[str, ...] = ()) -> None:
        self.classes = classes if classes is None or isinstance(classes, LabelSets) else tuple(classes)
        self.table = _canonical(table, self.classes)
        self.missing = tuple(missing)
        self._check()

    def __len__(self) -> int:
        return self.table.num_rows

    def row(self, index: int) -> SampleRef:
        """Video number `index`; takes the same short time in a list of any length."""
        if not 0 <= index < len(self):
            raise IndexError(f"video {index} outside 0..{len(self) - 1}")
        name, uri, label, start, end, _, labels, spans, fps, *sets = (column[int(index)].as_py() for column in self._columns)
        times = None if spans is None else tuple((first, last) for first, last in spans)
        each = None if not sets else tuple(-1 if number is None else number for number in sets)
        return SampleRef(name, uri, label, start, end, None if labels is None else tuple(labels), times, fps, each)

    @property
    def label_sets(self) -> dict[str, tuple[str, ...]]:
        """The classes of each label set, {} where there is one set without a name."""
        return self.classes.sets if isinstance(self.classes, LabelSets) else {}

    @property
    def lacking(self) -> dict[str, int]:
        """How many samples have no label in each label set; sets that all samples have are left out."""
        counts = {name: self.table[f"{SET_COLUMN}{name}"].null_count for name in self.label_sets}
        return {name: count for name, count in counts.items() if count}

    def only(self, name: str) -> Manifest:
        """The manifest with one of its label sets as its plain labels. Raises DataError where there is no such set."""
        if name not in self.label_sets:
            sets = ", ".join(self.label_sets) or "one without a name"
            raise DataError(f"there is no label set {name!r}{did_you_mean(name, self.label_sets)}: the videos have {sets}")
        table = self.table.set_column(2, SCHEMA.field("label"), self.table[f"{SET_COLUMN}{name}"])
        return Manifest(table, self.label_sets[name], self.missing)

    @cached_property
    def multi_label(self) -> bool:
        """Whether videos have lists of labels instead of one."""
        return self.table["labels"].null_count < len(self)

    @cached_property
    def has_label_spans(self) -> bool:
        """Whether it is known when in a video each of its labels holds."""
        return self.table["label_spans"].null_count < len(self)

    @cached_property
    def pictures(self) -> int:
        """How many of the samples are pictures."""
        return sum(is_picture(uri) for uri in self.table["uri"].to_pylist())

    @cached_property
    def _columns(self) -> list[pa.Array]:
        # one chunk each, so that an element is found without a search
        return [column.combine_chunks() if column.num_chunks != 1 else column.chunk(0) for column in self.table.columns]

    @cached_property
    def digest(self) -> str:
        """SHA-256 over ids, labels, spans, sizes and class names, in the order of ids; where files lie is not in it."""
        # a column that came later counts where it says something, so that older digests stay
        later = [name for name in self.table.column_names[6:] if self.table[name].null_count < len(self)]
        columns = ("id", "label", "start", "end", "bytes", *later)
        rows = sorted(zip(*(self.table[name].to_pylist() for name in columns)), key=lambda row: row[0])
        content = json.dumps({"classes": self.classes, "rows": rows}, ensure_ascii=True, separators=(",", ":"))
        return hashlib.sha256(content.encode()).hexdigest()

    def split(self, fraction: float) -> tuple[Manifest, Manifest]:
        """(train, val) with about `fraction` of each class (of the first label set) in val, chosen by a hash of the id.

        The same ids fall on the same side whatever else the list holds of other classes; each class keeps at least
        one video for training. Raises DataError where val would be empty.
        """
        groups: dict[Any, list[tuple[bytes, int]]] = {}
        column = next((f"{SET_COLUMN}{name}" for name in self.label_sets), "label")
        for index, (name, label) in enumerate(zip(self.table["id"].to_pylist(), self.table[column].to_pylist())):
            groups.setdefault(label, []).append((hashlib.sha256(name.encode()).digest(), index))
        held: set[int] = set()
        for members in groups.values():
            count = min(round(len(members) * fraction), len(members) - 1)
            held.update(index for _, index in sorted(members)[:count])
        if fraction > 0 and not held:
            raise DataError(
                f"{fraction:g} of {len(self)} videos in {len(groups)} classes leaves none for validation: "
                "give more videos or a larger fraction"
            )
        train = [index for index in range(len(self)) if index not in held]
        return self._taken(train), self._taken(sorted(held))

    def save(self, path: Any) -> None:
        """Write a Parquet file with the class names in its metadata. Raises DataError where it cannot be written."""
        metadata = {} if self.classes is None else {_CLASSES: json.dumps(self.label_sets or self.classes).encode()}
        system, inner = open_filesystem(str(path))
        try:
            pq.write_table(self.saved_table().replace_schema_metadata(metadata), inner, filesystem=system)
        except (OSError, pa.ArrowException) as error:
            raise DataError(f"cannot write the manifest {path}: {error}; choose another place") from error

    def saved_table(self) -> pa.Table:
        """What `save` writes."""
        return self.table

    @classmethod
    def load(cls, path: Any) -> Manifest:
        """Read what `save` wrote, or any Parquet file with columns id and uri. Raises DataError."""
        system, inner = open_filesystem(str(path))
        try:
            table = pq.read_table(inner, filesystem=system)
        except (OSError, pa.ArrowException) as error:
            reason = str(error).split("\n")[0]
            raise DataError(f"cannot read the manifest {path}: {reason}; give a Parquet file of videos") from error
        names = (table.schema.metadata or {}).get(_CLASSES)
        try:
            known = None if names is None else json.loads(names)
            if isinstance(known, dict):
                return cls(table, LabelSets(known))
            return cls(table, None if known is None else tuple(str(name) for name in known))
        except (ConfigError, DataError, ValueError, TypeError) as error:
            raise DataError(f"{path}: {error}") from error

    @classmethod
    def from_rows(
        cls, rows: list[dict[str, Any]], classes: tuple[str, ...] | None = None, missing: tuple[str, ...] = ()
    ) -> Manifest:
        """A manifest of rows with the keys id, uri and optionally label (label.NAME), start, end, bytes, labels, label_spans,
        fps."""
        return cls(pa.Table.from_pylist(rows, schema=_schema(classes)), classes, missing)

    def __getstate__(self) -> dict[str, Any]:
        return {"table": self.table, "classes": self.classes, "missing": self.missing}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def _taken(self, indices: list[int]) -> Manifest:
        # take copies: a slice would carry the whole table along when it is sent to a worker
        return Manifest(self.table.take(pa.array(indices, pa.int64())), self.classes, self.missing)

    def _check(self) -> None:
        for fps in self.table["fps"].to_pylist() if self.table["fps"].null_count < len(self) else ():
            if fps is not None and not 0 < fps <= 1000:
                raise DataError(f"{fps:g} frames per second of a folder of pictures cannot be: give a number above 0")
        if self.has_label_spans:
            for name, labels, spans in zip(*(self.table[key].to_pylist() for key in ("id", "labels", "label_spans"))):
                if spans is None:
                    continue
                if len(spans) != len(labels or ()):
                    raise DataError(f"{name} has {len(labels or ())} labels and {len(spans)} spans of them: give one for each")
                if any(len(span) != 2 for span in spans):
                    raise DataError(f"a span of a label of {name} is no pair: give its start and end in seconds")
        ids = self.table["id"].to_pylist()
        if None in ids or None in self.table["uri"].to_pylist():
            raise DataError("a row of the manifest lacks its id or uri: fill it in")
        if len(set(ids)) < len(ids):
            twice = [name for name, count in Counter(ids).items() if count > 1]
            raise DataError(f"{len(twice)} ids come twice, such as {', '.join(twice[:3])}: give each video its own id")
        for name, classes in self.label_sets.items():
            largest = pc.max(self.table[f"{SET_COLUMN}{name}"]).as_py()
            if largest is not None and largest >= len(classes):
                raise DataError(f"label {largest} of the set {name} has no class: {len(classes)} class names are given")
        if self.classes is not None:
            each = [label for labels in self.table["labels"].to_pylist() for label in labels or ()]
            largest = max((label for label in [*self.table["label"].to_pylist(), *each] if label is not None), default=-1)
            if largest >= len(self.classes):
                raise DataError(f"label {largest} has no class: {len(self.classes)} class names are given")


def _schema(classes: tuple[str, ...] | None) -> pa.Schema:
    """SCHEMA with a column for each label set."""
    names = classes.sets if isinstance(classes, LabelSets) else ()
    return pa.schema([*SCHEMA, *((f"{SET_COLUMN}{name}", pa.int64()) for name in names)])


def _canonical(table: pa.Table, classes: tuple[str, ...] | None) -> pa.Table:
    """The table with the columns of the schema in their order; -1 and NaN, which stand for "none", become null."""
    if absent := {"id", "uri"} - set(table.column_names):
        raise DataError(f"a manifest needs the columns id and uri; {', '.join(sorted(absent))} is missing")
    columns, schema = [], _schema(classes)
    for field in schema:
        name = "size" if field.name == "bytes" and "bytes" not in table.column_names else field.name
        if name not in table.column_names:
            if name.startswith(SET_COLUMN):
                raise DataError(f"the manifest lacks the column {name}: give each label set the numbers of its classes")
            columns.append(pa.nulls(table.num_rows, field.type))
            continue
        try:
            values = table[name].cast(field.type).to_pylist()
        except (pa.ArrowException, ValueError) as error:
            raise DataError(f"the column {name} of the manifest is not of type {field.type}: {error}") from error
        if field.name == "label" or field.name.startswith(SET_COLUMN):
            values = [None if value is None or value < 0 else value for value in values]
        elif field.name in ("start", "end"):
            values = [None if value is None or math.isnan(value) else value for value in values]
        columns.append(pa.array(values, field.type))
    return pa.Table.from_arrays(columns, schema=schema)
