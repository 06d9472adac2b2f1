"""A server that has a fresh, limited child ready for every order, so that a stranger's file costs no start of Python.

`restrict` and the errors are those of `vidmodels.data.sandbox`; what children do is a function named when the server is
started. Parent and child speak in messages: four bytes with the length of a line of JSON, that line, and as many raw bytes
as its `bytes` says. Nothing that a child says is executed. A child whose parent hangs up is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import os
import selectors
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from vidmodels.core.errors import MediaError, MediaLimitError, RunError, VidmodelsError
from vidmodels.data.sandbox import CPU_SECONDS, MEMORY_BYTES, WALL_SECONDS, child_environment, restrict

HEADER_BYTES = 1 << 24
"""The longest line of JSON: the answer for ten minutes of windows is far below it."""
START_SECONDS = 60.0
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000  # of <linux/sched.h>

Message = tuple[dict[str, Any], bytes]
Handler = Callable[[dict[str, Any], Callable[..., None]], None]
"""What a child does: take an order, and send answers with `send(header, block, ...)`."""


class Nursery:
    """The parent's side: owns one server, and gives it orders.

    handler: "module:function" of a Handler, imported once, before any child is forked; where the module has a function
    `prepare`, that is called then, so that what it does is done for every child. Neither may leave threads behind.
    children: how many work at the same time; further orders wait. seconds: how long one may take, waiting not counted.
    Use it in one event loop, between `start` and `close`.
    """

    def __init__(self, handler: str, children: int = 2, seconds: float = WALL_SECONDS) -> None:
        self._handler, self._seconds = handler, seconds
        self._slots = asyncio.Semaphore(children)
        self._folder = Path(tempfile.mkdtemp(prefix="vidmodels-nursery-"))  # for its owner only
        self._server: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server, and wait until it answers (it imports its handler first). Raises RunError where it does not."""
        command = [sys.executable, "-P", "-m", "vidmodels.data.nursery", str(self._address), self._handler]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self._server = subprocess.Popen(command, env=child_environment(), start_new_session=True, **pipes)  # type: ignore[call-overload]
        assert self._server.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._server.stdout, selectors.EVENT_READ)
            if not selector.select(START_SECONDS) or not self._server.stdout.readline():
                self.close()
                raise RunError(f"the server of sandboxes for {self._handler} did not start within {START_SECONDS:g} s")

    def alive(self) -> bool:
        """Whether the server runs."""
        return self._server is not None and self._server.poll() is None

    def close(self) -> None:
        """End the server and its children."""
        if self._server is not None:
            self._end_server()
            self._server = None
        shutil.rmtree(self._folder, ignore_errors=True)

    async def ask(self, order: dict[str, Any], name: str) -> Message:
        """The only message of a child's answer. Errors as `stream`."""
        async with contextlib.aclosing(self.stream(order, name)) as messages:
            async for message in messages:
                return message
        raise MediaError(f"{name}: its decoder gave no answer: replace the file")

    async def stream(self, order: dict[str, Any], name: str) -> AsyncGenerator[Message, None]:
        """The messages of a child's answer as it sends them; when the iteration is closed early, the child is killed.

        name: what errors call the media. Raises MediaError, also where the child dies, and MediaLimitError.
        """
        async with self._slots:
            if not self.alive():
                await asyncio.to_thread(self._restart)
            reader, writer = await asyncio.open_unix_connection(str(self._address))
            try:
                async with asyncio.timeout(self._seconds) as patience:
                    writer.write(_framed({**order, "name": name}))
                    async for header, body in _messages(reader, name):
                        raise_told(header, name)
                        loop = asyncio.get_running_loop()
                        before = loop.time()
                        yield header, body
                        # what the receiver does with a message is not the child's time
                        patience.reschedule((patience.when() or before) + loop.time() - before)
            except TimeoutError:
                raise MediaLimitError(
                    f"{name} took more than {self._seconds:g} s to decode, the limit: give a shorter video"
                ) from None
            finally:
                writer.close()

    @property
    def _address(self) -> Path:
        return self._folder / "orders"

    def _end_server(self) -> None:
        assert self._server is not None
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._server.pid, signal.SIGKILL)  # with its children
        self._server.wait()
        self._server.stdin.close()
        self._server.stdout.close()

    def _restart(self) -> None:
        if self._server is not None:
            self._end_server()
        self._address.unlink(missing_ok=True)
        self.start()


async def _messages(reader: asyncio.StreamReader, name: str) -> AsyncGenerator[Message, None]:
    """Messages until the child has said that it has done its work. Raises MediaError where the stream ends before."""
    try:
        while True:
            (size,) = struct.unpack("!I", await reader.readexactly(4))
            if size > HEADER_BYTES:
                raise ValueError("the header is too long")
            header = json.loads(await reader.readexactly(size))
            if header.get("end"):
                return
            yield header, await reader.readexactly(int(header.get("bytes", 0)))
    except (asyncio.IncompleteReadError, ConnectionError):
        raise MediaError(f"{name} killed its decoder: replace the file") from None
    except (ValueError, TypeError, AttributeError):
        raise MediaError(f"{name}: its decoder gave a broken answer: replace the file") from None


def raise_told(header: dict[str, Any], name: str) -> None:
    """Raise the error that a message tells of, if it does."""
    if "error" in header:
        raise (MediaLimitError if header.get("kind") == "limit" else MediaError)(str(header["error"])[:2000])
    if "died" not in header:
        return
    number = int(header["died"])
    if number == signal.SIGXCPU:
        raise MediaLimitError(f"{name} took more than {CPU_SECONDS} s of CPU time, the limit: give a shorter video")
    raise MediaError(f"{name} killed its decoder ({f'signal {number}' if number else 'no answer'}): replace the file")


