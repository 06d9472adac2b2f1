"""Calls that come while a batch is computed are the next batch."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest

from services.models.batches import Batches
from services.models.served import Call


def call(number: int) -> Call:
    return Call("m", "scores", np.zeros((1,)), values={"number": number})


class Slow:
    """Answers with the numbers of the calls, the first batch only when it may."""

    def __init__(self) -> None:
        self.parts: list[list[int]] = []
        self.may = threading.Event()

    def __call__(self, calls):
        self.parts.append([each.values["number"] for each in calls])
        assert self.may.wait(30)
        if -1 in self.parts[-1]:
            raise RuntimeError("broken")
        yield from enumerate(self.parts[-1])


def answered(numbers, most=16, before=lambda tasks: None):
    """What each call was answered, an error as a value, and the batches; all but the first come while that is computed."""
    slow = Slow()

    async def go():
        batches = Batches(slow, most)
        tasks = [asyncio.create_task(batches.answer(call(numbers[0])))]
        while not slow.parts:
            await asyncio.sleep(0.001)
        for number in numbers[1:]:
            tasks.append(asyncio.create_task(batches.answer(call(number))))
            await asyncio.sleep(0.002)
        before(tasks)
        slow.may.set()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert (batches.batches, batches.calls) == (len(slow.parts), sum(map(len, slow.parts)))
        return found

    return asyncio.run(go()), slow.parts


def test_those_that_come_meanwhile_are_one_batch():
    found, parts = answered([0, 1, 2, 3])
    assert found == [0, 1, 2, 3]
    assert parts == [[0], [1, 2, 3]]


def test_a_batch_has_at_most_so_many():
    found, parts = answered(list(range(6)), most=2)
    assert found == list(range(6))
    assert parts == [[0], [1, 2], [3, 4], [5]]


def test_a_call_that_was_cancelled_is_not_computed():
    found, parts = answered([0, 1, 2], before=lambda tasks: tasks[1].cancel())
    assert isinstance(found[1], asyncio.CancelledError)
    assert parts == [[0], [2]]


def test_answers_come_as_they_are_known():
    may = threading.Event()

    def compute(calls):
        yield 1, "second"
        assert may.wait(30)
        yield 0, "first"

    async def go():
        batches = Batches(compute, 2, wait_s=0.1)
        first, second = (asyncio.create_task(batches.answer(call(number))) for number in range(2))
        assert await asyncio.wait_for(second, 30) == "second"
        assert not first.done()
        may.set()
        return await first

    assert asyncio.run(go()) == "first"


def test_an_error_is_that_of_its_batch_alone():
    found, parts = answered([0, -1, 2, 3], most=2)
    assert parts == [[0], [-1, 2], [3]]
    assert (found[0], found[3]) == (0, 3)
    for error in found[1:3]:
        with pytest.raises(RuntimeError, match="broken"):
            raise error
