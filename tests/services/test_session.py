"""Streams without Serve: turns, answers, readers that wait, and what the journal restores."""

from __future__ import annotations

import asyncio
import dataclasses
import json

import numpy as np
import pytest

from services.models.served import Rows
from services.problems import Problem
from services.streams.journal import Journal
from services.streams.session import KEPT_RESULTS, Session, StreamSettings
from tests.services.fake import INFO
from vidmodels.core.entry import InputSpec
from vidmodels.core.errors import DataError, MediaError

ID = "0123456789abcdef" * 2
SPEC = InputSpec(4, 1, 16)


def session(folder, calls=None, create=True) -> Session:
    """A stream of 10 pictures a second; its model answers with the mean of the clip, its pictures hold one number."""
    info = dataclasses.replace(INFO, spec=dataclasses.asdict(SPEC))

    async def read(path):
        if not path.exists():
            raise MediaError("the frame cannot be read")
        return np.full((16, 16, 3), int(path.read_text()), np.uint8)

    async def compute(call):
        if calls is not None:
            calls.append(call.clips[0, :, 0, 0, 0].tolist())
        left = float(call.clips.mean() / 255)
        return Rows(np.array([[left, 1 - left]], np.float32)), info

    journal = Journal(folder, ID)
    if create:
        journal.create({"settings": {}, "owner": "me"})
    return Session(StreamSettings("moves", fps=10), info, journal, read, compute)


def picture(folder, number: int):
    path = folder / f"picture-{number}"
    path.write_text(str(number % 200))
    return path


def push(stream: Session, folder, numbers) -> list[dict]:
    async def work():
        return [row for number in numbers for row in await stream.push(number / 10, picture(folder, number))]

    return asyncio.run(work())


def test_windows_are_answered_in_their_order(tmp_path):
    calls: list[list[int]] = []
    rows = push(session(tmp_path, calls), tmp_path, range(12))
    assert calls == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    assert [row["number"] for row in rows] == [0, 1, 2]
    assert [row["start"] for row in rows] == pytest.approx([0, 0.4, 0.8])
    assert rows[0]["scores"] == pytest.approx([1.5 / 255, 1 - 1.5 / 255], abs=1e-5)
    assert rows[0]["version"] == "moves/3"


def test_another_replica_goes_on_from_the_journal(tmp_path):
    calm: list[list[int]] = []
    push(session(tmp_path / "calm", calm), tmp_path, range(40))
    for stop in range(1, 12):
        folder, calls = tmp_path / f"{stop}", []
        folder.mkdir()
        push(session(folder, calls), tmp_path, range(stop))
        second = session(folder, calls, create=False)
        asyncio.run(second.restore())
        assert second.frames == stop
        push(second, tmp_path, range(stop, 40))
        assert calls == calm


def test_a_picture_that_is_pushed_again_is_taken_once(tmp_path):
    calls: list[list[int]] = []
    stream = session(tmp_path, calls)
    push(stream, tmp_path, range(4))
    assert push(stream, tmp_path, [3]) == []
    assert stream.frames == 4
    with pytest.raises(DataError, match="times must grow"):
        push(stream, tmp_path, [2])
    assert len(calls) == 1


def test_a_picture_that_cannot_be_read_changes_nothing(tmp_path):
    stream = session(tmp_path)
    push(stream, tmp_path, range(3))
    with pytest.raises(MediaError):
        asyncio.run(stream.push(0.3, tmp_path / "none"))
    assert [row["number"] for row in push(stream, tmp_path, [3])] == [0]


def test_a_picture_whose_window_cannot_be_answered_now_may_be_pushed_again(tmp_path):
    stream = session(tmp_path)
    push(stream, tmp_path, range(3))
    answer = stream._compute

    async def busy(call):
        raise Problem("overloaded", "the model has as much work as it can hold", retry_after=1)

    stream._compute = busy
    with pytest.raises(Problem):
        push(stream, tmp_path, [3])
    stream._compute = answer
    assert [row["number"] for row in push(stream, tmp_path, [3])] == [0]
    assert stream.frames == 4


def test_the_journal_keeps_what_a_window_needs_and_no_more(tmp_path):
    stream = session(tmp_path)
    push(stream, tmp_path, range(100))
    kept = sorted(path.name for path in stream.journal.folder.glob("frame-*"))
    assert len(kept) <= 5
    assert json.loads((stream.journal.folder / "state.json").read_text())["frames"] == 100
    stream.close()
    assert not stream.journal.folder.exists()


def test_readers_wait_for_answers_and_hear_of_the_end(tmp_path):
    stream = session(tmp_path)

    async def work():
        waiting = asyncio.ensure_future(stream.results(-1, 5))
        await asyncio.sleep(0.05)
        for number in range(4):
            await stream.push(number / 10, picture(tmp_path, number))
        rows, ended = await waiting
        assert ([row["number"] for row in rows], ended) == ([0], False)
        assert await stream.results(0, 0.01) == ([], False)
        last = asyncio.ensure_future(stream.results(0, 5))
        await asyncio.sleep(0.05)
        stream.close()
        assert await last == ([], True)

    asyncio.run(work())


def test_answers_that_nobody_reads_are_bounded(tmp_path):
    stream = session(tmp_path)
    push(stream, tmp_path, range(4 * (KEPT_RESULTS + 10)))
    rows, _ = asyncio.run(stream.results(-1, 0))
    assert len(rows) == KEPT_RESULTS
    assert rows[0]["number"] == 10


@pytest.mark.parametrize("name", ["", "../x", "x" * 32, ID.upper(), ID + "0"])
def test_only_ids_name_a_journal(tmp_path, name):
    with pytest.raises(Problem) as problem:
        Journal(tmp_path, name)
    assert problem.value.code == "unknown_stream"
