"""Decoding apart: the same frames, and a child that dies, hangs or eats is one sentence."""

from __future__ import annotations

import sys
import time

import numpy as np
import pytest

from tests.data.videos import write
from vidmodels.core.errors import MediaError, MediaLimitError
from vidmodels.data.decode import VideoReader
from vidmodels.data.probe import UNTRUSTED, Limits, probe
from vidmodels.data.sandbox import MEMORY_BYTES, probe_untrusted, read_many_untrusted, read_untrusted, talk


def test_a_child_answers_as_this_process_does(tmp_path):
    path = str(write(tmp_path / "a.mp4", 20, size=(48, 80)))
    assert probe_untrusted(path) == probe(path)
    requests = [[0.0, 0.1], [0.3, 0.9, 2.0]]
    with VideoReader(path) as video:
        expected = video.read_many(requests)
    for mine, other in zip(read_many_untrusted(path, requests), expected):
        np.testing.assert_array_equal(mine.frames, other.frames)
        np.testing.assert_array_equal(mine.times, other.times)
        assert mine.repeated == other.repeated
    np.testing.assert_array_equal(read_untrusted(path, [0.1]).frames[0], expected[0].frames[1])


def test_errors_come_back_with_their_kind(tmp_path):
    path = str(write(tmp_path / "a.mp4", 20))
    with pytest.raises(MediaLimitError, match="64 pixels wide"):
        probe_untrusted(path, Limits(width=32))
    with pytest.raises(MediaLimitError, match="bytes"):
        read_untrusted(path, [0.0] * 10, Limits(decoded_bytes=1000))
    text = tmp_path / "t.mp4"
    text.write_text("hello " * 20)
    with pytest.raises(MediaError, match="is text"):
        probe_untrusted(str(text))


def test_a_child_that_dies_is_an_error_of_its_video():
    def run(code, seconds=20.0):
        return talk([sys.executable, "-c", code], "{}", "bad.mp4", 1000, seconds)

    with pytest.raises(MediaError, match=r"bad\.mp4 killed its decoder \(signal 6\)"):
        run("import os; os.abort()")
    with pytest.raises(MediaError, match=r"bad\.mp4 killed its decoder \(signal 11\)"):
        run("import os; os.kill(os.getpid(), 11)")
    with pytest.raises(MediaError, match="exit code 3"):
        run("raise SystemExit(3)")
    with pytest.raises(MediaError):
        run("print('[1, 2]')")
    with pytest.raises(MediaError):
        run("print('{\"bytes\": 100}'); print('too few')")
    begin = time.monotonic()
    with pytest.raises(MediaLimitError, match=r"more than 0\.5 s"):
        run("import time; time.sleep(60)", 0.5)
    assert time.monotonic() - begin < 10


def test_a_child_that_says_too_much_is_not_listened_to():
    begin = time.monotonic()
    with pytest.raises(MediaError):
        talk([sys.executable, "-c", "while True: print('x' * 100000, end='')"], "{}", "bad.mp4", 1000, 20.0)
    with pytest.raises(MediaError):
        talk([sys.executable, "-c", "print('{\"bytes\": 99999999}'); import time; time.sleep(60)"], "{}", "b", 1000, 20.0)
    assert time.monotonic() - begin < 15


def test_a_child_is_under_limits():
    code = (
        "import resource; from vidmodels.data.sandbox import restrict; restrict();"
        "import json; print(json.dumps({'as': resource.getrlimit(resource.RLIMIT_AS)[0],"
        "'cpu': resource.getrlimit(resource.RLIMIT_CPU)[0], 'core': resource.getrlimit(resource.RLIMIT_CORE)[0]}))"
    )
    header, _ = talk([sys.executable, "-c", code], "{}", "x", 0)
    assert header == {"as": MEMORY_BYTES, "cpu": 30, "core": 0}
    assert (UNTRUSTED.seconds, UNTRUSTED.frames, UNTRUSTED.width) == (600, 36_000, 4096)
    spins = "import resource; resource.setrlimit(resource.RLIMIT_CPU, (1, 3))\nwhile True: pass"
    with pytest.raises(MediaLimitError, match="CPU"):
        talk([sys.executable, "-c", spins], "{}", "x", 0, 30.0)
