"""Key frames as samples: crops move boxes along, lost boxes leave a valid sample, batches join ragged boxes."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from tests.data.videos import write
from vidmodels.core.errors import DataError
from vidmodels.core.recipe import ClipSection
from vidmodels.core.structures import Boxes
from vidmodels.data.boxed_manifest import BoxedManifest
from vidmodels.data.boxed_reader import KeyFrameReader, WholeFrameReader, cropped
from vidmodels.data.collate import to_batch
from vidmodels.data.formats.boxed import BoxesFormat, Names, above, check_boxes, find_files, listed
from vidmodels.data.geometry import Crop
from vidmodels.data.ledger import FileLedger
from vidmodels.data.loader import LocalLoader
from vidmodels.data.order import Order

HEADER = "video,time,x1,y1,x2,y2,label\n"
ROWS = "a,0.5,4,8,20,40,run\na,0.5,30,10,60,44,jump\nb,0.2,0,0,10,10,run\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "videos").mkdir()
    for name in "ab":
        write(tmp_path / "videos" / f"{name}.mp4", 20, size=(48, 64))
    return tmp_path


def boxes_at(folder, rows=ROWS, name="boxes.csv"):
    (folder / name).write_text(HEADER + rows)
    return str(folder / name)


def manifest_of(folder, rows=ROWS):
    return listed(BoxesFormat().read(boxes_at(folder, rows), Names()), str(folder / "videos"))


def reader_of(manifest, **clip):
    section = ClipSection(**{"num_frames": 4, "frame_stride": 1, "size": 32, "crop": "center", **clip})
    return KeyFrameReader((manifest,), Order([len(manifest)], [1.0], 0), section, 0)


def number_of(reader, key):
    return next(n for n in range(len(reader.manifests[0])) if reader.id_of(n) == key)


def test_a_crop_moves_cuts_and_drops_boxes():
    boxes = Boxes([(10, 10, 30, 30), (0, 0, 12, 12), (60, 60, 70, 70)], labels=[(0,), (1,), (2,)])
    inside = cropped(boxes, Crop(top=10, left=10, height=40, width=40), 80)
    np.testing.assert_allclose(inside.xyxy, [(0, 0, 40, 40), (0, 0, 4, 4)])
    assert inside.labels == ((0,), (1,))


def test_a_sliver_of_less_than_a_pixel_is_dropped():
    boxes = Boxes([(0, 0, 10.2, 30)])
    assert len(cropped(boxes, Crop(0, 10, 40, 40), 40)) == 0


def test_the_central_crop_of_a_wide_video(folder):
    reader = reader_of(manifest_of(folder))
    row = reader.read(number_of(reader, "a@0.500"))
    # 48 x 64 pixels: the square begins at column 8, and 48 become 32 pixels
    assert row["clips"].shape == (1, 4, 32, 32, 3)
    np.testing.assert_allclose(row["boxes"], [(0, 0, 8 / 1.5, 8, 40 / 1.5), (0, 22 / 1.5, 10 / 1.5, 32, 44 / 1.5)], atol=1e-5)
    assert row["box_targets"].tolist() == [[0, 1], [1, 0]]  # jump, run


def test_a_sample_that_loses_all_boxes_stays_valid(folder):
    reader = reader_of(manifest_of(folder, "a,0.5,0,0,7,48,run\nb,0.2,20,10,40,30,run\n"))
    batch = to_batch(reader.read_batch([number_of(reader, "a@0.500"), number_of(reader, "b@0.200")]))
    assert batch.valid.tolist() == [True, True]
    assert batch.boxes[:, 0].tolist() == [1.0]
    assert batch.box_targets.shape == (1, 1)


def test_repeats_have_their_own_crops_and_boxes(folder):
    reader = reader_of(manifest_of(folder), repeats=3, crop="random_short_side", short_side=(32, 40), size=32)
    numbers = [number_of(reader, "b@0.200"), number_of(reader, "a@0.500")]
    columns = reader.read_batch(numbers)
    assert columns["boxes"].shape == (2, 6, 5)
    batch = to_batch(columns)
    clips = batch.boxes[:, 0].long()
    assert set(clips[clips >= 3].tolist()) == {3, 4, 5}
    left, right = batch.boxes[:, 1], batch.boxes[:, 3]
    assert ((right - left >= 1) & (left >= 0) & (right <= 32)).all()


def test_a_box_follows_its_pixels_through_random_crops(folder):
    """The mean colour inside a moved box is that of the box in the whole frame."""
    manifest = manifest_of(folder, "a,0.5,26,16,42,32,run\n")
    whole = WholeFrameReader(manifest, ClipSection(num_frames=4, frame_stride=1), 48).read(0)
    frame = whole["clips"][0, 2]
    expected = frame[16:32, 26:42].mean((0, 1))
    reader = reader_of(manifest, repeats=4, crop="random_resized", size=64, crop_area=(0.9, 1.0))
    row = reader.read(0)
    for clip, x1, y1, x2, y2 in row["boxes"]:
        part = row["clips"][int(clip), 2, round(y1) : round(y2), round(x1) : round(x2)]
        np.testing.assert_allclose(part.mean((0, 1)), expected, atol=12)


def test_whole_frames_have_all_boxes_at_the_test_size(folder):
    row = WholeFrameReader(manifest_of(folder), ClipSection(num_frames=4, frame_stride=1), 24).read(0)
    assert row["clips"].shape == (1, 4, 24, 32, 3)
    np.testing.assert_allclose(row["boxes"][:, 1:], [(2, 4, 10, 20), (15, 5, 30, 22)])


def test_loaders_bring_the_same_boxes_with_processes_and_without(folder, tmp_path):
    reader = reader_of(manifest_of(folder))
    numbers = [[0, 1], [2, 3]]
    plain, forked = (
        list(LocalLoader(reader, FileLedger(tmp_path / f"ledger{count}"), count).batches(numbers)) for count in (0, 1)
    )
    for here, there in zip(plain, forked):
        assert torch.equal(here.boxes, there.boxes)
        assert torch.equal(here.box_targets, there.box_targets)
    assert sorted(len(batch.boxes) for batch in plain) != [0, 0]


def test_a_reader_travels_to_a_worker(folder):
    reader = reader_of(manifest_of(folder))
    again = pickle.loads(pickle.dumps(reader))
    np.testing.assert_array_equal(again.read(0)["boxes"], reader.read(0)["boxes"])


def test_videos_that_are_missing_are_counted_and_none_at_all_is_an_error(folder):
    manifest = manifest_of(folder, ROWS + "gone,1,0,0,5,5,run\n")
    assert (len(manifest), manifest.missing) == (2, ("gone",))
    with pytest.raises(DataError, match=r"none of the 1 videos .* is there, the first is gone"):
        manifest_of(folder, "gone,1,0,0,5,5,run\n")
    with pytest.raises(DataError, match="no folder of videos at"):
        find_files(["a"], str(folder / "nowhere"))


def test_a_split_keeps_the_key_frames_of_a_video_together(folder):
    rows = "".join(f"{name},0.{n},0,0,10,10,run\n" for name in "ab" for n in range(1, 5))
    train, val = manifest_of(folder, rows).split(0.5)
    assert (len(train), len(val)) == (4, 4)
    assert not set(train.boxes.videos) & set(val.boxes.videos)
    with pytest.raises(DataError, match="leaves none for validation"):
        manifest_of(folder, rows).split(0.1)


def test_the_digest_covers_boxes_and_labels_but_not_places(folder, tmp_path):
    digest = manifest_of(folder).digest
    assert manifest_of(folder, ROWS.replace("4,8,20,40", "4,8,21,40")).digest != digest
    assert manifest_of(folder, ROWS.replace("0,0,10,10,run", "0,0,10,10,jump")).digest != digest
    (folder / "videos").rename(folder / "moved")
    (folder / "videos").symlink_to(folder / "moved")
    assert manifest_of(folder).digest == digest


def test_a_saved_manifest_holds_the_boxes(folder, tmp_path):
    import pyarrow.parquet as pq

    manifest_of(folder).save(tmp_path / "m.parquet")
    table = pq.read_table(tmp_path / "m.parquet")
    assert table["boxes"].to_pylist()[0] == [[4, 8, 20, 40], [30, 10, 60, 44]]
    assert table["box_labels"].to_pylist() == [[[1], [0]], [[1]]]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("a,0.5,4,8,90,40,run\n", "row 2: the box .* lies outside of the 64x48 frame"),
        ("a,9,4,8,20,40,run\n", "row 2: the key frame at 9 s is outside of"),
    ],
)
def test_wrong_boxes_are_said_before_a_run_and_counted_while_reading(folder, row, said):
    manifest = manifest_of(folder, row)
    with pytest.raises(DataError, match=said):
        check_boxes(manifest)
    batch = to_batch(reader_of(manifest).read_batch([0]))
    assert batch.valid.tolist() == [False]
    assert len(batch.boxes) == 0


def test_inverted_boxes_and_unknown_classes(folder):
    with pytest.raises(DataError, match="inverted or empty"):
        manifest_of(folder, "a,0.5,20,8,4,40,run\n")
    with pytest.raises(DataError, match="'swim' is not in the list of 2 classes"):
        BoxesFormat().read(boxes_at(folder, "a,0.5,4,8,20,40,swim\n"), Names(("run", "jump")))
    with pytest.raises(DataError, match="names no action"):
        BoxesFormat().read(boxes_at(folder, "a,0.5,4,8,20,40,\n"), Names())


def test_formats_are_told_apart(folder):
    (folder / "ava.csv").write_text("a,902,0.1,0.2,0.5,0.8,12,0\n")
    assert BoxesFormat().is_ava(str(folder / "ava.csv"))
    assert not BoxesFormat().is_ava(boxes_at(folder))
    found = BoxesFormat().read(str(folder / "ava.csv"), Names())
    assert (len(found.classes), found.boxes.labels, found.frames) == (80, ((11,),), (("a", 2.0),))


def test_boxes_below_a_score_are_left_out(folder):
    path = folder / "found.csv"
    path.write_text("video,time,x1,y1,x2,y2,score\na,1,0,0,5,5,0.9\na,1,0,0,6,6,0.5\nb,1,0,0,7,7,0.2\n")
    found = above(BoxesFormat().read_detections(str(path), Names(), 0.0), 0.8)
    assert found.frames == (("a", 1.0),)
    assert found.boxes.xyxy.tolist() == [[0, 0, 5, 5]]


def test_rows_are_key_frames(folder):
    manifest = manifest_of(folder)
    assert isinstance(manifest, BoxedManifest)
    assert [manifest.row(i).id for i in range(2)] == ["a@0.500", "b@0.200"]
    assert (manifest.most_boxes, manifest.num_classes) == (2, 2)
