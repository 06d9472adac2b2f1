"""Frames are exact by presentation time, in every container and after every seek."""

from __future__ import annotations

import itertools
import time
from fractions import Fraction

import numpy as np
import pytest

from tests.data.videos import number_of, write, write_changing
from vidmodels.core.errors import MediaError, MediaLimitError
from vidmodels.data import decode
from vidmodels.data.decode import VideoReader
from vidmodels.data.probe import Limits


def numbers(frames) -> list[int]:
    return [number_of(frame) for frame in frames.frames]


def counting(monkeypatch) -> list[int]:
    """A list that grows by one for each frame that the decoder gives."""
    seen: list[int] = []
    original = VideoReader._decoded

    def counted(self, sought):
        for frame in original(self, sought):
            seen.append(1)
            yield frame

    monkeypatch.setattr(VideoReader, "_decoded", counted)
    return seen


CASES = [
    ("h264 with B frames, one group of pictures", "a.mp4", {"gop": 250, "b_frames": 3}),
    ("h264, short groups", "b.mp4", {"gop": 12, "b_frames": 2}),
    ("h264, open groups", "c.mkv", {"gop": 12, "b_frames": 2}),
    ("hevc", "d.mp4", {"codec": "libx265", "gop": 20}),
    ("vp9", "e.webm", {"codec": "libvpx-vp9", "gop": 20}),
    ("mpeg4", "f.avi", {"codec": "mpeg4", "gop": 15, "b_frames": 0}),
    ("mpeg4 with B frames", "f2.avi", {"codec": "mpeg4", "gop": 15, "b_frames": 2}),
    ("transport stream", "g.ts", {"gop": 15}),
    ("29.97 frames per second", "h.mp4", {"fps": Fraction(30000, 1001), "gop": 30}),
    ("10 bit", "i.mp4", {"pix_fmt": "yuv420p10le", "gop": 30}),
]


@pytest.mark.parametrize(("name", "file", "how"), CASES, ids=[case[0] for case in CASES])
def test_each_time_is_answered_with_its_frame(tmp_path, name, file, how):
    path = write(tmp_path / file, 90, **how)
    fps = float(how.get("fps", 30))
    with VideoReader(str(path)) as video:
        assert [number_of(frame) for _, frame in video] == list(range(90))
        # forwards, backwards and far apart, so that every way of moving is taken
        for wanted in ([0, 1, 2], [70, 71, 75], [3, 4, 40], [89], [12, 24, 36], [11, 23, 35, 59], [0, 89]):
            answer = video.read([i / fps for i in wanted])
            assert numbers(answer) == wanted
            np.testing.assert_allclose(answer.times, [i / fps for i in wanted], atol=1.1e-3)
            assert answer.repeated == 0
    assert answer.frames.dtype == np.uint8
    assert answer.times.dtype == np.float64


def test_a_time_between_two_frames_shows_the_earlier_one(tmp_path):
    path = write(tmp_path / "a.mp4", 30)
    with VideoReader(str(path)) as video:
        assert numbers(video.read([0.4 / 30, 5.9 / 30, 6.0 / 30])) == [0, 5, 6]


def test_uneven_times_are_true(tmp_path):
    stamps = np.cumsum([0, *([20, 20, 80, 33, 150] * 8)]).tolist()[:40]
    path = write(tmp_path / "a.mp4", 40, stamps=stamps, gop=10)
    with VideoReader(str(path)) as video:
        assert video.info.variable_rate
        answer = video.read([stamp / 1000 for stamp in stamps])
        assert numbers(answer) == list(range(40))
        np.testing.assert_allclose(answer.times, np.array(stamps) / 1000, atol=1e-4)
        at = (stamps[3] - 5) / 1000  # in the long stay of frame 2
        assert numbers(video.read([at])) == [2]


def test_read_many_gives_what_single_reads_give(tmp_path):
    path = write(tmp_path / "a.mp4", 120, gop=250)
    requests = [[i / 30 for i in range(start, start + 32, 4)] for start in (50, 3, 51, 80)]
    with VideoReader(str(path)) as video:
        together = video.read_many(requests)
    for request, answer in zip(requests, together):
        with VideoReader(str(path)) as video:
            alone = video.read(request)
        np.testing.assert_array_equal(alone.frames, answer.frames)
        np.testing.assert_array_equal(alone.times, answer.times)


