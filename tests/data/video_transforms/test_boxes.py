"""Boxes move with the pixels: a drawn box is found where the moved box says."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from tests.data.video_transforms.parts import box_of, with_box
from vidmodels.core.errors import ConfigError
from vidmodels.data import video_transforms as vt

BOX = [6, 3, 25, 16]  # in 24 x 40 pixels
SHAPES = {"wide": (BOX, 24, 40), "tall": ([3, 6, 16, 25], 40, 24)}


def boxes(*rows) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float32)


@pytest.mark.parametrize("shape", SHAPES)
def test_flips(shape):
    box, height, width = SHAPES[shape]
    video, moved = vt.horizontal_flip_with_boxes(1.0, with_box(*box, height, width), boxes(box))
    assert moved.tolist() == [box_of(video)]
    again, back = vt.horizontal_flip_with_boxes(1.0, video, moved)
    assert torch.equal(again, with_box(*box, height, width))
    assert back.tolist() == [box]
    same, kept = vt.horizontal_flip_with_boxes(0.0, video, moved)
    assert torch.equal(same, video)
    assert torch.equal(kept, moved)


@pytest.mark.parametrize("index", [0, 1, 2])
@pytest.mark.parametrize("shape", SHAPES)
def test_uniform_crops(shape, index):
    box, height, width = SHAPES[shape]
    video, moved = vt.uniform_crop_with_boxes(with_box(*box, height, width), 20, index, boxes(box))
    assert video.shape[-2:] == (20, 20)
    assert moved.tolist() == [box_of(video)]


def test_random_crops():
    places = set()
    for seed in range(12):
        crop = vt.Seeded(vt.random_crop_with_boxes, torch.Generator().manual_seed(seed))
        video, moved = crop(with_box(*BOX, 24, 40), 21, boxes(BOX))
        assert video.shape[-2:] == (21, 21)
        assert moved.tolist() == [box_of(video)]
        places.add(tuple(moved[0].tolist()))
    assert len(places) > 6


@pytest.mark.parametrize("size", [12, 36, 47, 48])
@pytest.mark.parametrize("shape", SHAPES)
def test_scales(shape, size):
    """Up to the pixel that rounding at either end can cost, and the step from corner to centre of a pixel."""
    box, height, width = SHAPES[shape]
    video, moved = vt.short_side_scale_with_boxes(with_box(*box, height, width), boxes(box), size)
    assert min(video.shape[-2:]) == size
    x1, y1, x2, y2 = moved[0].tolist()
    found = box_of(video)
    ratio = max(size / 24, 1)
    assert abs(x1 - found[0]) <= 1 + ratio / 2
    assert abs(y1 - found[1]) <= 1 + ratio / 2
    assert abs(x2 - found[2]) <= 1 + ratio
    assert abs(y2 - found[3]) <= 1 + ratio


def test_random_scales_move_boxes_by_the_drawn_ratio():
    scale = vt.Seeded(vt.random_short_side_scale_with_boxes, torch.Generator().manual_seed(0))
    for _ in range(5):
        video, moved = scale(with_box(*BOX, 24, 40), boxes(BOX), 30, 60)
        assert 30 <= video.shape[-2] <= 60
        assert_close(moved, boxes(BOX) * (video.shape[-1] / 40))


def test_what_lies_outside_is_cut_off():
    assert vt.clip_boxes_to_image(boxes([-4, 5, 70, 50]), 48, 64).tolist() == [[0, 5, 63, 47]]
    assert vt.crop_boxes(boxes([10, 20, 30, 40]), left=4, top=6).tolist() == [[6, 14, 26, 34]]
    _, moved = vt.uniform_crop_with_boxes(torch.zeros(3, 1, 24, 40), 20, 0, boxes([30, 4, 39, 10]))
    assert moved.tolist() == [[19, 2, 19, 8]]


def test_inputs_are_left_alone():
    box = boxes(BOX)
    video = with_box(*BOX, 24, 40)
    vt.short_side_scale_with_boxes(video, box, 12)
    vt.horizontal_flip_with_boxes(1.0, video, box)
    vt.uniform_crop_with_boxes(video, 20, 0, box)
    vt.clip_boxes_to_image(box, 5, 5)
    assert box.tolist() == [BOX]
    assert box_of(video) == BOX


def test_impossible_settings():
    with pytest.raises(ConfigError, match="probability of a flip is 2"):
        vt.horizontal_flip_with_boxes(2, torch.zeros(3, 1, 8, 8), boxes(BOX))
    with pytest.raises(ConfigError, match="cannot cut 9 x 9 pixels"):
        vt.random_crop_with_boxes(torch.zeros(3, 1, 8, 8), 9, boxes(BOX))
    with pytest.raises(ConfigError, match="no short side lies from 9 to 8"):
        vt.random_short_side_scale_with_boxes(torch.zeros(3, 1, 8, 8), boxes(BOX), 9, 8)
