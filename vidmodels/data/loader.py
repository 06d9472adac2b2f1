"""The local back end of the data: this process or a few loader processes, without Ray."""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.context import BaseContext

from torch.utils.data import DataLoader, Dataset

from vidmodels.core.batch import Batch
from vidmodels.core.errors import RunError
from vidmodels.data.collate import to_batch
from vidmodels.data.ledger import FileLedger
from vidmodels.data.reader import TrainReader

log = logging.getLogger(__name__)


class _MicroBatches(Dataset):
    def __init__(self, reader: TrainReader, ledger: FileLedger | None) -> None:
        self.reader = reader
        self.ledger = ledger

    def __getitem__(self, numbers: Sequence[int]) -> Batch:
        return to_batch(self.reader.read_batch(numbers, self.ledger))


@dataclass
class LocalLoader:
    """Iterates over Batches of decoded samples.

    num_processes: loader processes; 0 decodes in this one. A loader process that dies is replaced, and the videos
    that it was decoding are then read in a child process, so that the culprit is found and named.
    """

    reader: TrainReader
    ledger: FileLedger | None = None
    num_processes: int = 0
    max_crashes: int = 20

    def batches(self, numbers: Sequence[Sequence[int]]) -> Iterator[Batch]:
        """Batches for the given lists of sample numbers, in this order."""
        if self.num_processes == 0:
            yield from map(_MicroBatches(self.reader, self.ledger).__getitem__, numbers)
            return
        crashes, position = 0, 0
        while position < len(numbers):
            try:
                for batch in self._loader(numbers[position:]):
                    yield batch
                    position += 1
                return
            except (RuntimeError, ConnectionError, EOFError, FileNotFoundError) as error:
                if not _is_of_a_death(error):
                    raise
                crashes += 1
                log.warning("a loader process died while decoding; its videos are tried apart (%d of %d)", crashes,
                            self.max_crashes)  # fmt: skip
                if crashes > self.max_crashes:
                    raise RunError(
                        f"{crashes} loader processes died while decoding: run `vidmodels data check` on the videos"
                    ) from error

    def _loader(self, numbers: Sequence[Sequence[int]]) -> DataLoader:
        return DataLoader(
            _MicroBatches(self.reader, self.ledger),
            batch_size=None,
            sampler=numbers,  # type: ignore[arg-type]  # each element is one micro-batch's numbers
            num_workers=self.num_processes,
            prefetch_factor=2,
            multiprocessing_context=_clean_context(),
        )


def _is_of_a_death(error: Exception) -> bool:
    """Whether torch's loader failed because one of its processes died, and not with an error of the reader.

    A process may die after it announced a batch whose memory was not fetched from it yet: then its socket is what fails.
    """
    if isinstance(error, RuntimeError):
        return "exited unexpectedly" in str(error)
    return "in DataLoader worker process" not in str(error)


def _clean_context() -> BaseContext:
    """Processes that start from a small server without threads.

    A plain fork of this process would copy locks that pyarrow's and torch's threads hold, and then wait for ever.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "cv2", "av"])  # slow to import, and without threads (pyarrow has one)
    return context
