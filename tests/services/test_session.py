"""Streams without Serve: turns, answers, readers that wait, and what the journal restores."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from services.models.served import Rows
from services.problems import Problem
from services.streams.journal import Journal
from services.streams.session import KEPT_RESULTS, Session, StreamSettings
from tests.services.fake import INFO
from vidmodels.core.entry import InputSpec
from vidmodels.core.errors import DataError, MediaError
from vidmodels.data.probe import VideoInfo

ID = "0123456789abcdef" * 2
SPEC = InputSpec(4, 1, 16)


def session(folder, calls=None, create=True) -> Session:
    """A stream of 10 pictures a second; its model answers with the mean of the clip, its pictures hold one number."""
    info = dataclasses.replace(INFO, spec=dataclasses.asdict(SPEC))

    async def read(path):
        if not path.exists():
            raise MediaError("the frame cannot be read")
        return np.full((16, 16, 3), int(path.read_text()), np.uint8)

    async def walk(path):
        """A text of the numbers of the frames, ten a second; the word `damaged` ends it with an error."""
        words = path.read_text().split()
        yield VideoInfo(len(words) / 10, 10, 16, 16, len(words), "h264", "mp4", "yuv420p")
        for begin in range(0, len(words), 3):
            if "damaged" in words[begin : begin + 3]:
                raise MediaError("the video is damaged")
            part = [(begin + n, int(word)) for n, word in enumerate(words[begin : begin + 3])]
            yield [(number / 10, np.full((16, 16, 3), value, np.uint8)) for number, value in part]

    async def compute(call):
        if calls is not None:
            calls.append(call.clips[0, :, 0, 0, 0].tolist())
        left = float(call.clips.mean() / 255)
        return Rows(np.array([[left, 1 - left]], np.float32)), info

    journal = Journal(folder, ID)
    if create:
        journal.create({"settings": {}, "owner": "me"})
    return Session(StreamSettings("moves", fps=10), info, journal, read, walk, compute, windows=20)


async def as_array(path) -> np.ndarray:
    """A picture file, as the sandbox reads it."""
    return cv2.imread(str(path))[..., ::-1]


def picture(folder, number: int):
    path = folder / f"picture-{number}"
    path.write_text(str(number % 200))
    return path


def video(folder, numbers) -> Path:
    path = folder / "video"
    path.write_text(" ".join(str(number) for number in numbers))
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


def test_a_video_is_taken_as_its_pictures_are(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    calls: list[list[int]] = []
    stream = session(tmp_path / "one", calls)
    push(stream, tmp_path, range(3))
    answer = asyncio.run(stream.push_video(0.3, video(tmp_path, range(3, 30))))
    assert (answer["frames"], answer["skipped"]) == (27, 0)
    rows = answer["results"] + push(stream, tmp_path, range(30, 34))
    pictures: list[list[int]] = []
    expected = push(session(tmp_path / "other", pictures), tmp_path, range(34))
    assert calls == pictures
    assert [row["number"] for row in rows] == [row["number"] for row in expected] == list(range(8))


def test_another_replica_goes_on_after_a_video(tmp_path):
    """What it wants of the video lies in the journal as pictures that lose nothing."""
    calls: list[list[int]] = []
    first = session(tmp_path, calls)
    asyncio.run(first.push_video(0, video(tmp_path, range(0, 140, 10))))
    (kept,) = first.journal.folder.glob("frame-1.3")
    assert kept.read_bytes()[1:4] == b"PNG"
    second = session(tmp_path, calls, create=False)
    second._read = as_array
    asyncio.run(second.restore())
    assert second.frames == 14
    asyncio.run(second.push_video(1.4, video(tmp_path, [140, 150])))
    assert calls[-1] == [120, 130, 140, 150]


def test_a_video_that_breaks_off_is_kept_so_far_and_may_be_pushed_again(tmp_path):
    stream = session(tmp_path)
    with pytest.raises(MediaError):
        asyncio.run(stream.push_video(0, video(tmp_path, [*range(9), "damaged"])))
    assert stream.frames == 9
    assert stream.journal.load()[0]["frames"] == 9
    rows, _ = asyncio.run(stream.results(-1, 0))
    assert [row["number"] for row in rows] == [0, 1]
    answer = asyncio.run(stream.push_video(0, video(tmp_path, range(12))))
    assert (answer["frames"], answer["skipped"]) == (3, 9)
    assert [row["number"] for row in answer["results"]] == [2]


def test_a_video_waits_for_a_model_that_has_too_much_to_do(tmp_path):
    stream = session(tmp_path)
    compute, refusals = stream._compute, [1, 2]

    async def busy(call):
        if refusals:
            refusals.pop()
            raise Problem("overloaded", "the model has as much work as it can hold", retry_after=0.01)
        return await compute(call)

    stream._compute = busy
    answer = asyncio.run(stream.push_video(0, video(tmp_path, range(8))))
    assert [row["number"] for row in answer["results"]] == [0, 1]
    assert refusals == []


def test_a_video_of_too_many_windows_is_refused_before_it_is_taken(tmp_path):
    stream = session(tmp_path)
    with pytest.raises(Problem) as problem:
        asyncio.run(stream.push_video(0, video(tmp_path, range(200))))
    assert problem.value.code == "media_limit"
    assert stream.frames == 0


def test_a_replica_that_died_before_it_counted_a_picture_takes_it_again(tmp_path):
    calls: list[list[int]] = []
    first = session(tmp_path, calls)
    push(first, tmp_path, range(3))
    first.journal.add(0.3, picture(tmp_path, 3))  # and dies here
    second = session(tmp_path, calls, create=False)
    asyncio.run(second.restore())
    assert [row["number"] for row in push(second, tmp_path, [3])] == [0]
    assert calls == [[0, 1, 2, 3]]


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
