"""What may be opened and what is refused before the first frame, each with one sentence."""

from __future__ import annotations

import io
import os
import struct
import time
from fractions import Fraction

import av
import numpy as np
import pytest
from pyarrow import fs as pafs

from tests.data.videos import number_of, write, write_sound
from vidmodels.core.errors import MediaError, MediaLimitError
from vidmodels.data import storage
from vidmodels.data.decode import VideoReader
from vidmodels.data.probe import UNTRUSTED, Limits, probe


def refused(path, match: str, kind=MediaError) -> str:
    with pytest.raises(kind, match=match) as caught:
        probe(str(path), UNTRUSTED)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def test_a_header_says_what_the_video_is(tmp_path):
    path = write(tmp_path / "a.mp4", 60, fps=Fraction(30000, 1001), size=(48, 80), sound=np.zeros(32000, np.float32))
    info = probe(str(path))
    assert (info.width, info.height, info.num_frames) == (80, 48, 60)
    assert info.fps == pytest.approx(29.97, abs=0.01)
    assert info.duration == pytest.approx(60 / 29.97, abs=0.01)
    assert (info.codec, info.container, info.pixel_format) == ("h264", "mov", "yuv420p")
    assert (info.has_audio, info.audio_rate, info.audio_channels) == (True, 16000, 1)
    assert (info.rotation, info.variable_rate) == (0, False)


def test_ten_bits_odd_sizes_rotation_and_uneven_times_show_in_the_header(tmp_path):
    assert probe(str(write(tmp_path / "a.mp4", 5, pix_fmt="yuv420p10le"))).pixel_format == "yuv420p10le"
    odd = probe(str(write(tmp_path / "b.mp4", 5, size=(33, 47), pix_fmt="yuv444p")))
    assert (odd.height, odd.width) == (33, 47)
    turned = probe(str(write(tmp_path / "c.mp4", 5, size=(64, 96), rotation=90)))
    assert (turned.height, turned.width, turned.rotation) == (96, 64, 90)
    stamps = np.cumsum([0, *([20, 90, 40] * 6)]).tolist()
    assert probe(str(write(tmp_path / "d.mp4", 18, stamps=stamps))).variable_rate


def test_one_frame(tmp_path):
    info = probe(str(write(tmp_path / "a.mp4", 1)))
    assert info.num_frames == 1
    assert 0 < info.duration < 0.1


def test_a_recording_without_a_duration_is_measured(tmp_path):
    buffer = io.BytesIO()

    class Pipe(io.RawIOBase):  # cannot seek, so that the writer cannot add the duration at the end
        def writable(self):
            return True

        def seekable(self):
            return False

        def write(self, data):
            return buffer.write(data)

    with av.open(Pipe(), "w", format="webm", options={"live": "1"}) as container:
        stream = container.add_stream("libvpx-vp9", rate=30)
        stream.height, stream.width, stream.pix_fmt = 64, 64, "yuv420p"
        for i in range(45):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), i, np.uint8), format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, 30)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    path = tmp_path / "live.webm"
    path.write_bytes(buffer.getvalue())
    with av.open(str(path)) as container:
        assert not container.duration
    assert probe(str(path)).duration == pytest.approx(1.5, abs=0.05)
    with VideoReader(str(path)) as video:
        answer = video.read([0.0, 1.0])
        assert [int(frame.mean().round()) for frame in answer.frames] == pytest.approx([0, 30], abs=4)


def test_no_file_empty_text_and_folder(tmp_path):
    refused(tmp_path / "none.mp4", "no file")
    refused(tmp_path, "not a regular file")
    empty = tmp_path / "empty.mp4"
    empty.touch()
    refused(empty, "empty")
    text = tmp_path / "text.mp4"
    text.write_text("this is a letter\n" * 30)
    refused(text, "is text")
    noise = tmp_path / "noise.mp4"
    noise.write_bytes(np.random.default_rng(0).bytes(5000))
    refused(noise, "cannot be opened")
    os.mkfifo(tmp_path / "pipe.mp4")
    refused(tmp_path / "pipe.mp4", "not a regular file")


