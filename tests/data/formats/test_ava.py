"""AVA's lists as published, and what is wrong with lists that are not."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidmodels.core.errors import DataError
from vidmodels.data.formats import ava

TRUTH = """\
-5KQ66BBWC4,0902,0.077,0.151,0.283,0.811,80,1
-5KQ66BBWC4,0902,0.077,0.151,0.283,0.811,9,1
-5KQ66BBWC4,0902,0.226,0.032,0.366,0.497,12,0
-5KQ66BBWC4,0904
1j20qq1JyX4,1798,0.500,0.100,0.900,0.900,1,7
"""
DETECTED = """\
-5KQ66BBWC4,0902,0.078,0.152,0.283,0.811,,0.996
-5KQ66BBWC4,0902,0.500,0.500,0.900,0.900,-1,0.95
-5KQ66BBWC4,0902,0.226,0.032,0.366,0.497,,0.79
-5KQ66BBWC4,0903,0.100,0.100,0.300,0.500,,0.9
1j20qq1JyX4,1799,0.100,0.100,0.300,0.500,,0.9
"""


def write(tmp_path, text, name="list.csv"):
    path = tmp_path / name
    path.write_text(text)
    return str(path)


def test_boxes_with_actions(tmp_path):
    table = ava.read_ava(write(tmp_path, TRUTH))
    # seconds count from the 15th minute on, at which the published files begin
    assert table.frames == (("-5KQ66BBWC4", 2.0), ("1j20qq1JyX4", 898.0))
    frame = table.row(0)
    assert frame.boxes.xyxy.tolist() == [[0.077, 0.151, 0.283, 0.811], [0.226, 0.032, 0.366, 0.497]]
    assert frame.boxes.labels == ((79, 8), (11,))  # from 0
    assert frame.boxes.persons == ("1", "0")
    assert table.normalised
    assert table.videos == ("-5KQ66BBWC4", "1j20qq1JyX4")
    assert ava.read_ava(write(tmp_path, TRUTH), origin=0).frames[0] == ("-5KQ66BBWC4", 902.0)


def test_excluded_moments(tmp_path):
    excluded = ava.read_excluded(write(tmp_path, "-5KQ66BBWC4,0902\nx,1000\n"))
    assert excluded == {("-5KQ66BBWC4", 902.0), ("x", 1000.0)}
    table = ava.read_ava(write(tmp_path, TRUTH, "t.csv"), excluded=excluded)
    assert table.videos == ("1j20qq1JyX4",)
    assert len(ava.read_detections(write(tmp_path, DETECTED, "d.csv"), excluded=excluded)) == 1


def test_boxes_of_a_detector(tmp_path):
    path = write(tmp_path, DETECTED)
    table = ava.read_detections(path)
    assert table.frames == (("-5KQ66BBWC4", 2.0), ("-5KQ66BBWC4", 3.0))  # 1799 is no key frame
    assert table.row(0).boxes.scores.tolist() == [0.996, 0.95]
    assert table.row(0).boxes.labels == ((), ())
    assert len(ava.read_detections(path, min_score=0.7).row(0).boxes) == 3
    seven = write(tmp_path, "v,0902,0.1,0.1,0.2,0.2,0.85\n", "seven.csv")
    assert ava.read_detections(seven).row(0).boxes.scores.tolist() == [0.85]


def test_training_boxes(tmp_path):
    truth, found = ava.read_ava(write(tmp_path, TRUTH)), ava.read_detections(write(tmp_path, DETECTED, "d.csv"))
    boxes = ava.training_boxes(truth, found).row(0).boxes
    assert boxes.labels == ((79, 8), (11,), (79, 8))
    assert boxes.scores[2] == 0.996
    assert ava.training_boxes(truth, found).frames == truth.frames  # not the detector's moment without truth
    assert ava.training_boxes(truth, found, negatives=True).row(0).boxes.labels == ((79, 8), (11,), (79, 8), ())
    assert len(ava.training_boxes(truth, found, min_overlap=0.999).row(0).boxes) == 2
    own = ava.read_detections(write(tmp_path, "-5KQ66BBWC4,0902,0.5,0.5,0.9,0.9,3,0.95\n", "own.csv"))
    assert ava.training_boxes(truth, own).row(0).boxes.labels[2] == (2,)


@pytest.mark.parametrize("key", ["id", "label_id"])
def test_label_map(tmp_path, key):
    text = f'item {{\n  name: "bend/bow (at the waist)"\n  {key}: 1\n}}\n'
    text += f'item {{ name: "sit" {key}: 3 label_type: PERSON_MOVEMENT }}\n'
    names = ava.read_label_map(write(tmp_path, text, "map.pbtxt"))
    assert names == {1: "bend/bow (at the waist)", 3: "sit"}
    classes, evaluated = ava.ava_classes(names, 4)
    assert classes == ("bend/bow (at the waist)", "action 2", "sit", "action 4")
    assert evaluated == (0, 2)
    with pytest.raises(DataError, match="names action 3, and there are 2"):
        ava.ava_classes(names, 2)


def test_frame_lists(tmp_path):
    text = 'original_vido_id video_id frame_id path labels\na 0 1 a/a_2.jpg ""\na 0 0 a/a_1.jpg ""\nb 1 0 b/b_1.jpg ""\n'
    lists = ava.read_frame_lists(write(tmp_path, text), "/frames")
    assert lists == {"a": ("/frames/a/a_1.jpg", "/frames/a/a_2.jpg"), "b": ("/frames/b/b_1.jpg",)}


def test_videos_are_found_by_name(tmp_path):
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "a.b.mkv").write_bytes(b"x")
    found, missing = ava.find_videos(("a.b", "c"), str(tmp_path))
    assert found == {"a.b": f"{tmp_path}/part/a.b.mkv"}
    assert missing == ("c",)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("v,0902,0.1,0.1,0.2,0.2,0,1", "row 2: action 0 is not in the list of 80, which counts from 1"),
        ("v,0902,0.1,0.1,0.2,0.2,81,1", "row 2: action 81 is not in the list of 80"),
        ("v,0902,0.1,0.1,0.2,0.2,1.5,1", "row 2: action 1.5 is not"),
        ("v,0902,0.3,0.1,0.2,0.2,1,1", r"row 2: the box \(0.3, 0.1, 0.2, 0.2\) is inverted or empty"),
        ("v,0902,0.1,0.1,12,0.2,1,1", r"row 2: the box \(0.1, 0.1, 12, 0.2\) lies outside of the frame"),
        ("v,0902,0.1,0.1,0.2,x,1,1", "row 2: y2 'x' is not a number"),
        ("v,0902,0.1,0.1,0.2,inf,1,1", "row 2: y2 'inf' is not a number"),
        ("v,1799,0.1,0.1,0.2,0.2,1,1", "row 2: second 1799 is no key frame of AVA, which has 902 to 1798"),
        ("v 0902 0.1 0.1 0.2 0.2 1 1", "row 2: 1 columns, not 2 or 7 or 8: separate them by commas"),
    ],
)
def test_bad_rows_are_one_sentence(tmp_path, line, message):
    path = write(tmp_path, "v,0902,0.1,0.1,0.2,0.2,1,1\n" + line + "\n")
    with pytest.raises(DataError, match=message) as found:
        ava.read_ava(path)
    assert str(found.value).startswith(path)
    assert "\n" not in str(found.value)


def test_bad_maps_and_lists(tmp_path):
    with pytest.raises(DataError, match="lacks its name or its id"):
        ava.read_label_map(write(tmp_path, 'item { name: "x" }'))
    with pytest.raises(DataError, match="is no label map"):
        ava.read_label_map(write(tmp_path, "one\ntwo\n"))
    with pytest.raises(DataError, match="row 1: 'a 0 zero p' is not a video"):
        ava.read_frame_lists(write(tmp_path, "a 0 zero p\n"), "")
    with pytest.raises(DataError, match="lists no frame"):
        ava.read_frame_lists(write(tmp_path, "\n"), "")
    with pytest.raises(DataError, match="there is no file"):
        ava.read_ava(str(tmp_path / "none.csv"))


@settings(max_examples=60, deadline=None)
@given(
    content=st.one_of(st.binary(max_size=200), st.text(alphabet='0123456789.,-"\n\r vxe{}:²٣', max_size=200).map(str.encode))
)
def test_any_bytes_are_read_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("any") / "f.csv"
    path.write_bytes(content)
    readers = [ava.read_ava, ava.read_detections, ava.read_excluded, ava.read_label_map]
    for read in [*readers, lambda name: ava.read_frame_lists(name, "")]:
        with contextlib.suppress(DataError):  # any other error fails the test
            read(str(path))
