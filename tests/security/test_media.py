"""Hostile files and names through the sandbox: nothing else is read, nobody is called, the service lives on."""

from __future__ import annotations

import asyncio
import http.server
import threading

import pytest

from tests.data.videos import write
from tests.security.fuzz import fuzz
from tests.security.pointers import NAMES, PLAYLISTS
from vidmodels.core.entry import InputSpec
from vidmodels.core.errors import MediaError, MediaLimitError
from vidmodels.data.nursery import Nursery
from vidmodels.data.probe import UNTRUSTED, Limits
from vidmodels.inference.reading import HANDLER, Views, probe_video, read_video


@pytest.fixture(scope="module")
def nursery():
    made = Nursery(HANDLER)
    made.start()
    yield made
    made.close()


@pytest.fixture
def canary(tmp_path, monkeypatch):
    """A video that nobody sends, in the working directory, and a server that nobody may call: its address, and who called."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "secret.mp4", count=12, fps=12, size=(48, 64))
    calls: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            calls.append(self.path)
            self.send_error(404)

        def log_message(self, *words):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", calls
    server.shutdown()


def probe(nursery, path, limits: Limits = UNTRUSTED):
    return asyncio.run(probe_video(nursery, str(path), "clip.mp4", limits))


@pytest.mark.parametrize("name", [*PLAYLISTS])
@pytest.mark.parametrize("ending", [".mp4", ".m3u8", ".txt"])
def test_what_points_elsewhere_is_refused(nursery, canary, tmp_path, name, ending):
    address, calls = canary
    path = tmp_path / f"upload{ending}"
    path.write_text(PLAYLISTS[name].replace("URL", address))
    with pytest.raises(MediaError) as error:
        probe(nursery, path)
    assert str(tmp_path) not in str(error.value)
    assert calls == []


@pytest.mark.parametrize("path", NAMES)
def test_a_name_is_never_an_address_or_a_device(nursery, canary, path):
    address, calls = canary
    with pytest.raises(MediaError):
        probe(nursery, path.replace("URL", address))
    assert calls == []


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (Limits(width=32), "pixels wide"),
        (Limits(height=32), "pixels high"),
        (Limits(seconds=0.5), "seconds"),
        (Limits(frames=10), "frames"),
        (Limits(fps=5), "frames per second"),
    ],
)
def test_a_header_over_a_limit_is_refused(nursery, tmp_path, limits, words):
    path = write(tmp_path / "a.mp4", count=12, fps=12, size=(48, 64))
    with pytest.raises(MediaLimitError, match=f"clip.mp4 has .* {words}, and the limit is"):
        probe(nursery, path, limits)


def test_a_long_bomb_is_refused_before_it_is_walked(nursery, tmp_path):
    """A few kilobytes that say they are hours."""
    path = write(tmp_path / "a.mp4", count=20, fps=1, size=(32, 32), stamps=[number * 1_000_000 for number in range(20)])
    with pytest.raises(MediaLimitError, match="seconds"):
        probe(nursery, path)


def test_more_frames_than_a_read_may_hold_are_refused(nursery, tmp_path):
    path = write(tmp_path / "a.mp4", count=64, fps=12, size=(64, 64))

    async def read():
        limits = Limits(decoded_bytes=100_000)
        async for _ in read_video(nursery, str(path), "clip.mp4", InputSpec(32, 2, 32), Views(), limits):
            pass

    with pytest.raises(MediaLimitError):
        asyncio.run(read())


def test_mutated_videos_end_in_an_error_or_whole(tmp_path):
    """`python -m tests.security` has thousands of them."""
    outcome = asyncio.run(fuzz(250, seed=7, folder=tmp_path))
    assert (outcome.hung, outcome.short, outcome.strange) == ([], [], [])
    assert outcome.counts["refused"] > 50
    assert outcome.counts["decoded whole"] > 20
