"""Boxes of a person detector: which of them are trained on and with what, which are evaluated, and files that do not fit."""

from __future__ import annotations

import pytest

from pipelines.common.boxed_sources import load_boxed
from pipelines.common.evaluate_actions import _evaluated
from tests.data import videos
from vidmodels.core.errors import ConfigError, DataError
from vidmodels.core.recipe import ClipSection, KeyFramesSection
from vidmodels.data.boxed_reader import KeyFrameReader

TRUE = "video,time,x1,y1,x2,y2,label"
FOUND = "video,time,x1,y1,x2,y2,score"
# a true box of 20 x 20 pixels, and what a detector makes of it
ROWS = ["a,0.4,10,10,30,30,run", "a,0.4,10,10,30,30,jump", "a,0.4,36,8,60,40,sit", "b,0.2,0,0,20,20,run"]
NINE_TENTHS, EIGHTY_FIVE, ELSEWHERE = "a,0.4,10,10,30,28,0.95", "a,0.4,10,10,30,27,0.95", "a,0.4,2,30,12,46,0.85"


@pytest.fixture
def folder(tmp_path):
    """Two videos of 20 frames, 64 x 48 pixels, at 30 per second."""
    for name in "ab":
        videos.write(tmp_path / f"{name}.mp4", 20, size=(48, 64))
    return tmp_path


def write(folder, name, header, rows):
    path = folder / name
    path.write_text("\n".join([header, *rows]) + "\n")
    return str(path)


def section(folder, *found, header=FOUND, **settings):
    path, detected = write(folder, "true.csv", TRUE, ROWS), write(folder, "found.csv", header, found)
    return KeyFramesSection(path=path, **{"detections": detected, **settings})


def trained(folder, *found, **settings):
    """Boxes of the key frame of video a, with the names of their actions."""
    (manifest,) = load_boxed(section(folder, *found, **settings), str(folder)).train
    boxes = manifest.boxes.row(0).boxes
    names = [tuple(manifest.classes[number] for number in labels) for labels in boxes.labels]
    return list(zip(boxes.xyxy.tolist(), names))


def test_a_detected_box_of_nine_tenths_overlap_has_the_actions_of_the_true_one(folder):
    boxes = trained(folder, NINE_TENTHS, EIGHTY_FIVE, ELSEWHERE)
    assert boxes == [
        ([10, 10, 30, 30], ("run", "jump")),
        ([36, 8, 60, 40], ("sit",)),
        ([10, 10, 30, 28], ("run", "jump")),
    ]


def test_the_overlap_is_a_setting(folder):
    assert [box for box, _ in trained(folder, EIGHTY_FIVE, min_overlap=0.85)][2:] == [[10, 10, 30, 27]]
    assert [box for box, _ in trained(folder, NINE_TENTHS, min_overlap=0.91)][2:] == []


def test_the_rest_are_people_who_do_nothing(folder):
    boxes = trained(folder, NINE_TENTHS, EIGHTY_FIVE, ELSEWHERE, negatives=True)
    assert boxes[2:] == [([10, 10, 30, 28], ("run", "jump")), ([10, 10, 30, 27], ()), ([2, 30, 12, 46], ())]


def test_people_who_do_nothing_have_targets_of_zeros(folder):
    sources = load_boxed(section(folder, ELSEWHERE, negatives=True), str(folder))
    clip = ClipSection(num_frames=4, frame_stride=1, size=48, crop="center")
    reader = KeyFrameReader(sources.train, sources.order(0), clip, 0)
    number = next(number for number in range(2) if reader.id_of(number) == "a@0.400")
    row = reader.read(number)
    assert row["error"] == ""
    # the central square begins at column 8: of the box in columns 2 to 12 four are left
    assert row["boxes"].tolist() == [[0, 2, 10, 22, 30], [0, 28, 8, 48, 40], [0, 0, 30, 4, 46]]
    assert row["box_targets"].tolist() == [[1, 1, 0], [0, 0, 1], [0, 0, 0]]  # jump, run, sit


def test_boxes_below_the_score_are_left_out(folder):
    doubtful = NINE_TENTHS.replace("0.95", "0.79")
    assert len(trained(folder, doubtful, ELSEWHERE, negatives=True)) == 3
    assert len(trained(folder, doubtful, ELSEWHERE, negatives=True, min_score=0.79)) == 4


def test_detected_boxes_at_other_moments_are_not_trained_on(folder):
    (manifest,) = load_boxed(section(folder, NINE_TENTHS, "a,0.1,0,0,20,20,0.9", negatives=True), str(folder)).train
    assert manifest.boxes.frames == (("a", 0.4), ("b", 0.2))


def test_detected_boxes_change_the_digest(folder):
    plain = load_boxed(section(folder, NINE_TENTHS, detections=None), str(folder)).digest
    assert load_boxed(section(folder, NINE_TENTHS), str(folder)).digest != plain


def test_only_detected_boxes_are_evaluated(folder):
    true = write(folder, "val.csv", TRUE, ROWS)
    found = write(folder, "val_found.csv", FOUND, [NINE_TENTHS, ELSEWHERE, "b,0.2,0,0,20,20,0.5"])
    sources = load_boxed(section(folder, NINE_TENTHS, val_path=true, val_detections=found), str(folder))
    assert sources.val.boxes.frames == (("a", 0.4),)
    assert sources.val.boxes.boxes.xyxy.tolist() == [[10, 10, 30, 28], [2, 30, 12, 46]]
    assert sources.truth.frames == (("a", 0.4), ("b", 0.2))
    assert sources.truth.boxes.labels == ((1, 0), (2,), (1,))


