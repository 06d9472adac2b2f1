"""Files of embeddings: windows of videos with their times in a Parquet file that says which model made them.

R rows (windows), V videos, D width of an embedding.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vidmodels.core.errors import DataError, RunError, did_you_mean
from vidmodels.data.storage import kind, open_filesystem
from vidmodels.inference.feature_journal import Journal
from vidmodels.inference.predictor import Embedding

_KEY = "vidmodels."
ROWS = 4096
"""Rows of a row group, and so about what is in memory at once."""


@dataclass(frozen=True)
class Source:
    """What made embeddings: equal ones can be compared, others not.

    model, weights: names for people; digest: of the weights as they are used; output: features or projection; clips, stride:
    how windows were taken ('': as many as there are, end to end); precision: of the arithmetic.
    """

    model: str
    weights: str
    digest: str
    output: str = "features"
    clips: str = ""
    stride: str = ""
    precision: str = "float32"

    def __str__(self) -> str:
        of = f" of {self.weights}" if self.weights else " of initial weights"
        return f"the {'projection' if self.output == 'projection' else 'features'} of {self.model}{of}"

    def comparable(self, other: Source) -> bool:
        """Whether similarities of embeddings of both mean something."""
        return (self.digest, self.output) == (other.digest, other.output)


class FeatureWriter:
    """Writes a file of embeddings video by video; it appears whole or not at all, and not where there are no rows.

    What is computed is on the disk at once, beside the file: a writer with the same path, source and columns goes on where one
    was stopped, however it ended. columns: names of further columns of text, one value for each video. Use it in a `with`
    block. Raises RunError where it cannot be written.
    """

    def __init__(self, path: str, source: Source, dim: int, columns: Sequence[str] = ()) -> None:
        self.path, self.columns = Path(path), tuple(columns)
        fields = [("id", pa.string()), ("start", pa.float64()), ("end", pa.float64()), ("vector", pa.list_(pa.float32(), dim))]
        fields += [(name, pa.string()) for name in self.columns]
        about = {f"{_KEY}{key}": str(value) for key, value in vars(source).items()}
        self._journal = Journal(self.path.with_name(f".{self.path.name}.partial"), pa.schema(fields, metadata=about))
        self.done: set[str] = set()
        """Videos whose embeddings are there."""
        self.rows = 0

    def __enter__(self) -> FeatureWriter:
        try:
            self._journal.__enter__()
            for batch in self._journal:
                self.rows += batch.num_rows
                self.done.add(batch["id"][0].as_py())
        except OSError as error:
            raise self._unwritable(error) from None
        return self

    def add(self, video: str, embeddings: Sequence[Embedding], values: Mapping[str, str | None] | None = None) -> None:
        """Append the embeddings of one video; values: of the further columns."""
        known, count = values or {}, len(embeddings)
        columns = [
            [video] * count,
            [embedding.start for embedding in embeddings],
            [embedding.end for embedding in embeddings],
            [embedding.vector for embedding in embeddings],
            *([known.get(name)] * count for name in self.columns),
        ]
        schema = self._journal.schema
        arrays = [pa.array(each, field.type) for each, field in zip(columns, schema)]
        try:
            self._journal.add(pa.RecordBatch.from_arrays(arrays, schema=schema))
        except OSError as error:
            raise self._unwritable(error) from None
        self.rows += count
        self.done.add(video)

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        try:
            if kind is None and self.rows:
                self._finish()
            if kind is None or not self.rows:
                self._journal.remove()
        except OSError as error:
            raise self._unwritable(error) from None
        finally:
            self._journal.__exit__()

    def _finish(self) -> None:
        aside = self.path.with_name(f".{self.path.name}.{os.getpid()}.tmp")
        try:
            with pq.ParquetWriter(aside, self._journal.schema) as writer:
                held: list[pa.RecordBatch] = []
                for batch in self._journal:
                    held.append(batch)
                    if sum(each.num_rows for each in held) >= ROWS:
                        writer.write_table(pa.Table.from_batches(held))
                        held = []
                if held:
                    writer.write_table(pa.Table.from_batches(held))
            aside.replace(self.path)
        finally:
            aside.unlink(missing_ok=True)

    def _unwritable(self, error: OSError) -> RunError:
        return RunError(f"cannot write {self.path}: {error.strerror or error}; free some space or choose another folder")


@dataclass(frozen=True)
class Videos:
    """Some videos of a file in their order.

    ids, uris: V; vectors: float32 [V, D], the mean of each video's windows; spans: float64 [V, 2], from the start of the first
    to the end of the last in seconds; labels: V (None: none), where they were asked for.
    """

    ids: list[str]
    uris: list[str]
    vectors: np.ndarray
    spans: np.ndarray
    labels: list[str | None] | None = None

    def unit(self) -> np.ndarray:
        """The vectors at length 1 (zeros stay zeros), float32 [V, D]: their products are cosines."""
        return self.vectors / np.maximum(np.linalg.norm(self.vectors, axis=1, keepdims=True), 1e-12)


FOLDER = "folder"
"""The label that is no column: the name of the folder that holds a video."""


class FeatureFile:
    """A file of embeddings, at a path or in an object store, read in parts of bounded memory.

    Raises DataError: no such file, no Parquet, no embeddings in it, none that this package made.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        if kind(path) != "file":
            raise DataError(f"there is no file of features at {path}: make it with `vidmodels features MODEL VIDEO... --out`")
        system, inner = open_filesystem(path)
        try:
            self._file = pq.ParquetFile(system.open_input_file(inner))
        except (OSError, pa.ArrowException):
            raise DataError(f"{path} is no Parquet file: give one that `vidmodels features` has written") from None
        schema = self._file.schema_arrow
        lacking = [name for name in ("id", "start", "end", "vector") if name not in schema.names]
        if lacking or not pa.types.is_fixed_size_list(schema.field("vector").type):
            what = f"it lacks the column {lacking[0]}" if lacking else "its vectors are not of one width"
            raise DataError(f"{path} holds no features ({what}): give a file that `vidmodels features` has written")
        self.dim: int = schema.field("vector").type.list_size
        self.rows: int = self._file.metadata.num_rows
        self.columns = [name for name in schema.names if name not in ("id", "start", "end", "vector", "uri")]
        about = {key.decode(): value.decode() for key, value in (schema.metadata or {}).items()}
        known: Any = {name: about[f"{_KEY}{name}"] for name in Source.__dataclass_fields__ if f"{_KEY}{name}" in about}
        if not {"model", "weights", "digest"} <= set(known):
            raise DataError(f"{path} does not say which model made it: make it again with `vidmodels features`")
        if not self.rows:
            raise DataError(f"{path} holds no features: it has no row")
        self.source = Source(**known)

    def videos(self, label: str | None = None) -> Iterator[Videos]:
        """All videos in the order of the file, some at a time. label: a column, or FOLDER.

        Raises DataError for features that are not finite and a label that is not there.
        """
        self._check_label(label)
        names = ["id", "start", "end", "vector", *self._given("uri"), *self._given(label)]
        rest: pa.Table | None = None
        # group by group: pyarrow's iter_batches keeps all that it has read
        for group in range(self._file.num_row_groups):
            table = self._file.read_row_group(group, columns=names, use_threads=False)
            table = table if rest is None else pa.concat_tables([rest, table])
            # the last video of a part may go on in the next
            ids = table["id"].to_numpy()
            begins = np.flatnonzero(np.append(True, ids[1:] != ids[:-1]))
            rest = table.slice(begins[-1])
            if begins[-1]:
                yield self._means(table.slice(0, begins[-1]), begins[:-1], label)
        assert rest is not None
        yield self._means(rest, np.array([0]), label)

    def _given(self, name: str | None) -> list[str]:
        return [name] if name is not None and name in self._file.schema_arrow.names else []

    def _check_label(self, label: str | None) -> None:
        if label in (None, FOLDER) or label in self.columns:
            return
        there = f"only {', '.join(self.columns)}" if self.columns else "no labels at all"
        raise DataError(
            f"{self.path} has no column {label!r}{did_you_mean(str(label), self.columns)}, {there}: give --data to `vidmodels "
            f"features`, or take the names of the videos' folders as labels, --label {FOLDER}"
        )

    def _means(self, table: pa.Table, begins: np.ndarray, label: str | None) -> Videos:
        means = table["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False).reshape(-1, self.dim)
        firsts = table.drop_columns("vector").take(pa.array(begins))
        ids = firsts["id"].to_pylist()
        uris = firsts["uri"].to_pylist() if "uri" in table.column_names else ids
        counts = np.diff(np.append(begins, len(table)))
        if counts.max() > 1:
            means = np.add.reduceat(means.astype(np.float64), begins, axis=0) / counts[:, None]
        if not np.isfinite(means).all():
            bad = ids[int(np.flatnonzero(~np.isfinite(means).all(1))[0])]
            raise DataError(f"the features of {bad} in {self.path} are not finite: compute them anew")
        start = np.minimum.reduceat(table["start"].to_numpy(), begins)
        end = np.maximum.reduceat(table["end"].to_numpy(), begins)
        labels = None
        if label is not None:
            labels = [Path(uri).parent.name for uri in uris] if label == FOLDER else firsts[label].to_pylist()
        return Videos(ids, uris, means.astype(np.float32), np.stack([start, end], 1), labels)
