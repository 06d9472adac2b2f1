"""Plots of searches: they are drawn for every kind of setting, and say when there is nothing to draw."""

from __future__ import annotations

import math

import cv2
import pytest

from vidmodels.core.errors import DataError
from vidmodels.visual.sweeps import Candidate, Score, save_curves, save_expansion, save_sweep

SCORES = [
    Score({"optim.lr": 1e-4, "optim.name": "sgd", "k": None, "flag": True}, 0.2),
    Score({"optim.lr": 1e-2, "optim.name": "adamw", "k": 3, "flag": False}, 0.9, whole=False),
    Score({"optim.lr": 1e-3, "optim.name": "lars", "k": 3, "flag": False}, math.nan),
]
PATH = [Candidate("base", 1e6, 0.1, True), Candidate("fast", 2e6, 0.5, True), Candidate("depth", 2.1e6, 0.4)]


def width_of(path) -> int:
    return cv2.imread(str(path)).shape[1]


def test_a_panel_for_each_key_that_varies(tmp_path):
    one = save_sweep([Score({"a": 1, "b": n}, n) for n in (1.0, 2.0)], "loss", tmp_path / "one.png", largest=False)
    three = save_sweep(SCORES, "val_top1", tmp_path / "three.png")
    assert width_of(three) > 2 * width_of(one)


def test_curves_and_paths_are_drawn(tmp_path):
    assert width_of(save_curves({"random": [(0.9, 1.0), (0.5, 2.0)]}, "ratio", "loss", tmp_path / "c.png")) > 300
    assert width_of(save_expansion(PATH, "multiply-adds", "val_top1", tmp_path / "e.png", target=1.5e6)) > 300


def test_without_a_score_there_is_nothing_to_draw(tmp_path):
    for draw in (
        lambda: save_sweep(SCORES[2:], "val_top1", tmp_path / "x.png"),
        lambda: save_curves({}, "ratio", "val_top1", tmp_path / "x.png"),
        lambda: save_expansion([Candidate("base", 1.0, math.nan)], "ms", "val_top1", tmp_path / "x.png"),
    ):
        with pytest.raises(DataError, match="has a value of val_top1 to draw"):
            draw()
