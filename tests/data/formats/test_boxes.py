"""Boxes of one's own in all forms, and one sentence for each way to write them wrongly."""

from __future__ import annotations

import contextlib
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidmodels.core.errors import DataError
from vidmodels.data.formats.boxes import read_boxes

HEADER = "video,time,x1,y1,x2,y2"
ROWS = [
    {"video": "a.mp4", "time": 0.5, "x1": 10, "y1": 20, "x2": 50, "y2": 90, "label": "run", "person": "anna", "score": 0.9},
    {"video": "a.mp4", "time": 0.5, "x1": 60, "y1": 20, "x2": 90, "y2": 90, "label": None, "person": None, "score": None},
    {"video": "a.mp4", "time": 0.5, "x1": 10, "y1": 20, "x2": 50, "y2": 90, "label": "wave", "person": "anna", "score": 0.9},
]


def write(tmp_path, form):
    path = tmp_path / f"boxes.{form}"
    if form == "csv":
        rows = [",".join("" if value is None else str(value) for value in row.values()) for row in ROWS]
        path.write_text("\n".join([",".join(ROWS[0]), *rows]) + "\n")
    elif form == "json":
        path.write_text(json.dumps(ROWS))
    elif form == "jsonl":
        path.write_text("\n".join(map(json.dumps, ROWS)))
    else:
        pq.write_table(pa.Table.from_pylist(ROWS), path)
    return str(path)


@pytest.mark.parametrize("form", ["csv", "json", "jsonl", "parquet"])
def test_all_forms_say_the_same(tmp_path, form):
    table = read_boxes(write(tmp_path, form))
    assert table.frames == (("a.mp4", 0.5),)
    boxes = table.row(0).boxes
    assert boxes.xyxy.tolist() == [[10, 20, 50, 90], [60, 20, 90, 90]]
    assert boxes.persons == ("anna", None)
    assert boxes.scores.tolist() == [0.9, 1]
    assert table.classes == ("run", "wave")
    assert boxes.labels == ((0, 1), ())
    assert not table.normalised


def test_columns_in_any_order_and_quotes(tmp_path):
    path = tmp_path / "b.csv"
    path.write_text('"time", x1 ,Y1,x2,y2,video,labels\n 1.5,0,0,20,20,v,"sit (on, at); run"\n\n0.5,0,0,20,20,v,\n')
    table = read_boxes(str(path), ["run", "stand", "sit (on, at)"])
    assert table.frames == (("v", 0.5), ("v", 1.5))
    assert table.row(1).boxes.labels == ((2, 0),)
    assert table.rows.tolist() == [4, 2]
    assert table.classes == ("run", "stand", "sit (on, at)")


def test_labels_as_lists(tmp_path):
    path = tmp_path / "b.jsonl"
    path.write_text('{"video": "v", "time": 1, "x1": 0, "y1": 0, "x2": 9, "y2": 9, "labels": ["run", 3], "person": 7}\n')
    table = read_boxes(str(path))
    assert table.classes == ("3", "run")
    assert table.row(0).boxes.labels == ((1, 0),)
    assert table.row(0).boxes.persons == ("7",)


def test_no_labels_are_no_classes(tmp_path):
    path = tmp_path / "b.csv"
    path.write_text(f"{HEADER}\nv,0,0,0,0.5,0.5\n")
    assert read_boxes(str(path), normalised=True).classes is None
    with pytest.raises(DataError, match="all boxes lie within one pixel"):
        read_boxes(str(path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{HEADER},lable\nv,0,0,0,9,9,x\n", "row 1: unknown column 'lable' .did you mean 'label'"),
        ("v,0,0,0,9,9\n", "row 1: the first row must name the columns video, time, x1, y1, x2, y2, and it is 'v,0,0,0,9,9'"),
        (f"{HEADER}\nv,0,0,0,9\n", "row 2: y2 is missing: every box needs"),
        (f"{HEADER}\nv,0,0,0,9,9\nv,,0,0,9,9\n", "row 3: time is missing"),
        (f"{HEADER}\nv,0,0,0,9,9,extra\n", "row 2: more cells than columns, from 'extra' on"),
        (f"{HEADER}\nv,0,0,0,nine,9\n", "row 2: x2 'nine' is not a number"),
        (f"{HEADER},score\nv,0,0,0,9,9,nan\n", "row 2: score 'nan' is not a number"),
        (f"{HEADER}\nv,0,9,0,0,9\n", r"row 2: the box \(9, 0, 0, 9\) is inverted or empty: give x1 < x2 and y1 < y2"),
        (f"{HEADER},label\nv,0,0,0,9,9,jmup\n", "row 2: the label 'jmup' is not in the list of 2 classes .did you mean 'jump'"),
        (
            f"{HEADER},person\nv,0,0,0,9,9,a\nv,0,5,0,9,9,a\n",
            "row 3: the person 'a' is in two boxes at 0 s, the other in row 2",
        ),
        (HEADER + "\n", "holds no box"),
        ("", "the first row must name the columns"),
    ],
)
def test_bad_csv_is_one_sentence(tmp_path, text, message):
    path = tmp_path / "b.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message) as found:
        read_boxes(str(path), ["run", "jump"])
    assert str(found.value).startswith(str(path))
    assert "\n" not in str(found.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("b.jsonl", b'{"video": "v"\n', "row 1: this is not JSON"),
        ("b.jsonl", b"3\n", "row 1: 3 is no object with the keys"),
        ("b.json", b'[{"video": "v", "tme": 1}]', "row 1: unknown column 'tme' .did you mean 'time'"),
        ("b.jsonl", b'{"video": "v", "time": true, "x1": 0, "y1": 0, "x2": 9, "y2": 9}', "row 1: time True is not a number"),
        ("b.jsonl", b'{"video": "v", "time": 1, "x1": 0, "y1": 0, "x2": 9, "y2": 9, "label": {"a": 1}}', "are no names"),
        ("b.parquet", b"no parquet", "give a Parquet file"),
        ("b.csv", b"\xff\xfe\x00", "is not a text file"),
        ("b.xml", b"<x/>", "are read from .csv, .json, .jsonl and .parquet"),
    ],
)
def test_other_bad_files(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_boxes(str(path))


def test_normalised_boxes_outside_of_the_frame(tmp_path):
    path = tmp_path / "b.csv"
    path.write_text(f"{HEADER}\nv,0,0,0,1.02,1\n")  # a little over the edge, as detectors have it
    assert len(read_boxes(str(path), normalised=True)) == 1
    path.write_text(f"{HEADER}\nv,0,0,0,340,256\n")
    with pytest.raises(DataError, match=r"row 2: the box \(0, 0, 340, 256\) lies outside of the frame.*pixels"):
        read_boxes(str(path), normalised=True)


_CELLS = st.text(alphabet='video,time12xy".;:[]{}\n\r 0-e²', max_size=120)


@settings(max_examples=80, deadline=None)
@given(ending=st.sampled_from(["csv", "jsonl", "json", "parquet"]), head=st.booleans(), rest=_CELLS)
def test_any_text_is_read_or_refused(tmp_path_factory, ending, head, rest):
    path = tmp_path_factory.mktemp("any") / f"f.{ending}"
    path.write_text((f"{HEADER},labels\n" if head else "") + rest)
    with contextlib.suppress(DataError):  # any other error fails the test
        read_boxes(str(path))
