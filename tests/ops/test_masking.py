"""Maskings: exact counts, and what each way of drawing keeps together."""

from __future__ import annotations

import pytest
import torch

from vidmodels.core.errors import ConfigError
from vidmodels.ops.masking import count_kept, from_noise, gather_tokens, sample_masking

GRID = (8, 14, 14)
TOTAL = 1568


def draw(sampling: str, ratio: float, seed: int = 0, grid=GRID, n: int = 4):
    return sample_masking(sampling, n, grid, ratio, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("ratio", "kept"), [(0.5, 784), (0.75, 392), (0.85, 235), (0.9, 156), (0.95, 78), (0.98, 31)])
def test_kept_tokens_are_the_published_numbers(ratio, kept):
    assert count_kept(TOTAL, ratio) == kept
    assert draw("random", ratio).keep.shape == (4, kept)


def test_keeps_the_smallest_noise_and_of_equal_ones_the_first():
    masking = from_noise(torch.tensor([[0.5, 0.1, 0.5, 0.9, 0.0, 0.5]]), 4)
    assert masking.keep.tolist() == [[4, 1, 0, 2]]
    assert masking.mask.tolist() == [[0, 0, 0, 1, 0, 1]]
    assert masking.restore.tolist() == [[2, 1, 3, 5, 0, 4]]


@pytest.mark.parametrize("sampling", ["random", "tube", "frame", "block", "per_frame"])
def test_parts_agree(sampling):
    keep, restore, mask = draw(sampling, 0.75)
    assert mask.sum(1).tolist() == [TOTAL - keep.shape[1]] * 4
    assert (mask.gather(1, keep) == 0).all()
    assert torch.equal(restore.sort(1).values, torch.arange(TOTAL).expand(4, -1))
    # what was gathered comes back to its place
    tokens = torch.arange(TOTAL).view(1, -1, 1)
    order = restore.argsort(1)
    assert torch.equal(gather_tokens(gather_tokens(tokens, order), restore), tokens.expand(4, -1, -1))
    assert torch.equal(order[:, : keep.shape[1]], keep)


@pytest.mark.parametrize("sampling", ["random", "tube", "frame", "block", "per_frame"])
def test_draws_follow_the_generator(sampling):
    assert torch.equal(draw(sampling, 0.75, 1).mask, draw(sampling, 0.75, 1).mask)
    other = draw(sampling, 0.75, 2).mask
    assert not torch.equal(draw(sampling, 0.75, 1).mask, other)
    assert not all(torch.equal(other[0], row) for row in other[1:])  # each clip has its own


@pytest.mark.parametrize(("ratio", "columns"), [(0.9, 19), (0.75, 49)])
def test_tubes_are_constant_in_time(ratio, columns):
    mask = draw("tube", ratio).mask.view(4, 8, 196)
    assert (mask == mask[:, :1]).all()
    assert (mask[:, 0] == 0).sum(1).tolist() == [columns] * 4


@pytest.mark.parametrize(("ratio", "steps"), [(0.75, 2), (0.875, 1)])
def test_frames_are_constant_in_space(ratio, steps):
    mask = draw("frame", ratio).mask.view(4, 8, 196)
    assert (mask == mask[:, :, :1]).all()
    assert (mask[:, :, 0] == 0).sum(1).tolist() == [steps] * 4


@pytest.mark.parametrize(("ratio", "kept"), [(0.9, 19), (0.75, 49)])
def test_per_frame_counts_are_equal(ratio, kept):
    mask = draw("per_frame", ratio).mask.view(4, 8, 196)
    assert ((mask == 0).sum(2) == kept).all()
    assert not (mask == mask[:, :1]).all()


def test_blocks_have_exact_counts_and_are_compact():
    def neighbours_agree(sampling: str) -> float:
        mask = draw(sampling, 0.75, n=8).mask.view(8, *GRID)
        return (mask[..., 1:] == mask[..., :-1]).float().mean().item()

    assert (draw("block", 0.75).mask == 0).sum(1).tolist() == [392] * 4
    assert neighbours_agree("random") == pytest.approx(0.625, abs=0.03)
    assert neighbours_agree("block") > 0.8


@pytest.mark.parametrize("sampling", ["random", "tube", "frame", "block", "per_frame"])
def test_ratio_0_keeps_all_and_a_high_one_keeps_some(sampling):
    assert draw(sampling, 0.0).mask.sum() == 0
    assert draw(sampling, 0.999, grid=(2, 4, 4)).keep.shape[1] >= 1


def test_impossible_wishes_are_refused():
    for ratio in (-0.1, 1.0, 1.5):
        with pytest.raises(ConfigError, match="mask_ratio"):
            draw("random", ratio)
    with pytest.raises(ConfigError, match="'spiral': choose random, tube"):
        draw("spiral", 0.5)
