"""Patches: order of values, inverse, normalisation, and clips that they do not divide."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vidmodels.core.errors import ConfigError
from vidmodels.ops.patches import normalise_patches, patch_grid, patchify, unpatchify

small = st.integers(1, 3)


@settings(max_examples=30, deadline=None)
@given(st.tuples(small, small, small), st.tuples(small, small, small), small)
def test_unpatchify_is_the_inverse(grid, patch, channels):
    shape = [g * p for g, p in zip(grid, patch)]
    clips = torch.randn(2, channels, *shape)
    patches = patchify(clips, patch, channels_last=True)
    assert patches.shape == (2, grid[0] * grid[1] * grid[2], patch[0] * patch[1] * patch[2] * channels)
    assert torch.equal(unpatchify(patches, grid, patch), clips)


def test_order_of_tokens_and_values():
    t, h, w, c = torch.meshgrid(torch.arange(4), torch.arange(6), torch.arange(4), torch.arange(3), indexing="ij")
    clips = (1000 * t + 100 * h + 10 * w + c).permute(3, 0, 1, 2).unsqueeze(0)
    last = patchify(clips, (2, 3, 2), channels_last=True)
    # t-major, then rows, then columns; within a patch frame, row, column, colour
    assert last[0, :, 0].tolist() == [0, 20, 300, 320, 2000, 2020, 2300, 2320]
    assert last[0, 0, :7].tolist() == [0, 1, 2, 10, 11, 12, 100]
    first = patchify(clips, (2, 3, 2), channels_last=False)
    assert first[0, 0, :4].tolist() == [0, 10, 100, 110]
    assert first[0, 0, 12].item() == 1


def test_normalised_patches_have_unit_unbiased_variance():
    normalised, mean, root = normalise_patches(5 + 3 * torch.randn(2, 4, 100))
    torch.testing.assert_close(normalised.mean(-1), torch.zeros(2, 4), rtol=0, atol=1e-5)
    torch.testing.assert_close(normalised.var(-1), torch.ones(2, 4), rtol=0, atol=1e-5)
    assert mean.shape == root.shape == (2, 4, 1)
    assert torch.equal(normalise_patches(torch.full((1, 1, 9), 7.0))[0], torch.zeros(1, 1, 9))


@pytest.mark.parametrize(("shape", "word"), [((15, 32, 32), "frames"), ((16, 33, 32), "rows"), ((16, 32, 8), "columns")])
def test_clips_that_patches_do_not_divide_are_refused(shape, word):
    with pytest.raises(ConfigError, match=f"choose a number of {word} that is a multiple of"):
        patch_grid(shape, (2, 16, 16))
