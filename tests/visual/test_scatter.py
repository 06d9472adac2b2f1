"""Maps: pictures where there is room for them, dots of the colours of the classes where the points are."""

from __future__ import annotations

import numpy as np
import pytest

from vidmodels.core.errors import DataError
from vidmodels.visual.canvas import rgb
from vidmodels.visual.scatter import COLOURS, MARGIN, OTHER, SIDE, THUMBNAIL, TOP, draw_map, with_pictures


def test_pictures_do_not_lie_over_each_other():
    places = np.random.default_rng(0).standard_normal((500, 2))
    chosen = with_pictures(places)
    assert len(chosen) > 20
    scaled = (places - places.min(0)) / (places.max(0) - places.min(0)) * (SIDE - THUMBNAIL - 22)
    apart = np.abs(scaled[chosen][:, None] - scaled[chosen][None]).max(2) + 1e9 * np.eye(len(chosen))
    assert apart.min() >= THUMBNAIL
    assert with_pictures(places) == chosen
    assert len(with_pictures(np.zeros((9, 2)))) == 1


def test_dots_and_frames_have_the_colours_of_their_classes():
    places = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    image = draw_map(places, ["a", "b", None, "b"], {3: np.full((42, 84, 3), 200, np.uint8)}, (0.5, 0.25), "Map", "of four")
    near, far = (SIDE - (SIDE - THUMBNAIL - 22)) // 2, SIDE - (SIDE - (SIDE - THUMBNAIL - 22)) // 2
    left, right, top, bottom = MARGIN + near, MARGIN + far, TOP + near, TOP + far
    assert tuple(image[bottom, left]) == rgb(COLOURS[0])  # the first component to the right, the second upwards
    assert tuple(image[bottom, right]) == rgb(COLOURS[1])
    assert tuple(image[top, left]) == rgb(OTHER)
    assert tuple(image[top, right]) == (200, 200, 200)
    assert tuple(image[top, right - 44]) == rgb(COLOURS[1])  # its frame
    assert image.shape[1] > SIDE + 2 * MARGIN
    assert draw_map(places, [None] * 4, {}, (0.5, 0.25), "Map", "").shape[1] == SIDE + 2 * MARGIN


def test_rare_classes_are_grey_where_there_are_too_many():
    labels = [f"c{n:02d}" for n in range(len(COLOURS) + 5)]
    labels += labels[5:]  # the first five are rare
    places = np.stack([np.arange(len(labels)), np.zeros(len(labels))], 1)
    image = draw_map(places, labels, {}, (1.0, 0.0), "Map", "")
    near = (SIDE - (SIDE - THUMBNAIL - 22)) / 2
    assert tuple(image[TOP + SIDE - round(near), MARGIN + round(near)]) == rgb(OTHER)
    assert tuple(image[TOP + SIDE - round(near), MARGIN + SIDE - round(near)]) == rgb(COLOURS[-1])


@pytest.mark.parametrize("places", [np.zeros((0, 2)), np.zeros((3, 3)), np.full((3, 2), np.nan)])
def test_points_that_cannot_be_drawn(places):
    with pytest.raises(DataError, match="cannot be drawn"):
        with_pictures(places)