def test_read_many_decodes_each_frame_once(tmp_path, monkeypatch):
    path = write(tmp_path / "a.mp4", 120, gop=250)
    requests = [[i / 30 for i in range(start, start + 32, 4)] for start in (50, 3, 51, 80)]
    seen = counting(monkeypatch)
    with VideoReader(str(path)) as video:
        video.read_many(requests)
    assert len(seen) <= 113
    seen.clear()
    for request in requests:
        with VideoReader(str(path)) as video:
            video.read(request)
    assert len(seen) > 280


def test_a_far_frame_is_reached_through_its_keyframe(tmp_path, monkeypatch):
    for file in ("a.mp4", "a.mkv", "a.avi"):
        codec = "mpeg4" if file.endswith("avi") else "libx264"
        path = write(tmp_path / file, 600, gop=20, b_frames=0, codec=codec)
        seen = counting(monkeypatch)
        with VideoReader(str(path)) as video:
            assert numbers(video.read([505 / 30, 1 / 30])) == [505 % 256, 1]
        assert len(seen) < 60, file


def test_unordered_and_equal_times_keep_their_places(tmp_path):
    path = write(tmp_path / "a.mp4", 30)
    with VideoReader(str(path)) as video:
        assert numbers(video.read([7 / 30, 2 / 30, 7 / 30])) == [7, 2, 7]


def test_after_the_end_the_last_frame_repeats(tmp_path):
    path = write(tmp_path / "a.mp4", 10)
    with VideoReader(str(path)) as video:
        answer = video.read([i / 30 for i in (0, 4, 8, 12, 16)])
        assert numbers(answer) == [0, 4, 8, 9, 9]
        assert answer.repeated == 2
        assert video.read([0.1]).repeated == 0


def test_one_frame_is_a_video(tmp_path):
    for file in ("a.mp4", "a.mkv", "a.ts"):
        path = write(tmp_path / file, 1)
        with VideoReader(str(path)) as video:
            answer = video.read([0, 0.2, 0.4])
            assert numbers(answer) == [0, 0, 0]
            assert answer.repeated == 2, file


def test_a_rotated_video_comes_upright(tmp_path):
    for rotation in (90, 180, 270):
        path = write(tmp_path / f"{rotation}.mp4", 5, size=(64, 96), rotation=rotation)
        with VideoReader(str(path)) as video:
            plain = write(tmp_path / "plain.mp4", 5, size=(64, 96))
            with VideoReader(str(plain)) as straight:
                stored = straight.read([0]).frames[0]
            shown = video.read([0]).frames[0]
            assert (video.info.height, video.info.width) == shown.shape[:2]
        turns = video.info.rotation // 90
        assert turns in (1, 2, 3)
        np.testing.assert_array_equal(shown, np.rot90(stored, turns))
        # the writer turns counter-clockwise; 270 writes the matrix of a phone held upright (0 1 / -1 0)
        corner = {90: (4, 4), 180: (-5, 4), 270: (-5, -5)}[rotation]
        assert shown[corner][0] > 150
        assert shown[corner][1] < 90, f"the red corner is not where a turn by {rotation} degrees brings it"


def test_odd_sizes(tmp_path):
    path = write(tmp_path / "a.mp4", 10, size=(63, 75), pix_fmt="yuv444p")
    with VideoReader(str(path)) as video:
        answer = video.read([0.1])
    assert answer.frames.shape == (1, 63, 75, 3)
    assert numbers(answer) == [3]


def test_a_size_that_changes_midway_becomes_that_of_the_first_frame(tmp_path):
    path = write_changing(tmp_path / "a.ts", 20)
    with VideoReader(str(path)) as video:
        answer = video.read([i / 25 for i in range(20)])
    assert answer.frames.shape == (20, 64, 64, 3)
    assert numbers(answer) == list(range(20))


