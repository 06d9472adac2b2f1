"""Soft-target cross-entropy against the closed form."""

from __future__ import annotations

import math

import pytest
import torch
from torch.testing import assert_close

from vidmodels.core.errors import ConfigError
from vidmodels.ops.losses import soft_cross_entropy

LOGITS = torch.tensor([[0.0, math.log(3.0)], [0.0, 0.0]])  # probabilities 1/4, 3/4 and 1/2, 1/2


def test_shares_are_normalised_or_not():
    targets = torch.tensor([[2.0, 2.0], [0.0, 4.0]])
    first, second = (math.log(4) + math.log(4 / 3)) / 2, math.log(2)
    assert_close(soft_cross_entropy(LOGITS, targets), torch.tensor((first + second) / 2))
    assert_close(soft_cross_entropy(LOGITS, targets, normalise=False), torch.tensor((4 * first + 4 * second) / 2))
    assert_close(soft_cross_entropy(LOGITS, targets, reduction="none"), torch.tensor([first, second]))
    assert_close(soft_cross_entropy(LOGITS, targets, reduction="sum"), torch.tensor(first + second))


def test_labels_are_the_usual_cross_entropy():
    logits, labels = torch.randn(6, 5, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 3, 4, 0])
    assert_close(soft_cross_entropy(logits, labels), torch.nn.functional.cross_entropy(logits, labels))


@pytest.mark.parametrize("ignored", [-1, -100, 1])
def test_an_ignored_label_counts_nowhere_even_where_it_is_a_class(ignored):
    labels = torch.tensor([0, ignored])
    assert_close(soft_cross_entropy(LOGITS, labels, ignore_index=ignored), torch.tensor(math.log(4)))
    assert soft_cross_entropy(LOGITS, labels[1:].repeat(2), ignore_index=ignored) == 0


def test_an_ignored_class_has_no_share():
    targets = torch.tensor([[0.5, 0.5], [0.0, 1.0]])
    assert_close(soft_cross_entropy(LOGITS, targets, ignore_index=1), torch.tensor(math.log(4)))


def test_targets_of_another_shape():
    with pytest.raises(ConfigError, match=r"targets of shape \(2, 3\) do not fit logits of shape \(2, 2\)"):
        soft_cross_entropy(LOGITS, torch.ones(2, 3))
