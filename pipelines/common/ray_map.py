"""Reading every video of a list once on the decoders of a cluster, for prediction and evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import ray
import ray.data
from ray.actor import ActorHandle
from ray.data import Dataset

from pipelines.common.decoding import Columns, execution, micro_batch_columns, split
from vidmodels.core.recipe import RunSection
from vidmodels.data.ledger import Ledger
from vidmodels.data.reader import ViewReader, to_columns


def decoded_videos(reader: ViewReader, indices: Sequence[int], run: RunSection, ledger: ActorHandle) -> Dataset:
    """A dataset with one video a row (V = 1), in the order of `indices`, each exactly once; to be read with `in_order`.

    A video that kills its decoder comes as a row with an error.
    """
    return execution(_ViewPart(ray.put(reader), list(indices)), len(indices), run, ledger)


def in_order(dataset: Dataset) -> Iterator[Columns]:
    """The rows one at a time as columns; arrays lie in read-only shared memory.

    The one part of a split, since its execution runs in an actor, whose messages do not reach the user's terminal.
    """
    return micro_batch_columns(split(dataset, 1)[0])


class _ViewPart:
    """One video of a list per row."""

    def __init__(self, reader: ray.ObjectRef, indices: list[int]) -> None:
        self.reader, self.indices = reader, indices

    def open(self):
        reader: ViewReader = ray.get(self.reader)

        def read(block: int, ledger: Ledger) -> Columns:
            index = int(self.indices[block])
            ref = reader.manifest.row(index)
            # a decoder has one video at a time here, so a suspect is the culprit and needs no second look
            if ledger.begin([ref.id]):
                columns = to_columns([reader.failed(index, f"{ref.uri}: its decoding process died: replace the file")])
            else:
                columns = reader.read_batch([index])
            ledger.done([ref.id])
            return columns

        return read


def score_on_cluster(
    scoring: Any, reader: ViewReader, indices: Sequence[int], run: RunSection, ledger: ActorHandle
) -> Iterator[Columns]:
    """The answers of `run.num_workers` scoring actors to the decoded videos, one video at a time, each exactly once.

    scoring: a `pipelines.common.scoring.Scoring`.
    """
    answered = decoded_videos(reader, indices, run, ledger).map_batches(
        _ScoringActor,
        batch_size=1,
        batch_format="numpy",
        fn_constructor_args=(scoring, run.cpus_per_worker),
        compute=ray.data.ActorPoolStrategy(size=run.num_workers),
        num_cpus=run.cpus_per_worker,
        num_gpus=run.gpus_per_worker or None,
    )
    return in_order(answered)


class _ScoringActor:
    """A model in an actor; rows are whole (V = 1) batches, as the decoders make them."""

    def __init__(self, scoring: Any, threads: int) -> None:
        self._scorer = scoring.open(threads)

    def __call__(self, rows: Columns) -> Columns:
        columns = {key: values[0] for key, values in rows.items()}
        answer = self._scorer(columns)
        return {key: values[None] if isinstance(values, np.ndarray) else [list(values)] for key, values in answer.items()}
