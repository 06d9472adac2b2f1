"""Histograms of oriented gradients: closed forms, invariances, order of a token's values."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from vidmodels.core.errors import ConfigError
from vidmodels.ops.hog import hog, hog_of_tokens


def ramp(across: float, down: float, size: int = 32) -> torch.Tensor:
    place = torch.arange(size, dtype=torch.float32)
    return (across * place[None, :] + down * place[:, None]).expand(1, 3, size, size)


@pytest.mark.parametrize(
    ("across", "down", "full"),
    [(1, 0, 4), (-1, 0, 4), (0, 1, 0), (0, -1, 0), (1, 1, 2), (1, -1, 6), (1, 2, 1), (2, 1, 3)],
)
def test_a_ramp_is_one_bin(across, down, full):
    inside = hog(ramp(across, down))[0, :, :, 1:-1, 1:-1]
    expected = torch.zeros_like(inside)
    expected[:, full] = 1
    assert_close(inside, expected, atol=1e-6, rtol=0)


def test_reflection_makes_the_border_of_a_diagonal_ramp_axis_aligned():
    corner = hog(ramp(1, 1))[0, 0, :, 0, 0]
    assert_close(corner[[0, 2, 4]], torch.tensor([0.1, 0.9899, 0.1]), atol=1e-4, rtol=0)
    assert corner[[1, 3, 5, 6, 7, 8]].abs().max() == 0


def test_a_flat_cell_is_zero_and_all_others_are_of_unit_length():
    frames = torch.randn(2, 3, 32, 40, generator=torch.Generator().manual_seed(0))
    frames[:, :, :, 16:] = 0.7
    lengths = hog(frames).norm(dim=2)
    assert (lengths[..., 3:] == 0).all()
    assert_close(lengths[..., :2], torch.ones(2, 3, 4, 2), atol=1e-5, rtol=0)


def test_brightness_contrast_and_negation_change_nothing():
    frames = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64).float()
    plain = hog(frames)
    for changed in (frames * 4, frames + 2, -frames):
        # a pixel that lies on the border of two bins may be rounded to either
        assert ((hog(changed) - plain).abs() > 1e-3).float().mean() < 0.01


def test_the_order_of_a_tokens_values():
    frames = torch.zeros(1, 3, 32, 48)
    # one colour, one cell: row 1, column 2 of the third token of the second row
    frames[:, 1, 24:32, 40:48] = ramp(1, 0, 8)[:, 0]
    values = hog_of_tokens(hog(frames), 2)
    assert values.shape == (1, 2 * 3, 108)
    where = ((1 * 9 + 4) * 2 + 1) * 2 + 1
    assert values[0, 5, where] > 0.5
    assert values[0, 5, : 9 * 4].abs().max() == 0
    assert values[0, 0].abs().max() == 0


def test_the_target_has_no_gradient():
    assert not hog(torch.randn(1, 3, 16, 16, requires_grad=True)).requires_grad


def test_frames_that_are_not_whole_cells():
    with pytest.raises(ConfigError, match="30 x 32 pixels are not whole cells of 8: choose a multiple of 8"):
        hog(torch.zeros(1, 3, 30, 32))
    with pytest.raises(ConfigError, match="4 x 5 cells are not whole tokens of 2 x 2"):
        hog_of_tokens(torch.zeros(1, 3, 9, 4, 5), 2)
