"""Decoding on the cluster: one Ray Data execution per attempt, from global sample numbers to micro-batches.

M videos of a micro-batch, R clips of each, T frames, S side, C colours.

A row of the dataset is a whole micro-batch, and so is a block: nothing is cut or joined after decoding, and a consumer
maps its pixels without a copy. Ray's splitter gives the next block to the consumer with the fewest rows, so with
`preserve_order` it deals the blocks to the workers in turn: worker r receives r, r + world, r + 2 * world ... as
`vidmodels.data.course.MicroBatches` says. (`equal=True` would deal the same and only hold blocks back; the number of
blocks is a multiple of the workers here.) The execution runs in an actor of its own (Ray's SplitCoordinator), so its
scheduling takes no time from a training process.
"""

from __future__ import annotations

import functools
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa
import ray
import ray.data
from ray.actor import ActorHandle
from ray.data import Dataset, Datasource
from ray.data.block import BlockMetadata
from ray.data.datasource import ReadTask

from pipelines.common.ray_ledger import RayLedger
from vidmodels.core.errors import ConfigError
from vidmodels.core.recipe import RunSection
from vidmodels.data.ledger import Ledger

if TYPE_CHECKING:
    from vidmodels.core.batch import Batch

Columns = dict[str, Any]

BLOCKS_PER_TASK = 4096
AHEAD = 1024
"""References are made at most so many micro-batches ahead of decoding: a run has millions, and the executor keeps some
kilobytes of each that waits."""


class Reader(Protocol):
    """What decodes: `TrainReader`, or a stand-in for it."""

    def read_batch(self, numbers: Sequence[int], ledger: Ledger | None = None) -> Columns: ...


def decoded_dataset(
    reader: Reader, numbers: Sequence[Sequence[int]], world_size: int, run: RunSection, ledger: ActorHandle
) -> Dataset:
    """The lazy dataset of micro-batches, in their order.

    reader: put into the object store once, so that the decoders of a node share its tables; numbers: the sample numbers of
    each micro-batch (`MicroBatches` makes them as they are asked for); ledger: of `start_ledger`.
    Rows have `clips` uint8 [M, R, T, S, S, C], `number`, `label`, `repeated` int64 [M] and the lists `id`, `error`;
    split them with `split`. Micro-batches after the last full round of all workers are left out.
    """
    return execution(_TrainPart(ray.put(reader), numbers), len(numbers) // world_size * world_size, run, ledger)


def split(dataset: Dataset, world_size: int) -> list[Any]:
    """One iterator for each worker (picklable); all of them must be read for the execution to start."""
    return dataset.streaming_split(world_size, equal=False)


def micro_batch_columns(iterator: Any) -> Iterator[Columns]:
    """The micro-batches of a dataset or of one part of its split, as columns over read-only shared memory."""
    for rows in iterator.iter_batches(batch_size=1, batch_format="numpy", prefetch_batches=1):
        columns = {key: values[0] for key, values in rows.items()}
        yield {**columns, "id": list(columns["id"]), "error": list(columns["error"])}


def micro_batches(iterator: Any) -> Iterator[Batch]:
    """The same as Batches."""
    from vidmodels.data.collate import to_batch

    return map(to_batch, micro_batch_columns(iterator))


def label_selector(labels: Sequence[str]) -> dict[str, str] | None:
    """Ray's form of `run.decode_labels`. Raises ConfigError for what is not key=value."""
    for label in labels:
        if not all(label.partition("=")):
            raise ConfigError(f"run.decode_labels {label!r} is not key=value")
    return dict(label.split("=", 1) for label in labels) or None


def execution(part: Any, blocks: int, run: RunSection, ledger: ActorHandle) -> Dataset:
    """References to `blocks` rows, each decoded by `part` in one of the decoding actors."""
    name = uuid.uuid4().hex
    source = _References(blocks, ledger, name)
    # no core for making references, or a cluster that is full with workers and decoders would wait for ever
    dataset = ray.data.read_datasource(source, num_cpus=0, concurrency=1, override_num_blocks=source.num_tasks)
    _configure(dataset.context)
    return dataset.map_batches(
        Decoder,
        batch_size=1,
        batch_format="numpy",
        fn_constructor_args=(part, ledger, name),
        compute=ray.data.ActorPoolStrategy(size=max(1, run.decoders), max_tasks_in_flight_per_actor=2),
        num_cpus=1,
        label_selector=label_selector(run.decode_labels),
        udf_modifying_row_count=False,
    )


def _configure(context: ray.data.DataContext) -> None:
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    # one byte: every row becomes a block of its own, however large or small it is
    context.target_max_block_size = 1
    # Ray's defaults, on which we rely: decoders are restarted, and their tasks repeated, without limit. What would
    # otherwise go on for ever, a file that kills its decoder, is ended by the ledger.


class Decoder:
    """A decoding actor: one core, one reader, a micro-batch per call."""

    def __init__(self, part: Any, ledger: ActorHandle, execution: str) -> None:
        import cv2

        cv2.setNumThreads(1)  # as many decoders as cores: threads of their own would only be in each other's way
        self._read = part.open()
        self._ledger = RayLedger(ledger, execution)

    def __call__(self, rows: Columns) -> Columns:
        columns = self._read(int(rows["block"][0]), self._ledger)
        return {key: _as_one_row(values) for key, values in columns.items()}


class _TrainPart:
    """The micro-batches of `numbers`; `reader` is a reference to the stored reader."""

    def __init__(self, reader: ray.ObjectRef, numbers: Sequence[Sequence[int]]) -> None:
        self.reader, self.numbers = reader, numbers

    def open(self):
        reader: Reader = ray.get(self.reader)

        def read(block: int, ledger: Ledger) -> Columns:
            return reader.read_batch(self.numbers[block], ledger)

        return read


class _References(Datasource):
    """Rows `block` = 0 .. blocks - 1, made as they are needed and each a block of its own."""

    def __init__(self, blocks: int, ledger: ActorHandle, execution: str) -> None:
        super().__init__()
        self.blocks, self._ledger, self._execution = blocks, ledger, execution

    @property
    def num_tasks(self) -> int:
        return max(1, -(-self.blocks // BLOCKS_PER_TASK))

    def estimate_inmemory_data_size(self) -> int:
        return 8 * self.blocks

    def get_read_tasks(self, parallelism: int, per_task_row_limit: int | None = None, data_context: Any = None):
        tasks = []
        for first in range(0, max(1, self.blocks), BLOCKS_PER_TASK):
            last = min(first + BLOCKS_PER_TASK, self.blocks)
            rows = last - first
            about = BlockMetadata(num_rows=rows, size_bytes=8 * rows, input_files=None, exec_stats=None)
            work = functools.partial(_references, first, last, self._ledger, self._execution)
            tasks.append(ReadTask(work, about, schema=_SCHEMA))
        return tasks


_SCHEMA = pa.schema([("block", pa.int64())])


def _references(first: int, last: int, ledger: ActorHandle, execution: str) -> Iterable[pa.Table]:
    if first == last:
        yield _SCHEMA.empty_table()
    limit = AHEAD
    for block in range(first, last):
        while block >= limit:
            try:
                decoded: Any = ray.get(ledger.decoded.remote(execution))
                limit = decoded + AHEAD
            except ray.exceptions.RayActorError:
                limit = last  # without a ledger there is no pace to keep
            if block >= limit:
                time.sleep(0.2)
        yield pa.table({"block": [block]}, schema=_SCHEMA)


def _as_one_row(values: Any) -> Any:
    return values[None] if isinstance(values, np.ndarray) else [list(values)]
