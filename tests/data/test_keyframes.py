"""A table of key frames gives a video its boxes in pixels, or says which row does not fit."""

from __future__ import annotations

import pickle

import pytest

from vidmodels.core.errors import DataError
from vidmodels.data.keyframes import BoxRow, KeyFrames
from vidmodels.data.probe import VideoInfo

INFO = VideoInfo(10.0, 25.0, 200, 100, 250, "h264", "mov", "yuv420p")


def table(*rows, **settings):
    return KeyFrames.from_rows([BoxRow(*row) for row in rows], "boxes.csv", **settings)


def row(video="clip.mp4", time=1.0, xyxy=(10.0, 10.0, 50.0, 90.0), number=2):
    return (video, time, xyxy, (), None, 1.0, number)


def test_frames_come_in_order_with_their_boxes():
    made = table(row(time=2.0), row("a.mp4", 5.0), row(time=1.0), row(time=2.0, xyxy=(60.0, 10.0, 90.0, 90.0)))
    assert made.frames == (("a.mp4", 5.0), ("clip.mp4", 1.0), ("clip.mp4", 2.0))
    assert [len(frame.boxes) for frame in made] == [1, 1, 2]
    assert made.videos == ("a.mp4", "clip.mp4")
    with pytest.raises(IndexError):
        made.row(3)
    boxes, targets = table((*row()[:3], (0, 2))).truth(3)["clip.mp4", 1.0]
    assert boxes.tolist() == [[10, 10, 50, 90]]
    assert targets.tolist() == [[1, 0, 1]]
    again = pickle.loads(pickle.dumps(made))
    assert again.frames == made.frames
    assert again.row(2).boxes.xyxy.tolist() == made.row(2).boxes.xyxy.tolist()


@pytest.mark.parametrize("name", ["clip.mp4", "clip", "other/clip.mp4", "/data/clip.mp4"])
def test_a_video_is_known_by_its_name(name):
    (found,) = table(row(name), row("no.mp4")).of_video("/data/clip.mp4", INFO)
    assert found.boxes.xyxy.tolist() == [[10, 10, 50, 90]]


def test_shares_become_pixels_and_edges_cut():
    made = table(row(xyxy=(-0.02, 0.5, 0.25, 1.03)), normalised=True)
    assert made.of_video("clip.mp4", INFO)[0].boxes.xyxy.tolist() == [[0, 50, 50, 100]]
    assert table(row(xyxy=(150.0, 0.0, 206.0, 50.0))).of_video("clip.mp4", INFO)[0].boxes.xyxy.tolist() == [[150, 0, 200, 50]]


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: table(row(xyxy=(10.0, 10.0, 300.0, 50.0), number=7)),
         r"boxes.csv, row 7: the box \(10, 10, 300, 50\) lies outside of the 200x100 frame of clip.mp4"),
        (lambda: table(row(xyxy=(201.0, 10.0, 205.0, 50.0))), "lies outside of the 200x100 frame"),
        (lambda: table(row(xyxy=(-40.0, 10.0, 20.0, 50.0))), "lies outside of the 200x100 frame"),
        (lambda: table(row(time=10.5, number=4)),
         "boxes.csv, row 4: the key frame at 10.5 s is outside of clip.mp4, which lasts 10 s"),
        (lambda: table(row(time=-1.0)), "the key frame at -1 s is outside of clip.mp4"),
        (lambda: table(row("b.mp4"), row("c.mp4")), "has no boxes of clip.mp4; it names b.mp4, c.mp4"),
        (lambda: table(row("a/clip.mp4"), row("b/clip.mp4")), "has boxes of a/clip.mp4 and of b/clip.mp4"),
    ],
)  # fmt: skip
def test_what_does_not_fit_the_video(made, message):
    with pytest.raises(DataError, match=message):
        made().of_video("clip.mp4", INFO)


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ((50.0, 10.0, 10.0, 90.0), r"row 2: the box \(50, 10, 10, 90\) is inverted or empty"),
        ((10.0, 10.0, 50.0, 10.0), "is inverted or empty"),
        ((float("nan"), 10.0, 50.0, 90.0), "must be finite"),
    ],
)
def test_boxes_that_are_none(box, message):
    with pytest.raises(DataError, match=message):
        table(row(xyxy=box))
