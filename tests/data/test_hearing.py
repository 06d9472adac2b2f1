"""Sound comes with its clip: by presentation time, masked where there is none, the same however it is read."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.data.sounds import FPS, RATE, beeping, onset
from vidmodels.core.entry import AudioSpec
from vidmodels.core.recipe import ClipSection
from vidmodels.data.collate import to_batch
from vidmodels.data.decode import VideoReader
from vidmodels.data.hearing import Hearing, other_span
from vidmodels.data.manifest import Manifest
from vidmodels.data.order import Order
from vidmodels.data.reader import TrainReader, ViewReader
from vidmodels.data.sampling import sound_span, train_requests, view_requests
from vidmodels.ops.logmel import audio_input

CLIP = ClipSection(num_frames=8, frame_stride=1, size=32, crop="center")  # a second
SPEC = AudioSpec(mels=40, rows=64)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sounds")
    beeping(folder / "beep.mp4", 1.7)
    beeping(folder / "short.mp4", 0.5, sound_seconds=1.2)
    beeping(folder / "silent.mp4", None)
    beeping(folder / "brief.mp4", 0.3, seconds=1.0)
    (folder / "bad.mp4").write_text("not a video at all\n" * 10)
    return folder


def manifest_of(folder, *names) -> Manifest:
    return Manifest.from_rows([{"id": name, "uri": f"{folder}/{name}.mp4", "label": 0} for name in names])


def reader_of(folder, *names, misaligned=False, **clip) -> TrainReader:
    manifest, section = manifest_of(folder, *names), CLIP.replace(**clip)
    return TrainReader((manifest,), Order([len(names)]), section, 0, Hearing(RATE, misaligned))


def starts(reader: TrainReader, number: int, duration: float = 4.0) -> list[float]:
    """When the clips of a sample of the first source begin, told by the arithmetic of the samples alone."""
    from vidmodels.data.order import hash_key

    where = reader.order(number)
    key = hash_key(where.source, where.draw)
    return [request.start for request in train_requests(duration, FPS, reader.clip, reader.seed, key, where.index)]


def test_a_beep_lies_where_its_clip_shows_it(folder):
    """Within two milliseconds, the priming of AAC (64 ms at 16 kHz) taken off, wherever the clip begins."""
    reader, found = reader_of(folder, "beep", repeats=2), 0
    for number in range(8):
        row = reader.read(number)
        assert row["sound"].shape == (2, RATE)
        for wave, start, has in zip(row["sound"], starts(reader, number), row["has_sound"]):
            assert has
            if start <= 1.6 and start + 1 > 1.75:
                assert onset(wave) == pytest.approx(1.7 - start, abs=0.002)
                found += 1
            elif start > 1.85:
                assert np.abs(wave).max() < 0.1
    assert found >= 4


def test_a_beep_lies_in_the_rows_of_its_time(folder):
    """The loudest of 64 rows over a second, each looking at 32 ms."""
    row = ViewReader(manifest_of(folder, "beep"), CLIP, num_clips=1, hearing=Hearing()).read(0)
    start = view_requests(4.0, FPS, CLIP, 1)[0].start
    rows = audio_input(torch.from_numpy(row["sound"]), SPEC).rows[0, 0]
    loudest = rows.max(1).values.argmax().item()
    assert (1.7 - start) - 0.02 <= loudest * (1 - 0.032) / 63 <= (1.7 + 0.1 - start) + 0.02


def test_a_span_of_a_list_has_its_own_sound(folder):
    rows = [{"id": "a", "uri": f"{folder}/beep.mp4", "label": 0, "start": 1.5, "end": 2.5}]
    reader = TrainReader((Manifest.from_rows(rows),), Order([1]), CLIP, 0, Hearing())
    assert onset(reader.read(0)["sound"][0]) == pytest.approx(0.2, abs=0.002)


def test_a_video_without_sound_is_masked_and_others_of_its_batch_are_not(folder):
    batch = reader_of(folder, "beep", "silent", "bad").read_batch(range(3))
    has = dict(zip(batch["id"], batch["has_sound"][:, 0].tolist()))
    assert has == {"beep": True, "silent": False, "bad": False}
    assert batch["sound"].shape == (3, 1, RATE)
    assert dict(zip(batch["id"], batch["error"]))["silent"] == ""
    assert not batch["sound"][batch["id"].index("silent")].any()


def test_where_the_sound_ends_before_the_pictures_silence_follows(folder):
    """1.2 of 4 seconds: a clip within has sound, one across the end in part, one behind it none."""
    row = ViewReader(manifest_of(folder, "short"), CLIP, num_clips=4, hearing=Hearing()).read(0)
    assert row["has_sound"].tolist() == [True, True, False, False]
    assert np.abs(row["sound"][1][: RATE // 10]).max() > 0
    assert not row["sound"][1][RATE // 3 :].any()


def test_crops_of_a_clip_share_its_sound(folder):
    row = ViewReader(manifest_of(folder, "beep"), CLIP, num_clips=2, num_crops=3, hearing=Hearing()).read(0)
    assert row["sound"].shape == (6, RATE)
    np.testing.assert_array_equal(row["sound"][0], row["sound"][2])
    assert not np.array_equal(row["sound"][0], row["sound"][3])


def test_sounds_of_unlike_lengths_are_padded(folder):
    """Clips that go over the whole video have all of its sound."""
    batch = reader_of(folder, "beep", "brief", sampling="uniform").read_batch(range(2))
    assert dict(zip(batch["id"], batch["sound_samples"].tolist())) == {"beep": 4 * RATE, "brief": RATE}
    assert batch["sound"].shape == (2, 1, 4 * RATE)
    assert not batch["sound"][batch["id"].index("brief"), 0, RATE:].any()


def test_a_sample_sounds_the_same_alone_in_a_child_process_and_after_a_restart(folder):
    reader = reader_of(folder, "beep", "brief", misaligned=True)
    together = reader.read_batch(range(6))
    for number in (4, 1):
        alone, apart = reader_of(folder, "beep", "brief", misaligned=True).read(number), reader.read(number, apart=True)
        for key in ("sound", "other_sound", "has_sound"):
            np.testing.assert_array_equal(alone[key], apart[key])
        size = alone["sound"].shape[1]
        np.testing.assert_array_equal(together["sound"][number][:, :size], alone["sound"])
        np.testing.assert_array_equal(together["other_sound"][number][:, :size], alone["other_sound"])


def test_the_other_sound_is_of_the_same_video_at_another_time(folder):
    reader = reader_of(folder, "beep", misaligned=True)
    differ = [not np.array_equal(row["sound"], row["other_sound"]) for row in map(reader.read, range(6))]
    assert all(differ)
    for seed in range(50):
        start, end = other_span((1.0, 2.0), 4.0, np.random.default_rng(seed))
        assert abs(start - 1.0) >= 0.512 - 1e-6
        assert 0 <= start < end <= 4.0 + 1e-6


def test_a_video_without_room_gives_its_own_sound_as_the_other(folder):
    row = reader_of(folder, "brief", misaligned=True).read(0)
    np.testing.assert_array_equal(row["sound"], row["other_sound"])


def test_a_batch_takes_its_sound_along(folder):
    batch = to_batch(reader_of(folder, "beep", "silent", misaligned=True).read_batch(range(2)))
    assert batch.sound is not None
    assert batch.has_sound is not None
    assert batch.has_sound.shape == (2, 1)
    moved = batch.to("meta")
    for name in ("sound", "sound_samples", "has_sound", "other_sound"):
        assert getattr(moved, name).device.type == "meta"
    assert len(batch.tensors()) == 7  # clips, valid, labels and the four of sound


def test_without_a_hearing_no_sound_is_read(folder):
    manifest = manifest_of(folder, "beep")
    batch = to_batch(TrainReader((manifest,), Order([1]), CLIP, 0).read_batch([0]))
    assert (batch.sound, batch.has_sound) == (None, None)


def test_a_clip_s_sound_lasts_as_long_as_its_frames():
    clip = ClipSection(num_frames=16, frame_stride=2, fps=32)
    request = view_requests(4.0, 24.0, clip, 1)[0]
    start, end = sound_span(request, 4.0, 24.0, clip)
    assert (start, end - start) == (request.start, pytest.approx(1.0))


def test_reading_sound_leaves_the_frames_as_they_were(folder):
    with VideoReader(f"{folder}/beep.mp4") as video:
        before = video.read([0.5, 2.0]).frames
        video.read_audio(1.0, 3.0, RATE)
        np.testing.assert_array_equal(video.read([0.5, 2.0]).frames, before)