def test_playlists_and_scripts_never_read_other_files(tmp_path, monkeypatch):
    write(tmp_path / "canary.mp4", 5)
    monkeypatch.chdir(tmp_path)
    scripts = {
        "ffconcat.mp4": "ffconcat version 1.0\nfile canary.mp4\n",
        "hls.mp4": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\ncanary.mp4\n#EXT-X-ENDLIST\n",
        "hls.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\ncanary.mp4\n#EXT-X-ENDLIST\n",
    }
    for name, content in scripts.items():
        (tmp_path / name).write_text(content)
        refused(tmp_path / name, "playlist")
        # the same as an object of a store, which FFmpeg reads through a Python file
        monkeypatch.setattr(storage, "open_filesystem", lambda uri: (pafs.LocalFileSystem(), uri.removeprefix("s3://")))
        with pytest.raises(MediaError, match="playlist"):
            probe(f"s3://{tmp_path / name}")
    assert probe("canary.mp4").num_frames == 5


def test_strings_of_protocols_are_no_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "canary.mp4", 5)
    for name in ("concat:canary.mp4|canary.mp4", "subfile,,start,0,end,0,,:canary.mp4", "pipe:0", "file:canary.mp4",
                 "\\\\host\\share\\a.mp4", "async:canary.mp4", "a\0b.mp4"):  # fmt: skip
        with pytest.raises(MediaError):
            probe(name)
    for name in ("http://127.0.0.1:9/a.mp4", "ftp://127.0.0.1/a.mp4"):
        with pytest.raises(MediaError, match="scheme"):
            probe(name)


def test_sound_alone_is_no_video(tmp_path):
    refused(write_sound(tmp_path / "song.mp4"), "sound but no pictures")


def test_a_file_cut_off_before_its_index(tmp_path):
    path = write(tmp_path / "a.mp4", 60)
    path.write_bytes(path.read_bytes()[:2000])
    refused(path, "damaged, cut off")


def test_zero_frames_per_second(tmp_path):
    path = write(tmp_path / "a.avi", 20, codec="mpeg4", b_frames=0)
    data = bytearray(path.read_bytes())
    at = data.index(b"strh") + 8 + 20  # dwScale and dwRate of the stream
    data[at : at + 8] = struct.pack("<II", 1, 0)
    frame_time = data.index(b"avih") + 8
    data[frame_time : frame_time + 4] = struct.pack("<I", 0)
    path.write_bytes(bytes(data))
    try:
        info = probe(str(path))
    except MediaError as error:
        assert "0 frames per second" in str(error)  # noqa: PT017
    else:
        assert 0 < info.fps < 1000  # the decoder knew the rate better than the header


def test_limits_are_checked_by_the_header(tmp_path):
    path = write(tmp_path / "a.mp4", 60, size=(64, 96))
    for limits, what in (
        (Limits(width=95), "96 pixels wide"),
        (Limits(height=63), "64 pixels high"),
        (Limits(seconds=1.9), "2 seconds"),
        (Limits(frames=59), "60 frames, "),
        (Limits(fps=29), "30 frames per second"),
        (Limits(streams=0), "1 streams"),
    ):
        with pytest.raises(MediaLimitError, match=what):
            probe(str(path), limits)
    assert probe(str(path), Limits(2.1, 60, 96, 64, 30, 0, 1)).num_frames == 60


def test_a_large_picture_is_refused_fast(tmp_path):
    path = tmp_path / "bomb.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=30)
        stream.height, stream.width, stream.pix_fmt = 8160, 8160, "yuv420p"
        frame = av.VideoFrame(8160, 8160, "yuv420p")
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        for i in range(2):
            frame.pts = i
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    begin = time.process_time()
    refused(path, "8160 pixels wide, and the limit is 4096", MediaLimitError)
    assert time.process_time() - begin < 2


def test_an_object_is_read_by_range(tmp_path, monkeypatch):
    path = write(tmp_path / "a.mp4", 250, size=(256, 256), options={"movflags": "faststart"}, gop=10)
    with open(path, "ab") as file:  # what lies behind the pictures must never be fetched
        file.write(struct.pack(">I", 8 + (16 << 20)) + b"free" + bytes(16 << 20))
    fetched = []

    class Counted:
        def __init__(self, file):
            self.file = file

        def read(self, count):
            data = self.file.read(count)
            fetched.append(len(data))
            return data

        def __getattr__(self, name):
            return getattr(self.file, name)

    class Store:
        def open_input_file(self, inner):
            return Counted(pafs.LocalFileSystem().open_input_file(inner))

    monkeypatch.setattr(storage, "open_filesystem", lambda uri: (Store(), uri.removeprefix("s3://")))
    with VideoReader(f"s3://{path}") as video:
        assert [number_of(frame) for frame in video.read([200 / 30, 3 / 30]).frames] == [200, 3]
    assert sum(fetched) < 6 << 20 < path.stat().st_size
