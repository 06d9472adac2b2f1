"""Children that are forked for every order: answers, limits, and deaths of children, parents and the server."""

from __future__ import annotations

import asyncio
import os
import signal
import time

import numpy as np
import pytest

from vidmodels.core.errors import MediaError, MediaLimitError, RunError
from vidmodels.data.nursery import Nursery

HANDLER = "tests.data.test_nursery:obey"
PREPARED: list[int] = []


def prepare():
    """What the server of these tests does before it forks."""
    PREPARED.append(os.getpid())


def obey(order, send):
    """What the children of these tests do."""
    if order["do"] == "echo":
        family = {"pid": os.getpid(), "server": os.getppid(), "prepared": PREPARED}
        send({"said": order["said"], **family}, np.arange(4, dtype=np.int32), np.ones(2, np.float64))
    elif order["do"] == "count":
        for number in range(order["to"]):
            send({"number": number})
            time.sleep(order.get("pause", 0.0))
    elif order["do"] == "die":
        os.kill(os.getpid(), order["by"])
    elif order["do"] == "fail":
        raise MediaError(f"{order['name']} is damaged")
    elif order["do"] == "limit":
        raise MediaLimitError(f"{order['name']} is too long")
    elif order["do"] == "eat":
        bytearray(8 << 30)
    elif order["do"] == "raise":
        raise KeyError("a fault of ours")
    elif order["do"] == "write":
        with open(order["path"], "w") as stream:
            stream.write("x")
    elif order["do"] == "call":
        import socket

        socket.create_connection(("127.0.0.1", order["port"]), timeout=2)
        send({"reached": True})
    elif order["do"] == "sleep":
        time.sleep(order["seconds"])
        send({})


@pytest.fixture
def nursery():
    made = Nursery(HANDLER, children=3, seconds=10)
    made.start()
    yield made
    made.close()


def ask(nursery, **order):
    return asyncio.run(nursery.ask(order, "clip.mp4"))