@pytest.mark.parametrize(("file", "keep"), [("a.mp4", 0.4), ("a.mkv", 0.4), ("a.avi", 0.6), ("a.mp4", 0.8)])
def test_a_cut_file_gives_its_good_frames_and_then_an_error(tmp_path, file, keep):
    options = {"movflags": "faststart"} if file.endswith("mp4") else None
    codec = "mpeg4" if file.endswith("avi") else "libx264"
    path = write(tmp_path / file, 120, size=(96, 96), gop=20, b_frames=0, codec=codec, options=options)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    with VideoReader(str(path)) as video:
        assert numbers(video.read([0, 5 / 30])) == [0, 5]
    with VideoReader(str(path)) as video, pytest.raises(MediaError, match=r"cut off|damaged") as caught:
        video.read([i / 30 for i in range(0, 120, 8)])
    assert str(path) in str(caught.value)
    with VideoReader(str(path)) as video, pytest.raises(MediaError):
        video.read([118 / 30])
    with VideoReader(str(path)) as video, pytest.raises(MediaError):
        list(video)


def test_a_longer_sound_is_no_damage(tmp_path):
    path = write(tmp_path / "a.mkv", 15, sound=np.zeros(48000, np.float32))
    with VideoReader(str(path)) as video:
        answer = video.read([0, 2.5])
    assert numbers(answer) == [0, 14]
    assert answer.repeated == 1


def test_the_bytes_of_an_answer_are_limited(tmp_path):
    path = write(tmp_path / "a.mp4", 10)
    with VideoReader(str(path), Limits(decoded_bytes=64 * 64 * 3 * 4)) as video:
        assert len(video.read([0, 0.1, 0.2, 0.3]).frames) == 4
        with pytest.raises(MediaLimitError, match="5 frames of 64x64"):
            video.read([0, 0.1, 0.2, 0.3, 0.4])


def test_a_header_that_hides_frames_is_found_while_walking(tmp_path):
    path = write(tmp_path / "a.ts", 60)
    with VideoReader(str(path), Limits(frames=70)) as video:
        video.limits = Limits(frames=20)
        with pytest.raises(MediaLimitError, match="more than 20 frames"):
            video.read([50 / 30])


def test_sound_is_placed_on_the_clock_of_the_frames(tmp_path):
    sound = np.zeros(32000, np.float32)
    sound[16000:24000] = np.sin(np.arange(8000) * 0.2).astype(np.float32) * 0.8
    path = write(tmp_path / "a.mp4", 60, sound=sound)
    with VideoReader(str(path)) as video:
        heard = video.read_audio(0.5, 2.5)
        assert heard.shape == (1, 32000)
        assert heard.dtype == np.float32
        power = np.abs(heard[0].reshape(20, -1)).mean(1)  # tenths of a second
        loud = np.flatnonzero(power > 0.2)
        assert loud.tolist() == [5, 6, 7, 8, 9]
        assert power[16:].max() == 0
        assert video.read_audio(1.0, 1.5, rate=8000).shape == (1, 4000)
        assert numbers(video.read([30 / 30, 3 / 30])) == [30, 3]
    silent = write(tmp_path / "b.mp4", 5)
    with VideoReader(str(silent)) as video, pytest.raises(MediaError, match="no sound"):
        video.read_audio(0, 1)


def test_one_pass_over_a_large_video_saves_time(tmp_path):
    path = write(tmp_path / "a.mp4", 150, size=(360, 640), gop=250)
    requests = [[(start + i * 4) / 30 for i in range(16)] for start in (20, 41, 60, 85)]

    def separate():
        for request in requests:
            with VideoReader(str(path)) as video:
                video.read(request)

    def together():
        with VideoReader(str(path)) as video:
            video.read_many(requests)

    ratios = []
    for _ in range(3):
        marks = [time.process_time()]
        for work in (separate, together):
            work()
            marks.append(time.process_time())
        first, second = (b - a for a, b in itertools.pairwise(marks))
        ratios.append(second / first)
    assert min(ratios) < 0.7, ratios


def test_decoding_imports_no_torch():
    import subprocess
    import sys

    code = "import sys, vidmodels.data.reader, vidmodels.data.sandbox, vidmodels.data.formats; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"
    assert decode.BLIND_SEEK > 0