def _framed(header: dict[str, Any]) -> bytes:
    line = json.dumps(header).encode()
    return struct.pack("!I", len(line)) + line


# -- the server ------------------------------------------------------------------------------------------------------


def serve(address: str, handler: Handler) -> None:
    """Give each connection a child of its own until the parent, who holds our standard input, is gone.

    One child waits ahead of the order: a fork copies the tables of our memory, which takes milliseconds.
    """
    _leave_network()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(128)
    children: dict[int, socket.socket] = {}
    news, signalled = os.pipe()
    os.set_blocking(signalled, False)
    signal.set_wakeup_fd(signalled)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    spare = _fork(handler, listener, children)
    os.write(1, b"ready\n")  # the parent reads our standard output
    poller = selectors.DefaultSelector()
    poller.register(listener, selectors.EVENT_READ, "listener")
    poller.register(sys.stdin, selectors.EVENT_READ, "parent")
    poller.register(news, selectors.EVENT_READ, "news")
    while True:
        found = {key.data for key, _ in poller.select(0.2 if children else None)}
        if "parent" in found:
            break
        if "news" in found:
            os.read(news, 4096)
        _reap(children)
        _kill_abandoned(children)
        if "listener" in found:
            connection, _ = listener.accept()
            while not _hand_over(connection, spare, children):
                spare = _fork(handler, listener, children)
            spare = _fork(handler, listener, children)
    for pid in children:
        os.kill(pid, signal.SIGKILL)


def _fork(handler: Handler, listener: socket.socket, children: dict[int, socket.socket]) -> tuple[int, socket.socket]:
    """A child that waits for its connection: its process id, and where the connection is handed over."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for other in (listener, ours, *children.values()):
            other.close()
        _child(theirs, handler)
    theirs.close()
    return pid, ours


def _hand_over(connection: socket.socket, spare: tuple[int, socket.socket], children: dict[int, socket.socket]) -> bool:
    """Give a connection to the child that waits; False where it has died meanwhile, as of a lack of memory."""
    pid, control = spare
    with control:
        try:
            socket.send_fds(control, [b"."], [connection.fileno()])
        except OSError:
            return False
    children[pid] = connection
    return True


def _reap(children: dict[int, socket.socket]) -> None:
    """Say of every ended child to its parent how it ended, unless it ended well."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        if pid not in children:  # the one that waited
            continue
        connection = children.pop(pid)
        if status:
            number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
            connection.setblocking(False)  # a parent that reads nothing must not stop us
            with contextlib.suppress(OSError):
                connection.sendall(_framed({"died": number}))
        connection.close()


def _kill_abandoned(children: dict[int, socket.socket]) -> None:
    """Kill children whose parents hung up; they are reaped like others."""
    with selectors.PollSelector() as poller:
        for pid, connection in children.items():
            poller.register(connection, selectors.EVENT_READ, pid)
        for key, _ in poller.select(0):
            with contextlib.suppress(OSError):
                # the child reads its order from the same connection: only its end is news
                if not key.fileobj.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT):  # type: ignore[union-attr]
                    os.kill(key.data, signal.SIGKILL)


def _child(control: socket.socket, handler: Handler) -> None:
    """Wait for a connection, take its order, do it, and end without ever returning to the server's loop."""
    code = 1
    try:
        restrict()
        _, found, _, _ = socket.recv_fds(control, 1, 1)
        if not found:  # the server has ended
            os._exit(0)
        control.close()
        connection = socket.socket(fileno=found[0])
        with connection.makefile("rb") as orders, connection.makefile("wb") as out:
            (size,) = struct.unpack("!I", orders.read(4))
            order = json.loads(orders.read(size))
            _obey(order, handler, out)
            code = 0
    except BaseException:
        code = 1  # the server tells the parent
    finally:
        os._exit(code)


def _obey(order: dict[str, Any], handler: Handler, out: IO[bytes]) -> None:
    def send(header: dict[str, Any], *blocks: np.ndarray) -> None:
        out.write(_framed({**header, "bytes": sum(block.nbytes for block in blocks)}))
        for block in blocks:
            if block.size:
                out.write(np.ascontiguousarray(block).data.cast("B"))
        out.flush()

    try:
        handler(order, send)
    except MediaLimitError as error:
        send({"error": str(error), "kind": "limit"})
    except VidmodelsError as error:
        send({"error": str(error), "kind": "media"})
    except MemoryError:
        message = f"{order['name']} needs more than {MEMORY_BYTES >> 30} GB of memory, the limit: give a smaller video"
        send({"error": message, "kind": "limit"})
    send({"end": True})


def _leave_network() -> None:
    """Give up the network where the system lets us: a file cannot make its decoder call anybody.

    Containers often forbid it; protocols are refused when media are opened (`vidmodels.data.probe`) all the same.
    """
    import ctypes

    libc = ctypes.CDLL(None)
    if libc.unshare(CLONE_NEWNET) != 0:
        libc.unshare(CLONE_NEWUSER | CLONE_NEWNET)


def main(argv: Sequence[str]) -> None:
    """`python -m vidmodels.data.nursery ADDRESS MODULE:FUNCTION`."""
    name, _, function = argv[1].partition(":")
    module = importlib.import_module(name)
    getattr(module, "prepare", lambda: None)()
    serve(argv[0], getattr(module, function))


if __name__ == "__main__":
    main(sys.argv[1:])
