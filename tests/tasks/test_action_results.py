"""Results of action detection as spans, JSON and pictures."""

from __future__ import annotations

import json

import numpy as np
import pytest

from vidmodels.core.errors import DataError
from vidmodels.tasks.action_results import ActionPainter, ActionsResult, PersonActions, save_sheet
from vidmodels.visual.boxes import colour_of


def person(number=1, name=None, times=(0.5, 1.5, 2.5, 3.5), scores=None, move=10.0):
    times = np.array(times, float)
    xyxy = np.array([[10 + move * time, 20, 30 + move * time, 60] for time in times])
    scores = np.zeros((len(times), 3), np.float32) if scores is None else np.array(scores, np.float32)
    return PersonActions(number, name, times, xyxy, times, scores)


def result(*persons, duration=4.0, step=1.0):
    return ActionsResult("v.mp4", duration, 160, 90, step, ("run", "wave", "sit"), persons, "m")


def test_spans_join_key_frames_that_follow():
    made = result(person(scores=[[0.9, 0.1, 0], [0.8, 0.7, 0], [0.1, 0.6, 0], [0.5, 0, 0]]))
    spans = made.spans(threshold=0.3)
    assert [(s.action, s.start, s.end) for s in spans] == [("run", 0, 2), ("wave", 1, 3), ("run", 3, 4)]
    assert [s.score for s in spans] == pytest.approx([0.85, 0.65, 0.5])
    # at the second moment only the best counts, and wave comes later
    assert [(s.action, s.start, s.end) for s in made.spans(top=1)] == [("run", 0, 2), ("wave", 2, 3), ("run", 3, 4)]
    assert made.spans(threshold=0.95) == []


def test_spans_end_where_the_person_is_away_and_with_the_video():
    made = result(person(times=(0.25, 5.5), scores=[[1, 0, 0], [1, 0, 0]]), duration=5.75)
    assert [(s.start, s.end) for s in made.spans()] == [(0, 0.75), (5, 5.75)]


def test_spans_come_by_person():
    made = result(person(1, scores=[[0, 0, 1]] * 4), person(2, times=(0.5,), scores=[[1, 1, 0]]))
    assert [(s.person, s.action) for s in made.spans()] == [(1, "sit"), (2, "run"), (2, "wave")]


def test_boxes_between_moments():
    who = person()
    assert who.box_at(0.5, 1.0).tolist() == [15, 20, 35, 60]
    assert who.box_at(1.0, 1.0).tolist() == [20, 20, 40, 60]
    assert who.box_at(0.1, 1.0).tolist() == [15, 20, 35, 60]  # half a step before the first
    assert who.box_at(4.0, 1.0).tolist() == [45, 20, 65, 60]
    assert who.box_at(4.1, 1.0) is None
    away = person(times=(0.5, 6.5), scores=np.zeros((2, 3)))
    assert away.box_at(0.9, 1.0).tolist() == [15, 20, 35, 60]
    assert away.box_at(1.1, 1.0) is None
    single = person(times=(2.0,), scores=np.zeros((1, 3)))
    assert single.box_at(2.5, 1.0).tolist() == [30, 20, 50, 60]
    assert single.box_at(2.6, 1.0) is None


def test_a_person_who_leaves_is_not_drawn_in_between():
    who = person(times=(0, 1, 2, 20, 21), scores=np.zeros((5, 3)))
    assert who.box_at(10, 1.0) is None
    assert who.box_at(2.4, 1.0) is not None
    assert who.scores_at(10, 1.0) is None
    assert who.scores_at(3.0, 1.0) is not None


def test_boxes_closer_than_key_frames():
    dense = PersonActions(
        1, None, np.arange(0, 2, 0.1), np.tile([0.0, 0, 9, 9], (20, 1)), np.array([0.0, 1.0]), np.eye(2, 3, dtype=np.float32)
    )
    assert dense.box_at(1.94, 1.0) is not None
    assert dense.box_at(2.0, 1.0) is None  # gone half a frame after the last box
    assert dense.scores_at(0.6, 1.0).tolist() == [0, 1, 0]


def test_json_holds_everything(tmp_path):
    made = result(person(1, "anna", scores=[[0.9, 0.1, 0]] * 4), person(2, times=(1.5,), scores=[[0, 0.2, 0.4]]))
    saved = json.loads(made.save(tmp_path / "r.json").read_text())
    assert saved == made.to_dict()
    assert saved["spans"] == [
        {"person": 1, "action": "run", "start": 0.0, "end": 4.0, "score": 0.9},
        {"person": 2, "action": "sit", "start": 1.0, "end": 2.0, "score": 0.4},
    ]
    first, second = saved["persons"]
    assert (first["name"], first["start"], first["end"]) == ("anna", 0.5, 3.5)
    assert first["boxes"][1] == [1.5, 25, 20, 45, 60]
    assert first["actions"][0] == {"time": 0.5, "top": [{"name": "run", "score": 0.9}], "scores": [0.9, 0.1, 0.0]}
    assert second["actions"][0]["top"] == [{"name": "sit", "score": 0.4}]
    assert (saved["width"], saved["height"], saved["duration"], saved["step"]) == (160, 90, 4.0, 1.0)


def test_pictures_follow_the_person():
    made = result(person(2, "anna", scores=[[0.9, 0.1, 0]] * 4))
    frames = np.full((3, 90, 160, 3), 90, np.uint8)
    drawn = made.draw(frames, [0.5, 2.5, 9.0])
    assert drawn.shape == (3, 360, 640, 3)  # a small picture is enlarged, so that names can be read
    left = [np.flatnonzero((picture[200] == colour_of(2)).all(-1)) for picture in drawn]
    assert abs(left[0][0] - 4 * 15) <= 2
    assert abs(left[1][0] - 4 * 35) <= 2
    assert len(left[2]) == 0
    assert (drawn[2] == 90).all()
    with pytest.raises(DataError, match="one time for each frame"):
        made.draw(frames, [0.0])


def test_the_painter_needs_no_scores():
    bare = PersonActions(1, None, np.array([0.0, 1.0]), np.tile([10.0, 20, 60, 80], (2, 1)), np.zeros(0), np.zeros((0, 0)))
    made = result(bare)
    assert (ActionPainter(made)(0.5, np.full((90, 160, 3), 90, np.uint8)) != 90).any()
    assert made.spans() == []
    assert made.to_dict()["persons"][0]["actions"] == []


def test_a_sheet_of_pictures(tmp_path):
    pictures = np.full((3, 90, 160, 3), 200, np.uint8)
    path = save_sheet(pictures, [0.0, 1.0, 2.0], tmp_path / "s.png")
    assert path.stat().st_size > 500
