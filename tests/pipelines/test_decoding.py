"""Decoding on a cluster: the order, bad files, files that kill their decoder, and bytes in the object store."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from tests.data.videos import write
from tests.pipelines.ray_parts import DeadlyViews, TinyReader
from vidmodels.core.errors import ConfigError
from vidmodels.core.recipe import ClipSection, RunSection
from vidmodels.data.course import Course, MicroBatches, Phase, Shape
from vidmodels.data.manifest import Manifest
from vidmodels.data.multigrid_reader import MultigridReader
from vidmodels.data.order import Order
from vidmodels.data.reader import ViewReader

pytestmark = pytest.mark.ray


def planned(start: int, stop: int, micro: int, rank: int = 0, world: int = 1) -> list[list[int]]:
    """The sample numbers of a worker's micro-batches, dealt in turn; those after the last full round are left out."""
    firsts = range(start, stop - micro * world + 1, micro * world)
    return [list(range(first + rank * micro, first + (rank + 1) * micro)) for first in firsts]


def decoded(reader, start: int, stop: int, micro: int, world: int, decoders: int = 2, ledger=None):
    """The columns that each of `world` consumers receives of micro-batches of one size."""
    return received_of(reader, planned(start, stop, micro), world, decoders, ledger)


def received_of(reader, numbers, world: int, decoders: int = 2, ledger=None):
    """The columns that each of `world` consumers receives of the micro-batches of `numbers`."""
    from pipelines.common.decoding import decoded_dataset, micro_batch_columns, split
    from pipelines.common.ray_ledger import start_ledger

    run = RunSection(decoders=decoders)
    parts = split(decoded_dataset(reader, numbers, world, run, ledger or start_ledger()), world)
    received: list[list] = [[] for _ in parts]
    threads = [
        threading.Thread(target=lambda r=r: received[r].extend(micro_batch_columns(parts[r])), daemon=True)
        for r in range(world)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive(), "a consumer waits for ever"
    return received


def test_two_workers_receive_their_numbers_in_order_and_a_file_that_kills_its_decoder_is_named(ray_cluster):
    from pipelines.common.ray_ledger import start_ledger

    ledger = start_ledger()
    # more videos than numbers: one that came again before its first decoder is back would kill a second one
    reader = TinyReader(200, broken=frozenset({"v20"}), deadly=frozenset({"v31", "v45"}), seconds=0.002)
    received = decoded(reader, 8, 8 + 4 * 2 * 11 + 5, 4, 2, ledger=ledger)
    for rank, batches in enumerate(received):
        expected = list(planned(8, 8 + 4 * 2 * 11 + 5, 4, rank, 2))
        assert [b["number"].tolist() for b in batches] == expected
        for batch in batches:
            assert batch["clips"].dtype == np.uint8
            assert batch["clips"].shape == (4, *reader.shape)
            assert not batch["clips"].flags.owndata, "the pixels were copied out of the object store"
    errors = {i: e for batches in received for b in batches for i, e in zip(b["id"], b["error"]) if e}
    assert errors == {key: f"{key} is broken" for key in ("v20", "v31", "v45")}
    summary = ray_cluster.get(ledger.summary.remote())
    assert summary["crashes"] == 2, "each of the two files kills one decoder, once"
    assert {"v31", "v45"} <= set(summary["suspects"])
    assert len(summary["suspects"]) <= 8, "no more than their two micro-batches"


def test_one_worker_receives_all_numbers_as_batches(ray_cluster):
    from vidmodels.data.collate import to_batch

    (batches,) = decoded(TinyReader(), 3, 3 + 5 * 2, 5, 1, decoders=1)
    assert [b["number"].tolist() for b in batches] == [[3, 4, 5, 6, 7], [8, 9, 10, 11, 12]]
    first = to_batch(batches[0])
    assert first.numbers.tolist() == [3, 4, 5, 6, 7]
    assert first.ids == ["v3", "v4", "v5", "v6", "v7"]
    assert first.labels.tolist() == [0, 1, 2, 0, 1]


def test_every_video_of_a_list_is_read_once(ray_cluster, tmp_path):
    from pipelines.common.ray_ledger import start_ledger
    from pipelines.common.ray_map import decoded_videos, in_order

    for name in ("a", "b", "c", "d"):
        write(tmp_path / f"{name}.mp4", 12, size=(32, 48))
    (tmp_path / "e.mp4").write_text("no video")
    rows = [{"id": name, "uri": f"{tmp_path}/{name}.mp4", "label": 0} for name in "abcde"]
    clip = ClipSection(num_frames=2, frame_stride=1, size=16)
    arguments = (Manifest.from_rows(rows), clip, 2, 1)
    found = list(in_order(decoded_videos(DeadlyViews(*arguments), [4, 3, 1, 0, 2], RunSection(decoders=3), start_ledger())))
    assert [columns["number"].tolist() for columns in found] == [[4], [3], [1], [0], [2]]
    errors = {columns["id"][0]: columns["error"][0] for columns in found}
    assert errors["a"] == errors["c"] == errors["d"] == ""
    assert "its decoding process died" in errors["b"]
    assert "e.mp4" in errors["e"]
    plain = ViewReader(*arguments).read_batch([3])
    np.testing.assert_array_equal(found[1]["clips"], plain["clips"])


def test_boxes_arrive_as_they_were_read(ray_cluster, tmp_path):
    from tests.data.test_boxed_reader import HEADER, reader_of
    from vidmodels.data.collate import to_batch
    from vidmodels.data.formats.boxed import BoxesFormat, Names, listed

    for name in ("a", "b"):
        write(tmp_path / f"{name}.mp4", 12, size=(32, 48))
    rows = "a,0.1,0,0,20,20,run\na,0.1,20,5,40,30,jump\nb,0.1,0,0,5,30,run\nb,0.3,9,0,30,30,run\n"
    (tmp_path / "boxes.csv").write_text(HEADER + rows)
    reader = reader_of(listed(BoxesFormat().read(str(tmp_path / "boxes.csv"), Names()), None))
    received = decoded(reader, 0, 12, 3, 2)
    for rank, batches in enumerate(received):
        for columns, numbers in zip(batches, planned(0, 12, 3, rank, 2)):
            there, here = to_batch(columns), to_batch(reader.read_batch(numbers))
            np.testing.assert_array_equal(there.boxes, here.boxes)
            np.testing.assert_array_equal(there.box_targets, here.box_targets)


def test_batches_of_several_shapes_arrive_as_the_course_says(ray_cluster, tmp_path):
    rows = [{"id": str(i), "uri": str(write(tmp_path / f"{i}.mp4", 12, size=(32, 48))), "label": i} for i in range(4)]
    coarse, fine = Shape(8, 2, 8), Shape(2, 4, 16)
    course = Course([Phase(3, (coarse, fine)), Phase(2, (fine,))])
    clip = ClipSection(num_frames=4, frame_stride=2, size=16)
    reader = MultigridReader((Manifest.from_rows(rows),), Order([4], seed=1), clip, 1, course=course)
    numbers = MicroBatches(course, 2, 1, 5)
    for rank, batches in enumerate(received_of(reader, numbers, 2)):
        assert [batch["clips"].shape[:4] for batch in batches] == [(1, 1, 4, 16), (4, 1, 2, 8), (1, 1, 4, 16), (1, 1, 4, 16)]
        for batch, wanted in zip(batches, numbers[rank::2]):
            assert batch["number"].tolist() == list(wanted)
            np.testing.assert_array_equal(batch["clips"], reader.read_batch(wanted)["clips"])


@pytest.mark.slow
def test_bytes_in_the_object_store_stay_bounded_with_a_slow_consumer(ray_cluster):
    from pipelines.common.decoding import decoded_dataset, micro_batch_columns
    from pipelines.common.ray_ledger import start_ledger

    reader = TinyReader(shape=(1, 16, 112, 112, 3))
    clip = 16 * 112 * 112 * 3
    dataset = decoded_dataset(reader, planned(0, 8 * 120, 8), 1, RunSection(decoders=2), start_ledger())
    sizes, used = [], []
    total = ray_cluster.cluster_resources()["object_store_memory"]
    for count, batch in enumerate(micro_batch_columns(dataset)):
        sizes.append(batch["clips"].nbytes)
        time.sleep(0.1)
        used.append(total - ray_cluster.available_resources().get("object_store_memory", 0.0))
        if count == 60:
            break
    assert set(sizes) == {8 * clip}
    assert max(used) < 0.4 * total
    # 61 of 120 micro-batches were taken: an unbounded producer would be at the end
    assert max(used) < 8 * clip * 40


def test_labels_of_nodes():
    from pipelines.common.decoding import label_selector

    assert label_selector(()) is None
    assert label_selector(("pool=cpu-decode", "zone=a")) == {"pool": "cpu-decode", "zone": "a"}
    with pytest.raises(ConfigError, match="'pool' is not key=value"):
        label_selector(("pool",))
