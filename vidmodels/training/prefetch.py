"""Batches on the training device before they are asked for: pinned and copied while the device computes."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator

import torch

from vidmodels.core.batch import Batch

Move = Callable[[Batch], Callable[[], Batch]]
"""Starts the move of a batch to the device; what it returns hands the batch over to the consumer."""

_END = object()


@contextlib.contextmanager
def on_device(batches: Iterator[Batch], device: torch.device, ahead: int = 2) -> Iterator[Iterator[Batch]]:
    """The same batches with their tensors on `device`; on a GPU `ahead` of them are on their way beside the computation.

    The thread that reads ahead is told to end on leaving the context; errors of `batches` appear where the batch would.
    """
    if device.type != "cuda":
        yield (batch.to(device) for batch in batches)
        return
    with read_ahead(batches, _CudaMove(device), ahead) as moved:
        yield moved


@contextlib.contextmanager
def read_ahead(batches: Iterator[Batch], move: Move, ahead: int) -> Iterator[Iterator[Batch]]:
    """`batches` read and moved by a thread that keeps at most `ahead` of them waiting."""
    waiting: queue.Queue = queue.Queue(maxsize=ahead)
    over = threading.Event()
    thread = threading.Thread(target=_read, args=(batches, move, waiting, over), name="prefetch", daemon=True)
    thread.start()
    try:
        yield _taken(waiting)
    finally:
        over.set()


def _read(batches: Iterator[Batch], move: Move, waiting: queue.Queue, over: threading.Event) -> None:
    try:
        for batch in batches:
            if not _put(waiting, move(batch), over):
                return
        _put(waiting, _END, over)
    except BaseException as error:  # not swallowed: the consumer raises it
        _put(waiting, error, over)


def _put(waiting: queue.Queue, item: object, over: threading.Event) -> bool:
    while not over.is_set():
        try:
            waiting.put(item, timeout=0.1)
        except queue.Full:
            continue
        return True
    return False


def _taken(waiting: queue.Queue) -> Iterator[Batch]:
    while (item := waiting.get()) is not _END:
        if isinstance(item, BaseException):
            raise item
        yield item()


class _CudaMove:
    """Copies through pinned memory on a stream of its own, so that neither the copy nor the pinning delays a step."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.stream = torch.cuda.Stream(device)

    def __call__(self, batch: Batch) -> Callable[[], Batch]:
        with torch.cuda.device(self.device), torch.cuda.stream(self.stream):
            moved = batch.pin().to(self.device)
            arrived = self.stream.record_event()

        def hand_over() -> Batch:
            current = torch.cuda.current_stream(self.device)
            current.wait_event(arrived)
            for tensor in moved.tensors():
                tensor.record_stream(current)  # its memory is not given to the next copy while the step still reads it
            return moved

        return hand_over
