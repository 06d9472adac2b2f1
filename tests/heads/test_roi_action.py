"""The RoI head pools what lies in a box, and nothing else."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from vidmodels.heads.roi_action import RoiActionHead


def test_a_box_sees_its_own_clip_and_place():
    """A bright cell is seen by the box over it, not by one elsewhere nor by the same box in another clip."""
    head = RoiActionHead([1], 3, stride=16)
    image = torch.zeros(2, 1, 4, 8, 8)
    image[1, 0, :, 2, 5] = 7.0
    over = [80.0, 32.0, 96.0, 48.0]
    boxes = torch.tensor([[1, *over], [0, *over], [1, 0.0, 0.0, 16.0, 16.0]])
    pooled = head.pool([image], boxes)[:, 0]
    assert pooled[0] > 3
    assert pooled[1:].tolist() == [0, 0]


def test_time_is_averaged_before_the_maximum():
    head = RoiActionHead([1], 3, stride=16)
    image = torch.zeros(1, 1, 4, 8, 8)
    image[0, 0, 1] = 8.0
    assert_close(head.pool([image], torch.tensor([[0, 16.0, 16.0, 96.0, 96.0]])), torch.tensor([[2.0]]))


@pytest.mark.parametrize(("aligned", "expected"), [(True, 2.5), (False, 3.0)])
def test_alignment_moves_a_box_by_half_a_cell(aligned, expected):
    """On a ramp the value at a place tells where the box was read."""
    head = RoiActionHead([1], 3, stride=16, aligned=aligned, resolution=1)
    ramp = torch.arange(8.0).expand(1, 1, 1, 8, 8)
    boxes = torch.tensor([[0, 32.0, 32.0, 64.0, 64.0]])
    assert_close(head.pool([ramp], boxes), torch.tensor([[expected]]))


def test_no_boxes_give_no_answers():
    head = RoiActionHead([4, 2], 3)
    assert head([torch.rand(1, 4, 2, 4, 4), torch.rand(1, 2, 8, 4, 4)], torch.zeros(0, 5)).shape == (0, 3)
