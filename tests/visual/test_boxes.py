"""Boxes and tags over pictures: where they lie, whose colour they have, what stays free."""

from __future__ import annotations

import numpy as np

from vidmodels.visual.boxes import COLOURS, TaggedBox, colour_of, draw_boxes

GREY = np.full((360, 480, 3), 90, np.uint8)


def tagged(x1, y1, x2, y2, number=1, title="1", lines=()):
    return TaggedBox(np.array([x1, y1, x2, y2], float), number, title, lines)


def changed(drawn, top, bottom, left, right):
    return (drawn[top:bottom, left:right] != 90).any()


def test_the_outline_lies_on_the_box_in_the_colour_of_the_person():
    drawn = draw_boxes(GREY, [tagged(100, 120, 200, 300, 2)])
    assert tuple(drawn[200, 100]) == colour_of(2)
    assert tuple(drawn[300, 150]) == colour_of(2)
    assert not changed(drawn, 130, 290, 110, 190)  # the person stays free
    assert (GREY == 90).all()  # and the picture as it was


def test_tags_stand_above_below_or_inside():
    lines = (("run", 0.9), ("wave", 0.4))
    above = draw_boxes(GREY, [tagged(100, 120, 200, 300, lines=lines)])
    assert changed(above, 60, 110, 100, 180)
    assert not changed(above, 310, 360, 0, 480)
    below = draw_boxes(GREY, [tagged(100, 5, 200, 200, lines=lines)])
    assert changed(below, 210, 250, 100, 180)
    inside = draw_boxes(GREY, [tagged(2, 2, 478, 356, lines=lines)])
    assert changed(inside, 300, 345, 10, 80)
    assert not changed(inside, 20, 200, 10, 470)


def test_tags_keep_off_each_other():
    one = draw_boxes(GREY, [tagged(100, 120, 200, 300, 1, "first")])
    both = draw_boxes(GREY, [tagged(100, 120, 200, 300, 1, "first"), tagged(102, 120, 202, 300, 2, "second")])
    tag = (slice(95, 117), slice(100, 140))
    np.testing.assert_array_equal(one[tag], both[tag])


def test_tags_stay_in_the_frame():
    wide = "a name that is much longer than any tag could be"
    for box in ((470, 0, 479, 10), (0, 350, 10, 359), (0, 0, 479, 359)):
        assert draw_boxes(GREY, [tagged(*box, title=wide, lines=((wide, 1.0),))]).shape == GREY.shape
    tiny = np.full((16, 24, 3), 90, np.uint8)
    assert draw_boxes(tiny, [tagged(2, 2, 20, 14, title=wide, lines=((wide, 0.5),))]).shape == tiny.shape


def test_colours_are_the_persons_own():
    assert colour_of(1) == colour_of(1 + len(COLOURS))
    assert len({colour_of(number) for number in range(1, len(COLOURS) + 1)}) == len(COLOURS)