def children_of(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children") as stream:
        return [int(word) for word in stream.read().split()]


def test_an_order_is_answered_by_a_fresh_process_of_its_own(nursery):
    first, second = (ask(nursery, do="echo", said=word) for word in ("a", "b"))
    assert (first[0]["said"], second[0]["said"]) == ("a", "b")
    assert len({first[0]["pid"], second[0]["pid"], os.getpid()}) == 3
    assert np.frombuffer(first[1], np.int32, 4).tolist() == [0, 1, 2, 3]
    assert np.frombuffer(first[1], np.float64, 2, offset=16).tolist() == [1, 1]


def test_the_server_prepares_once_for_all_children(nursery):
    for _ in range(2):
        header, _ = ask(nursery, do="echo", said="x")
        assert header["prepared"] == [header["server"]] != [header["pid"]]


def test_messages_come_as_they_are_sent(nursery):
    async def numbers():
        return [header["number"] async for header, _ in nursery.stream({"do": "count", "to": 5}, "clip.mp4")]

    assert asyncio.run(numbers()) == [0, 1, 2, 3, 4]


def test_orders_run_side_by_side_up_to_the_number_of_children(nursery):
    async def six():
        started = time.monotonic()
        await asyncio.gather(*(nursery.ask({"do": "sleep", "seconds": 0.4}, "clip.mp4") for _ in range(6)))
        return time.monotonic() - started

    assert asyncio.run(six()) >= 0.8, "three wait for the other three"


@pytest.mark.parametrize(
    ("order", "kind", "words"),
    [
        ({"do": "fail"}, MediaError, "clip.mp4 is damaged"),
        ({"do": "limit"}, MediaLimitError, "clip.mp4 is too long"),
        ({"do": "die", "by": int(signal.SIGSEGV)}, MediaError, "clip.mp4 killed its decoder (signal 11)"),
        ({"do": "die", "by": int(signal.SIGXCPU)}, MediaLimitError, "CPU time"),
        ({"do": "raise"}, MediaError, "killed its decoder (no answer)"),
        ({"do": "eat"}, MediaLimitError, "needs more than 3 GB of memory"),
        ({"do": "nothing"}, MediaError, "gave no answer"),
    ],
)
def test_what_ends_a_child_is_said_and_the_next_order_is_answered(nursery, order, kind, words):
    with pytest.raises(kind) as error:
        ask(nursery, **order)
    assert words in str(error.value)
    assert type(error.value) is kind
    assert ask(nursery, do="echo", said="c")[0]["said"] == "c"


def test_a_child_that_takes_too_long_is_killed():
    nursery = Nursery(HANDLER, seconds=0.5)
    nursery.start()
    try:
        with pytest.raises(MediaLimitError, match=r"more than 0\.5 s"):
            ask(nursery, do="sleep", seconds=60)
        _wait_for(lambda: len(children_of(nursery._server.pid)) == 1)  # the one that waits
    finally:
        nursery.close()


def test_a_reader_that_leaves_early_ends_its_child(nursery):
    async def leave():
        async for _ in nursery.stream({"do": "count", "to": 1000, "pause": 0.1}, "clip.mp4"):
            break

    asyncio.run(leave())
    _wait_for(lambda: len(children_of(nursery._server.pid)) == 1)  # the one that waits


def test_a_cancelled_order_ends_its_child(nursery):
    async def cancel():
        task = asyncio.ensure_future(nursery.ask({"do": "sleep", "seconds": 60}, "clip.mp4"))
        await asyncio.sleep(0.3)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(cancel())
    _wait_for(lambda: len(children_of(nursery._server.pid)) == 1)  # the one that waits


def test_children_write_no_files(nursery, tmp_path):
    with pytest.raises(MediaError):
        ask(nursery, do="write", path=str(tmp_path / "x"))
    assert not (tmp_path / "x").exists() or not (tmp_path / "x").stat().st_size


def test_children_reach_no_address_where_the_system_allows_it(nursery):
    import ctypes
    import socket

    pid = os.fork()
    if pid == 0:
        libc = ctypes.CDLL(None)
        os._exit(libc.unshare(0x40000000) and libc.unshare(0x50000000))
    if os.waitpid(pid, 0)[1]:
        pytest.skip("this system forbids network namespaces")
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(MediaError):
        ask(nursery, do="call", port=server.getsockname()[1])


def test_a_child_that_died_while_it_waited_is_replaced(nursery):
    worked = ask(nursery, do="echo", said="c")[0]["pid"]
    _wait_for(lambda: worked not in children_of(nursery._server.pid) != [])
    os.kill(children_of(nursery._server.pid)[0], signal.SIGKILL)
    _wait_for(lambda: not children_of(nursery._server.pid))
    assert ask(nursery, do="echo", said="d")[0]["said"] == "d"


def test_a_child_that_waits_ends_with_a_killed_server(nursery):
    _wait_for(lambda: len(children_of(nursery._server.pid)) == 1)
    (waiting,) = children_of(nursery._server.pid)
    os.kill(nursery._server.pid, signal.SIGKILL)
    _wait_for(lambda: not os.path.exists(f"/proc/{waiting}/fd/0"))  # a process that ended has no files


def test_a_server_that_was_killed_is_replaced(nursery):
    os.kill(nursery._server.pid, signal.SIGKILL)
    _wait_for(lambda: not nursery.alive())
    assert ask(nursery, do="echo", said="d")[0]["said"] == "d"


def test_the_server_ends_with_its_parent(nursery):
    pid = nursery._server.pid
    nursery._server.stdin.close()  # what the death of the parent does
    nursery._server.wait(5)
    assert not os.path.exists(f"/proc/{pid}/task")


def test_a_handler_that_cannot_be_imported_is_an_error():
    nursery = Nursery("tests.data.no_such_module:obey")
    with pytest.raises(RunError, match="did not start"):
        nursery.start()


def _wait_for(condition, seconds: float = 5.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.05)
