"""Positions: equal to their tables at the native grid, interpolated elsewhere."""

from __future__ import annotations

import pytest
import torch

from vidmodels.layers.positions import (
    JointPositions,
    SeparablePositions,
    make_positions,
    resize_joint,
    resize_spatial,
    resize_temporal,
)

GRID = (4, 3, 5)


def test_separable_at_its_own_grid_is_the_sum_of_its_tables():
    pos = SeparablePositions(GRID, 8)
    tokens = pos.tokens(GRID).view(*GRID, 8)
    assert torch.equal(tokens[2, 1, 3], pos.temporal[0, 2] + pos.spatial[0, 1 * 5 + 3])


def test_joint_at_its_own_grid_is_its_table():
    pos = JointPositions(GRID, 8)
    assert torch.equal(pos.tokens(GRID), pos.table[:, 1:])
    assert pos.cls is not None
    assert torch.equal(pos.cls, pos.table[:, :1])


@pytest.mark.parametrize("kind", [SeparablePositions, JointPositions])
@pytest.mark.parametrize("class_token", [True, False])
def test_other_grids(kind, class_token):
    pos = kind(GRID, 8, class_token)
    assert pos.tokens((8, 6, 4)).shape == (1, 192, 8)
    assert (pos.cls is not None) == class_token
    # one way of resizing: a constant table stays constant
    with torch.no_grad():
        for p in pos.parameters():
            p.fill_(0.5)
    value = 1.0 if kind is SeparablePositions else 0.5
    torch.testing.assert_close(pos.tokens((8, 6, 4)), torch.full((1, 192, 8), value))


def test_joint_resizes_like_separable():
    """A joint table that is a sum of a spatial and a temporal one gives the sum of the resized ones."""
    spatial, temporal = torch.randn(1, 15, 8), torch.randn(1, 4, 8)
    joint = (temporal.unsqueeze(2) + spatial.unsqueeze(1)).flatten(1, 2)
    expected = resize_temporal(temporal, 7).unsqueeze(2) + resize_spatial(spatial, (3, 5), (6, 4)).unsqueeze(1)
    torch.testing.assert_close(resize_joint(joint, GRID, (7, 6, 4)), expected.flatten(1, 2), rtol=0, atol=1e-5)


def test_temporal_is_linear():
    line = torch.arange(4.0).view(1, 4, 1)
    torch.testing.assert_close(resize_temporal(line, 8).flatten()[1:-1], torch.arange(0.25, 3, 0.5))


@pytest.mark.parametrize("separable", [True, False])
def test_sinusoids_tell_every_place_and_neighbours_are_alike(separable):
    pos = make_positions(GRID, 24, separable=separable, start="sincos")
    places = pos.tokens(GRID)[0].view(*GRID, 24)
    flat = places.flatten(0, 2)
    apart = (flat[:, None] - flat[None]).norm(dim=-1) + 100 * torch.eye(len(flat))
    assert apart.min() > 0.5
    near = (places[:, :, 0] - places[:, :, 1]).norm(dim=-1).mean()
    far = (places[:, :, 0] - places[:, :, 4]).norm(dim=-1).mean()
    assert near < 0.7 * far
    assert all(p.requires_grad for p in pos.parameters())
