"""A sample is a function of its number: whatever the batch, the process or the worker."""

from __future__ import annotations

import numpy as np
import pytest

from tests.data.videos import write
from vidmodels.core.recipe import ClipSection
from vidmodels.data.decode import VideoReader
from vidmodels.data.manifest import Manifest
from vidmodels.data.order import Order
from vidmodels.data.reader import TrainReader, ViewReader


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    for i in range(5):
        write(folder / f"{i}.mp4", 20 + 5 * i, size=(48, 64))
    (folder / "bad.mp4").write_text("not a video at all\n" * 10)
    return folder


def reader_of(folder, names=("0", "1", "2", "3", "4"), seed=0, **clip) -> TrainReader:
    rows = [{"id": name, "uri": f"{folder}/{name}.mp4", "label": i} for i, name in enumerate(names)]
    manifest = Manifest.from_rows(rows)
    section = ClipSection(**{"num_frames": 4, "frame_stride": 2, "size": 32, "repeats": 2, **clip})
    return TrainReader((manifest,), Order([len(rows)], seed=seed), section, seed)


def test_a_row_depends_on_its_number_only(folder):
    reader = reader_of(folder)
    together = reader.read_batch(range(8))
    assert together["clips"].shape == (8, 2, 4, 32, 32, 3)
    assert together["clips"].dtype == np.uint8
    for number in (3, 0, 7):
        row = reader_of(folder).read(number)
        np.testing.assert_array_equal(row["clips"], together["clips"][number])
        assert (row["id"], row["label"]) == (together["id"][number], together["label"][number])
    apart = reader.read(3, apart=True)
    np.testing.assert_array_equal(apart["clips"], together["clips"][3])


def test_uses_of_a_video_and_seeds_differ(folder):
    reader = reader_of(folder, names=("4",))
    first, second = reader.read(0)["clips"], reader.read(1)["clips"]
    assert not np.array_equal(first, second)
    assert not np.array_equal(first[0], first[1])  # the repeats of one use
    assert not np.array_equal(first, reader_of(folder, names=("4",), seed=1).read(0)["clips"])


class Packets:
    """A container that notes the time stamps of the packets that are read from it."""

    def __init__(self, container, read: list[int]) -> None:
        self._container, self._read = container, read

    def __getattr__(self, name: str):
        return getattr(self._container, name)

    def demux(self, stream):
        for packet in self._container.demux(stream):
            self._read += [packet.dts] if packet.size else []
            yield packet


@pytest.mark.parametrize("gop", [250, 12])
def test_clips_of_a_video_are_those_of_separate_decodes_in_one_pass(tmp_path, monkeypatch, gop):
    write(tmp_path / "v.mp4", 150, gop=gop, b_frames=2)
    reader = reader_of(tmp_path, names=("v",), num_frames=8, frame_stride=4, repeats=4)
    read: list[int] = []
    start = VideoReader._start_walk

    def noting(self, sought):
        if not isinstance(self._container, Packets):
            self._container = Packets(self._container, read)
        start(self, sought)

    monkeypatch.setattr(VideoReader, "_start_walk", noting)
    together = []
    for number in range(6):
        read.clear()
        together.append(reader.read(number)["clips"])
        assert len(read) > 30
        assert len(read) == len(set(read))  # each packet at most once

    whole = VideoReader.read_many

    def separate(self, requests):
        found = []
        for one in requests:
            with VideoReader(self.uri) as video:
                found += whole(video, [one])
        return found

    monkeypatch.setattr(VideoReader, "read_many", separate)
    for number, clips in enumerate(together):
        read.clear()
        np.testing.assert_array_equal(reader.read(number)["clips"], clips)
        assert len(read) > len(set(read))


def test_a_bad_file_is_one_row_with_an_error(folder):
    reader = reader_of(folder, names=("0", "bad", "gone", "1"))
    batch = reader.read_batch(range(4))
    errors = dict(zip(batch["id"], batch["error"]))
    assert errors["0"] == errors["1"] == ""
    assert "is text" in errors["bad"]
    assert "no file" in errors["gone"]
    at = batch["id"].index("bad")
    assert not batch["clips"][at].any()
    assert batch["clips"][batch["id"].index("0")].any()


