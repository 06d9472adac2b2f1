"""How evidence of cells comes to lie over pixels."""

from __future__ import annotations

import pytest
import torch

from vidmodels.inference.evidence import Cells, even_centres, interpolation, strided_centres


def test_interpolation_is_linear_between_centres_and_level_beyond():
    weights = interpolation(torch.tensor([1.0, 3.0]), 6)
    assert (weights @ torch.tensor([10.0, 20.0])).tolist() == [10, 10, 15, 20, 20, 20]
    assert interpolation(torch.tensor([2.5]), 4).tolist() == [[1.0]] * 4


def test_centres():
    assert even_centres(4, 8).tolist() == [0.5, 2.5, 4.5, 6.5]
    assert strided_centres(3, 4, 4).tolist() == [1.5, 5.5, 9.5]  # a patch embedding
    assert strided_centres(3, 2, 7, 3).tolist() == [0, 2, 4]  # a stem with an odd kernel, padded on both sides


def test_a_cell_lies_over_its_pixels():
    evidence = torch.zeros(1, 2, 2, 2)
    evidence[0, 1, 0, 1] = 8.0
    centres = (even_centres(2, 4), even_centres(2, 6), even_centres(2, 6))
    image = Cells(evidence, centres).over_pixels((4, 6, 6))
    assert image.shape == (1, 4, 6, 6)
    assert image[0, 3, 0, 5] == 8.0
    assert image[0, 0].sum() == 0
    assert image[0, :, 5, 0].sum() == 0
    assert image.mean() == pytest.approx(1.0)  # evenly lying cells keep their mean
