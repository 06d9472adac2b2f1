"""Masks of cells: counts, shapes, and what moves together."""

from __future__ import annotations

import pytest
import torch

from vidmodels.core.errors import ConfigError
from vidmodels.ops.block_masking import cube_mask, sample_cells, to_grid

VIDEO, IMAGE = (8, 7, 7), (1, 14, 14)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_cubes_nearly_reach_the_ratio_and_never_exceed_it():
    counts = sample_cells("cube", 300, VIDEO, 0.4, seeded()).flatten(1).sum(1)
    assert counts.min() >= 140
    assert counts.max() <= 157
    assert counts.float().mean().item() == pytest.approx(156, rel=0.01)


def test_blocks_of_an_image_nearly_reach_the_ratio():
    counts = sample_cells("cube", 300, IMAGE, 0.4, seeded()).flatten(1).sum(1)
    assert counts.min() >= 70
    assert counts.max() <= 78
    assert counts.float().mean().item() == pytest.approx(77.5, rel=0.02)


def test_cubes_are_compact_and_of_any_duration():
    mask = sample_cells("cube", 50, VIDEO, 0.4, seeded())
    alike = (mask[..., 1:] == mask[..., :-1]).float().mean().item()
    uniform = sample_cells("uniform", 50, VIDEO, 0.4, seeded())
    assert alike > 0.75 > 0.6 > (uniform[..., 1:] == uniform[..., :-1]).float().mean().item()
    assert not (mask == mask[:, :1]).all()


def test_tubes_are_constant_in_time():
    mask = sample_cells("tube", 20, VIDEO, 0.4, seeded())
    assert (mask == mask[:, :1]).all()
    assert (mask[:, 0].flatten(1).sum(1) <= 20).all()
    assert mask[:, 0].flatten(1).sum(1).float().mean() > 17


def test_frames_are_whole_steps():
    mask = sample_cells("frame", 20, VIDEO, 0.4, seeded())
    steps = mask.flatten(2).float().mean(2)
    assert set(steps.unique().tolist()) == {0.0, 1.0}
    assert (steps.sum(1) == 3).all()


def test_uniform_cells_have_exact_counts():
    assert (sample_cells("uniform", 20, VIDEO, 0.4, seeded()).flatten(1).sum(1) == 157).all()


@pytest.mark.parametrize("sampling", ["cube", "tube", "frame", "uniform"])
def test_a_mask_depends_on_the_generator_alone(sampling):
    first, again, other = (sample_cells(sampling, 8, VIDEO, 0.4, seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert len(torch.unique(first.flatten(1), dim=0)) > 1


@pytest.mark.parametrize("wanted", [0, 1, 50, 392])
def test_no_union_exceeds_what_is_wanted(wanted):
    assert all(int(cube_mask(VIDEO, wanted, seeded(seed)).sum()) <= wanted for seed in range(20))


def test_cells_cover_what_lies_in_them():
    cells = torch.zeros(1, 2, 2, 2, dtype=torch.bool)
    cells[0, 1, 0, 1] = True
    fine = to_grid(cells, (2, 4, 6)).view(2, 4, 6)
    assert fine.sum() == 6
    assert fine[1, :2, 3:].all()
    with pytest.raises(ConfigError, match=r"\(2, 2, 2\) cells does not fit a grid of \(2, 5, 4\)"):
        to_grid(cells, (2, 5, 4))


@pytest.mark.parametrize("ratio", [0.0, 1.0, -0.5])
def test_an_impossible_ratio(ratio):
    with pytest.raises(ConfigError, match="mask_ratio"):
        sample_cells("cube", 1, VIDEO, ratio)


def test_an_unknown_sampling():
    with pytest.raises(ConfigError, match="'spiral': choose one of cube, tube, frame, uniform"):
        sample_cells("spiral", 1, VIDEO, 0.4)  # type: ignore[arg-type]
