"""Clip heads: pooling windows, and the mean over positions."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from vidmodels.heads.clip import ClipHead, mean_over_positions, pool_windows


def test_a_window_is_a_mean_over_all_time_and_its_cells():
    x = torch.randn(1, 2, 3, 4, 5)
    pooled = pool_windows(x, 3)
    assert pooled.shape == (1, 2, 2, 3)
    assert_close(pooled[0, 1, 1, 2], x[0, 1, :, 1:4, 2:5].mean())


@pytest.mark.parametrize("window", [None, 4, 7])
def test_a_map_no_larger_than_the_window_is_pooled_whole(window):
    x = torch.randn(2, 3, 4, 4, 4)
    assert_close(pool_windows(x, window), x.mean((2, 3, 4))[..., None, None])


@pytest.mark.parametrize(("activation", "act"), [("softmax", lambda z: z.softmax(-1)), ("sigmoid", torch.sigmoid)])
def test_the_activation_of_the_answer_is_the_mean_of_the_positions(activation, act):
    logits = torch.randn(3, 4, 6)
    assert_close(act(mean_over_positions(logits, activation, "scores", False)), act(logits).mean(1))
    assert_close(mean_over_positions(logits, activation, "logits", False), logits.mean(1))
    assert_close(mean_over_positions(logits, activation, "scores", True), logits.mean(1))


def test_pathways_are_joined_in_their_order():
    head = ClipHead([2, 3], 4).eval()
    slow, fast = torch.randn(1, 2, 2, 2, 2), torch.randn(1, 3, 8, 2, 2)
    embedding = head.pool([slow, fast])
    assert_close(embedding, torch.cat([slow.mean((2, 3, 4)), fast.mean((2, 3, 4))], 1))
    assert_close(head([slow, fast]), head.projection(embedding))
