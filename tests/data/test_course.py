"""The course of a run: which samples each step takes, and in which shape."""

from __future__ import annotations

import pickle
from itertools import pairwise

import pytest

from vidmodels.data.course import Course, MicroBatches, Phase, Shape

FINE = Shape(4, 8, 32)
CYCLE = (Shape(16, 4, 16), Shape(8, 4, 24), FINE)  # 28 videos in three steps
COURSE = Course([Phase(5, CYCLE, 0.8), Phase(0, CYCLE), Phase(4, (FINE,), 0.1)])


def test_steps_take_consecutive_samples_in_the_shapes_of_their_phase():
    shapes = [COURSE.shape(step) for step in range(11)]
    assert shapes == [*CYCLE, *CYCLE[:2], *[FINE] * 6], "the last phase goes on"
    assert [COURSE.first(step) for step in range(8)] == [0, 16, 24, 28, 44, 52, 56, 60]
    assert COURSE.steps == 9
    assert [COURSE.phase(step).rate for step in (0, 4, 5, 8, 30)] == [0.8, 0.8, 0.1, 0.1, 0.1]
    assert COURSE.phase(2).shape == FINE


def test_a_sample_knows_its_step():
    firsts = [COURSE.first(step) for step in range(30)]
    for step, (first, after) in enumerate(pairwise(firsts)):
        assert {COURSE.step_of(number) for number in range(first, after)} == {step}
    again = pickle.loads(pickle.dumps(COURSE))
    assert [again.step_of(number) for number in range(90)] == [COURSE.step_of(number) for number in range(90)]


def test_steps_in_a_number_of_samples():
    plain = Course([Phase(100, (Shape(8, 4, 16),))])
    assert [plain.steps_in(samples) for samples in (0, 3, 5, 80, 1000)] == [0, 0, 1, 10, 125]
    assert COURSE.steps_in(28) == 3
    assert COURSE.steps_in(52 + 8) == 7


@pytest.mark.parametrize("world", [1, 2, 4])
def test_micro_batches_of_all_workers_cover_the_samples_once(world):
    batches = MicroBatches(COURSE, 4, 0, 9)
    parts = [batches[rank::world] for rank in range(world)]
    assert [n for turn in zip(*parts) for batch in turn for n in batch] == list(range(COURSE.first(9)))
    assert len({len(part) for part in parts}) == 1
    assert [len(batch) for batch in batches[:12]] == [4] * 4 + [2] * 4 + [1] * 4


def test_resuming_is_starting_at_a_step():
    whole = MicroBatches(COURSE, 2, 0, 9)
    assert list(MicroBatches(COURSE, 2, 4, 9)) == list(whole)[8:]
    assert len(MicroBatches(COURSE, 2, 9, 9)) == 0
    with pytest.raises(IndexError, match=r"micro-batch 18 outside 0\.\.17"):
        whole[18]


def test_a_course_without_phases():
    with pytest.raises(ValueError, match="needs a phase"):
        Course([])
