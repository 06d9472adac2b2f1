"""Reading ahead: same batches in the same order, errors in their place, no thread left; on a GPU the same bytes and losses."""

from __future__ import annotations

import itertools
import threading
import time

import pytest
import torch

from tests.training.test_loop import Heard, batch_of, stream, trainer_in
from vidmodels.training.prefetch import on_device, read_ahead

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def stay(batch):
    return lambda: batch


def reading() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "prefetch"]


def gone() -> bool:
    deadline = time.monotonic() + 10
    while reading() and time.monotonic() < deadline:
        time.sleep(0.02)
    return not reading()


def test_batches_come_in_their_order():
    with read_ahead((batch_of([n]) for n in range(20)), stay, ahead=3) as batches:
        assert [batch.numbers.item() for batch in batches] == list(range(20))
    assert gone()


def test_an_error_comes_where_its_batch_would():
    def broken():
        yield batch_of([0])
        raise ValueError("no more")

    with read_ahead(broken(), stay, ahead=2) as batches:
        assert next(batches).numbers.item() == 0
        with pytest.raises(ValueError, match="no more"):
            next(batches)
    assert gone()


def test_only_so_many_wait_and_leaving_ends_the_thread():
    drawn = []

    def endless():
        for n in itertools.count():
            drawn.append(n)
            yield batch_of([n])

    with read_ahead(endless(), stay, ahead=2) as batches:
        next(batches)
        time.sleep(0.3)
        assert len(drawn) <= 4  # one taken, two waiting, one in the thread's hand
        assert len(reading()) == 1
    assert gone()


def test_on_a_cpu_no_thread_reads():
    with on_device((batch_of([n]) for n in range(3)), torch.device("cpu")) as batches:
        assert [batch.numbers.item() for batch in batches] == [0, 1, 2]
        assert not reading()


@needs_gpu
def test_on_a_gpu_the_bytes_are_the_same_and_the_device_computes_meanwhile():
    device = torch.device("cuda", 0)
    weight = torch.randn(4096, 4096, device=device)
    with on_device((batch_of(list(range(n, n + 64))) for n in range(0, 64 * 50, 64)), device) as batches:
        for number, batch in enumerate(batches):
            expected = batch_of(list(range(64 * number, 64 * number + 64)))
            assert batch.clips.device == device
            for _ in range(10):
                weight = (weight @ weight) * 1e-3
            assert torch.equal(batch.clips.cpu(), expected.clips)
            assert torch.equal(batch.labels.cpu(), expected.labels)
            assert batch.ids == expected.ids


@needs_gpu
def test_a_gpu_trains_as_the_cpu_does(tmp_path):
    there, here = Heard(), Heard()
    trainer = trainer_in(tmp_path / "cpu", here)
    trainer.run(stream(trainer))
    trainer = trainer_in(tmp_path / "gpu", there, device="cuda:0")
    trainer.run(stream(trainer))
    for step in range(1, 7):
        assert there.metrics[step]["loss"] == pytest.approx(here.metrics[step]["loss"], rel=1e-4)