def test_a_short_video_repeats_its_last_frame(folder):
    row = reader_of(folder, names=("0",), num_frames=8, frame_stride=4).read(0)
    assert row["error"] == ""
    assert row["repeated"] == 3  # frames 0 4 8 12 16 of 20, then three times the last
    clip = row["clips"][0]
    np.testing.assert_array_equal(clip[5], clip[6])
    assert not np.array_equal(clip[3], clip[4])


def test_a_span_is_kept(folder):
    from tests.data.videos import number_of

    wide = write(folder / "wide.mp4", 40, size=(64, 64))
    manifest = Manifest.from_rows([{"id": "a", "uri": str(wide), "label": 0, "start": 0.5, "end": 1.0}])
    clip = ClipSection(num_frames=4, frame_stride=3, size=64, crop="center")
    reader = TrainReader((manifest,), Order([1]), clip, 0)
    for number in range(6):
        shown = [number_of(frame) for frame in reader.read(number)["clips"][0]]
        assert shown[0] >= 15
        assert shown[-1] < 30
        assert np.diff(shown).tolist() == [3, 3, 3]
    views = ViewReader(manifest, clip, 2, 1).read(0)
    assert [number_of(view[0]) for view in views["clips"]] == [15, 20]
    np.testing.assert_allclose(views["spans"], [[0.5, 0.9], [20 / 30, 1.0]])  # the second would end after the span


def test_views_cover_time_and_space(folder):
    manifest = Manifest.from_rows([{"id": "4", "uri": f"{folder}/4.mp4", "label": 2}])
    clip = ClipSection(num_frames=4, frame_stride=2, size=32)
    row = ViewReader(manifest, clip, num_clips=2, num_crops=3).read(0)
    assert row["clips"].shape == (6, 4, 32, 32, 3)
    assert row["label"] == 2
    assert len({view.tobytes() for view in row["clips"]}) == 6
    np.testing.assert_allclose(
        row["spans"], [[0, 8 / 30]] * 3 + [[33 / 30, 40 / 30]] * 3, atol=1e-3
    )  # a container rounds durations
    bad = ViewReader(Manifest.from_rows([{"id": "bad", "uri": f"{folder}/bad.mp4"}]), clip).read_batch([0])
    assert "is text" in bad["error"][0]
    assert bad["label"].tolist() == [-1]
    assert not bad["spans"].any()


def test_labels_of_a_clip_are_those_that_hold_during_it(folder):
    from vidmodels.core.errors import DataError

    spans = [[0.0, 0.4], [0.9, 1.2], [0.9, 1.2]]
    row = {"id": "4", "uri": f"{folder}/4.mp4", "labels": [2, 0, 1], "label_spans": spans}
    other = {"id": "0", "uri": f"{folder}/0.mp4", "labels": [1]}  # when it holds is not known
    manifest = Manifest.from_rows([row, other], ("a", "b", "c"))
    clip = ClipSection(num_frames=2, frame_stride=4, size=32, repeats=2)
    reader = TrainReader((manifest,), Order([2], seed=0), clip, 0)
    seen = set()
    for number in range(24):
        sample = reader.read(number)
        assert sample["targets"].shape == (2, 3)
        if sample["id"] == "0":
            assert sample["targets"].tolist() == [[0, 1, 0]] * 2
        else:
            seen |= {tuple(each) for each in sample["targets"].tolist()}
    assert seen == {(0, 0, 1), (0, 0, 0), (1, 1, 0)}  # the first third of the video, the middle, the end
    assert reader.failed(0, "damaged")["targets"].shape == (2, 3)
    assert reader.read_batch(range(3))["targets"].shape == (3, 2, 3)
    assert ViewReader(manifest, clip).read(0)["targets"].tolist() == [1, 1, 1]  # a test takes those of the whole video
    with pytest.raises(DataError, match="4 has 3 labels and 2 spans of them"):
        Manifest.from_rows([{**row, "label_spans": spans[:2]}], ("a", "b", "c"))
    with pytest.raises(DataError, match="a span of a label of 4 is no pair"):
        Manifest.from_rows([{**row, "label_spans": [[0.0], [1.0, 2.0], [1.0, 2.0]]}], ("a", "b", "c"))
    with pytest.raises(DataError, match="-1 frames per second"):
        Manifest.from_rows([{"id": "a", "uri": "a", "fps": -1.0}])
