"""Bars of average precision: drawn whole, and refused where the numbers do not fit together."""

from __future__ import annotations

import math

import cv2
import pytest

from vidmodels.core.errors import DataError
from vidmodels.visual.precision import save_average_precision


def blue_of(path):
    picture = cv2.imread(str(path)).astype(int)
    return int(((picture[..., 0] > 200) & (picture[..., 2] < 80)).sum())


def test_bars_are_as_long_as_the_precisions(tmp_path):
    full = save_average_precision(("a", "b"), (1.0, 1.0), (3, 4), tmp_path / "full.png")
    half = save_average_precision(("a", "b"), (0.5, 0.5), (3, 4), tmp_path / "half.png")
    assert blue_of(half) / blue_of(full) == pytest.approx(0.5, abs=0.03)


def test_a_class_without_boxes_has_no_bar(tmp_path):
    path = save_average_precision(("a", "$b$"), (0.5, math.nan), (3, 0), tmp_path / "p.png")
    one = save_average_precision(("a", "b"), (0.5, 0.0), (3, 1), tmp_path / "one.png")
    assert blue_of(path) == pytest.approx(blue_of(one), rel=0.05)


def test_numbers_that_do_not_fit(tmp_path):
    with pytest.raises(DataError, match="2 names, 1 precisions and 2 supports"):
        save_average_precision(("a", "b"), (0.5,), (1, 2), tmp_path / "p.png")
