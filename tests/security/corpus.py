"""Hostile requests to a real service: each is refused with a typed problem, reads nothing else, calls nobody, and it lives on.

The groups are those of what is attacked: V1 files and names that point elsewhere, V2 bombs and odd videos, V6 uploads, V7
addresses inside, V9 tokens and what is not public, V10 numbers and texts.
"""

from __future__ import annotations

import collections
import contextlib
import http.server
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.data.videos import write
from tests.security.bombs import BOMBS, WHOLE
from tests.security.pointers import NAMES, PLAYLISTS
from tests.security.requests import GROUPS, MARK, Attack
from tests.services.lab import Lab

SETTINGS = {
    "url_hosts": ["127.0.0.1", "localhost", "[::1]", "::1", "0.0.0.0", "2130706433", "0x7f000001", "0177.0.0.1",
                  "169.254.169.254", "[::ffff:127.0.0.1]", "localhost.localdomain"],
    "limits": {"body_mb": 30, "idle_s": 2, "deadline_s": 30},
}  # fmt: skip
"""Addresses inside are allowed by name, so that only the check of the IP refuses them."""
SECONDS, MEGABYTES = 2.0, 300.0
"""What the refusal of a bomb may take."""


class Canary:
    """A video in the spool that nobody sends, a server that nobody may call, and a name that no file may get."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.secret = write(lab.spool / "secret.mp4", count=12, fps=12, size=(48, 64))
        self._stamp()
        self.calls: list[str] = []
        calls = self.calls

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                calls.append(self.path)
                self.send_error(404)

            def log_message(self, *words: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()

    def watches(self) -> bool:
        """Whether this file system notes that a file was read."""
        self.secret.read_bytes()
        noted = self._read()
        self._stamp()
        return noted

    def faults(self) -> list[str]:
        """What happened that must not."""
        found = [f"the canary's server was asked for {path}" for path in self.calls]
        if self._read():
            found.append("the canary's file was read")
        found += [f"{path} was written" for path in self._written()]
        return found

    def _stamp(self) -> None:
        os.utime(self.secret, ns=(0, time.time_ns()))

    def _read(self) -> bool:
        return self.secret.stat().st_atime_ns > 0

    def _written(self) -> list[str]:
        """Files with the name that attacks try to write."""
        shallow = (Path.cwd(), Path("/"), Path("/etc"), Path("/tmp"), Path.home())
        found = [path for place in shallow for path in place.glob(f"*{MARK}*")]
        return sorted({str(path) for path in [*found, *self.lab.folder.rglob(f"*{MARK}*")]})


@dataclass
class Outcome:
    """What became of the attacks: statuses by group, those that were answered otherwise, and what the refusals cost at most."""

    statuses: dict[str, collections.Counter[int]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0
    megabytes: float = 0.0

    def add(self, attack: Attack, response: httpx.Response | int) -> None:
        status = response if isinstance(response, int) else response.status_code
        self.statuses.setdefault(attack.group, collections.Counter())[status] += 1
        wrong = attack.wrong(response)
        if wrong:
            self.faults.append(f"{attack.group} {attack.name}: {wrong}")


def attacked(lab: Lab) -> Outcome:
    """Every attack, one after the other, and then a good request."""
    outcome, canary = Outcome(), Canary(lab)
    try:
        if not canary.watches():
            outcome.faults.append("this file system does not note when a file was read: mount one that does at TMPDIR")
        for attack in _pointing(canary):
            outcome.add(attack, attack.send(lab))
        for attack in _bombs(lab.folder / "bombs"):
            with _peak() as peak:
                started = time.perf_counter()
                response = attack.send(lab)
                seconds = time.perf_counter() - started
            outcome.add(attack, response)
            if attack.wanted != {200}:
                outcome.seconds, outcome.megabytes = max(outcome.seconds, seconds), max(outcome.megabytes, peak[0])
        for group in GROUPS:
            for attack in group(lab):
                outcome.add(attack, attack.send(lab))
        if outcome.seconds > SECONDS or outcome.megabytes > MEGABYTES:
            outcome.faults.append(f"a bomb took {outcome.seconds:.1f} s and {outcome.megabytes:.0f} MB")
        outcome.faults += canary.faults()
        after = lab.ask()
        if after.status_code != 200:
            outcome.faults.append(f"afterwards a good request has status {after.status_code}: {after.text[:200]}")
        left = [path.name for path in lab.spool.glob("up-*")]
        if left:
            outcome.faults.append(f"files stayed in the spool: {left[:3]}")
    finally:
        canary.close()
    return outcome


def _pointing(canary: Canary) -> Iterator[Attack]:
    """V1: playlists and scripts as uploads, strings of protocols as names."""
    for name, text in PLAYLISTS.items():
        for ending in (".mp4", ".m3u8", ".txt"):
            content = text.replace("URL", canary.url).encode()
            yield Attack.upload("V1", f"{name} as {ending}", content, f"x{ending}", {422})
    for text in NAMES:
        yield Attack.json("V1", f"the name {text}", {"model": "moves", "uri": text.replace("URL", canary.url)}, {422}, "uri")
        yield Attack.json("V1", f"clips:{text}", {"model": "moves", "uri": f"clips:{text}"}, {422}, "uri")


def _bombs(folder: Path) -> Iterator[Attack]:
    """V2: each made when its turn comes."""
    folder.mkdir(exist_ok=True)
    for name, (ending, make, wanted) in BOMBS.items():
        path = make(folder / f"bomb{ending}")
        yield Attack.upload("V2", name, path.read_bytes(), path.name, {200} if wanted is WHOLE else {422})
        path.unlink()


@contextlib.contextmanager
def _peak() -> Iterator[list[float]]:
    """The megabytes that a sandbox had at most while the context lasted, looked at every few milliseconds."""
    found, stop = [0.0], threading.Event()

    def look() -> None:
        while not stop.wait(0.02):
            for entry in Path("/proc").iterdir():
                with contextlib.suppress(OSError, ValueError):
                    if entry.name.isdigit() and b"vidmodels.data.nursery" in (entry / "cmdline").read_bytes():
                        pages = int((entry / "statm").read_text().split()[1])
                        found[0] = max(found[0], pages * os.sysconf("SC_PAGE_SIZE") / 1e6)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        thread.join()


def corpus() -> list[str]:
    """Against a real service; what was wrong."""
    import tempfile

    from tests.reliability.serving import service

    with tempfile.TemporaryDirectory() as store, service("c2d_tiny", stores={"clips": store}, **SETTINGS) as lab:
        outcome = attacked(lab)
    for group, statuses in sorted(outcome.statuses.items()):
        print(
            f"{group}: {statuses.total()} requests, " + ", ".join(f"{n} x {status}" for status, n in sorted(statuses.items()))
        )
    print(f"  a refused bomb took {outcome.seconds:.2f} s and a sandbox of {outcome.megabytes:.0f} MB at most")
    return outcome.faults