def test_detected_boxes_of_training_videos_are_not_evaluated(folder):
    """One list of detected boxes for all videos, a share of which is kept for validation."""
    found = write(folder, "all.csv", FOUND, [NINE_TENTHS, "b,0.2,0,0,20,20,0.9"])
    data = section(folder, detections=found, val_detections=found, val_fraction=0.5)
    sources = load_boxed(data, str(folder))
    (held,) = sources.truth.videos
    assert sources.val.boxes.videos == (held,)
    assert sources.train[0].boxes.videos == tuple({"a", "b"} - {held})


def test_videos_without_true_boxes_are_said(folder, caplog):
    assert len(trained(folder, NINE_TENTHS, "other,0.4,0,0,20,20,0.9", "more,0.4,0,0,20,20,0.9")) == 3
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.endswith("found.csv has boxes of 2 videos without true ones, which are left out, the first is more")


def test_missing_videos_are_not_called_unknown(folder, caplog):
    true = write(folder, "val.csv", TRUE, [*ROWS, "gone,0.4,0,0,20,20,run"])
    found = write(folder, "val_found.csv", FOUND, [NINE_TENTHS, "gone,0.4,0,0,20,20,0.9"])
    sources = load_boxed(section(folder, detections=None, val_path=true, val_detections=found), str(folder))
    assert sources.val.boxes.videos == ("a",)
    assert not [record for record in caplog.records if "without true ones" in record.getMessage()]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["a.mp4,0.4,10,10,30,28,0.9"], r"boxes at none of the 2 key frames of .*true.csv; its first are of 'a.mp4' at 0.4 s"),
        (
            ["a,0.5,10,10,30,28,0.9"],
            r"boxes at none of the 2 key frames .* at 0.5 s, there 'a' at 0.4 s: name videos and times",
        ),
        (
            [NINE_TENTHS, "a,0.4,10,10,75,28,0.9"],
            r"found.csv, row 3: the box \(10, 10, 75, 28\) lies outside of the 64x48 frame",
        ),
        ([NINE_TENTHS, "a,0.4,30,10,10,28,0.9"], r"found.csv, row 3: the box \(30, 10, 10, 28\) is inverted or empty"),
        ([NINE_TENTHS, "b,77,10,10,30,28,0.9"], r"found.csv, row 3: the key frame at 77 s is outside of .*b.mp4, which lasts"),
        ([NINE_TENTHS, "a,0.4,10,10,30,29,"], r"found.csv, row 3: score is missing: give each detected box how sure"),
        ([NINE_TENTHS, "a,0.4,10,10,30,29,95"], r"found.csv, row 3: score 95 is not in 0..1"),
        ([NINE_TENTHS, "a,0.4,10,10,30,29,sure"], r"found.csv, row 3: score 'sure' is not a number"),
        ([ELSEWHERE.replace("0.85", "0.5")], r"found.csv holds no box of score 0.8 or more: lower data.min_score"),
    ],
)
@pytest.mark.parametrize("key", ["detections", "val_detections"])
def test_files_that_do_not_fit(folder, key, rows, message):
    found = write(folder, "found.csv", FOUND, rows)
    data = section(folder, *rows, **{"detections": None, "val_path": str(folder / "true.csv"), key: found})
    with pytest.raises(DataError, match=message) as raised:
        load_boxed(data, str(folder))
    assert "\n" not in str(raised.value)


def test_a_file_without_scores(folder):
    header, row = "video,time,x1,y1,x2,y2", "a,0.4,10,10,30,28"
    with pytest.raises(DataError, match="row 2: score is missing"):
        trained(folder, row, header=header)
    assert len(trained(folder, row, header=header, min_score=0)) == 3


def test_shares_of_the_frame_beside_pixels(folder):
    (folder / "ava.csv").write_text("a,0902,0.1,0.1,0.4,0.5,,0.9\n")
    with pytest.raises(DataError, match="have boxes of different units: bring both to one"):
        trained(folder, detections=str(folder / "ava.csv"))


def test_evaluation_takes_the_path_as_what_is_true_of_detected_boxes(folder):
    found = write(folder, "found.csv", FOUND, [NINE_TENTHS])
    data = _evaluated(section(folder, NINE_TENTHS, detections=None, val_detections=found), 64)
    sources = load_boxed(data, str(folder))
    assert sources.val.boxes.boxes.xyxy.tolist() == [[10, 10, 30, 28]]
    assert sources.truth.frames == (("a", 0.4), ("b", 0.2))
    with pytest.raises(ConfigError, match=r"data.detections .*found.csv are trained on: give .* as data.val_detections"):
        _evaluated(section(folder, NINE_TENTHS), 64)


def test_settings_without_a_path():
    with pytest.raises(ValueError, match=r"data.val_path val.csv is given without data.path"):
        KeyFramesSection(val_path="val.csv")
    with pytest.raises(ValueError, match=r"data.detections found.csv is given without data.path"):
        KeyFramesSection(detections="found.csv")
