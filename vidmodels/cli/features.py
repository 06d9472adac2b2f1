"""`vidmodels features`: embeddings of videos with their times, in a Parquet file."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vidmodels.cli.asking import above_zero, add_model_options, add_sound_option, for_each, open_predictor, positive
from vidmodels.core.errors import RunError

if TYPE_CHECKING:
    import pyarrow as pa

    from vidmodels.inference.predictor import Embedding

COMMAND = "features"


def run(argv: Sequence[str]) -> int:
    """`vidmodels features NAME VIDEO... --out FILE.parquet`: 0, or 1 where a video could not be read."""
    parser = argparse.ArgumentParser(
        prog="vidmodels features",
        description="Write embeddings of videos: a row for each window of the model's clip length, with the columns id "
        "(the video), start and end (seconds) and vector. Exit code 1 where a video could not be read.",
    )
    add_model_options(parser)
    add_sound_option(parser)
    parser.add_argument("--out", required=True, metavar="FILE.parquet", help="file to write")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--clips", type=positive, metavar="N", help="N clips evenly over each video, not windows over all")
    where.add_argument("--stride", type=above_zero, metavar="SECONDS", help="from window to window (default: end to end)")
    options = parser.parse_args(list(argv))

    # a pre-trained encoder has no head, and features need none
    predictor = open_predictor(COMMAND, options, allow=("head.*", "decoder.*"))
    about = {"model": predictor.name, "weights": predictor.weights or "", "precision": predictor.precision}
    with FeatureFile(options.out, about) as file:
        errors = for_each(
            COMMAND,
            options.videos,
            lambda video: file.add(video, predictor.features(video, options.clips, options.stride)),
        )
    if file.rows:
        print(f"{options.out}: {file.rows} embeddings of {len(options.videos) - len(errors)} videos, {file.dim} values each")
    if file.silent:
        print(f"  {file.silent} of them without sound: they are of the pictures alone")
    return 1 if errors else 0


class FeatureFile:
    """A Parquet file of embeddings that grows by `add`, a row group for each video, and appears whole or not at all.

    It is not written where there are no rows. Raises RunError where it cannot be written.
    """

    def __init__(self, path: str, about: dict[str, str]) -> None:
        self.path, self.about = Path(path), about
        self._aside = self.path.with_name(f".{self.path.name}.{os.getpid()}.tmp")
        self._writer: pa.parquet.ParquetWriter | None = None
        self.rows, self.dim, self.silent = 0, 0, 0

    def __enter__(self) -> FeatureFile:
        return self

    def add(self, video: str, embeddings: list[Embedding]) -> None:
        """Append the embeddings of one video."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            if self._writer is None:
                self.dim = len(embeddings[0].vector)
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._writer = pq.ParquetWriter(self._aside, _schema(self.dim, self.about))
            columns = [
                [video] * len(embeddings),
                [embedding.start for embedding in embeddings],
                [embedding.end for embedding in embeddings],
                [embedding.vector for embedding in embeddings],
            ]
            schema = self._writer.schema
            arrays = [pa.array(values, field.type) for values, field in zip(columns, schema)]
            self._writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
        except OSError as error:
            raise self._unwritable(error) from None
        self.rows += len(embeddings)
        self.silent += sum(embedding.heard is False for embedding in embeddings)

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        try:
            if self._writer is not None:
                self._writer.close()
                if kind is None:
                    self._aside.replace(self.path)
        except OSError as error:
            raise self._unwritable(error) from None
        finally:
            self._aside.unlink(missing_ok=True)

    def _unwritable(self, error: OSError) -> RunError:
        return RunError(f"cannot write {self.path}: {error.strerror or error}; free some space or choose another folder")


def _schema(dim: int, about: dict[str, str]) -> pa.Schema:
    import pyarrow as pa

    fields = [("id", pa.string()), ("start", pa.float64()), ("end", pa.float64()), ("vector", pa.list_(pa.float32(), dim))]
    return pa.schema(fields, metadata={f"vidmodels.{key}": value for key, value in about.items()})
