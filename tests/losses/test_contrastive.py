"""Contrastive objectives: closed forms, and what they must not depend on."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torch.testing import assert_close

from vidmodels.losses.contrastive import (
    byol_loss,
    info_nce_logits,
    info_nce_loss,
    nt_xent_loss,
    sinkhorn_codes,
    swav_loss,
)


def unit(*shape: int, seed: int = 0) -> Tensor:
    return functional.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


QUERY, KEYS, QUEUE = unit(6, 16), [unit(6, 16, seed=1), unit(6, 16, seed=2)], unit(32, 16, seed=3)


def test_moco_has_one_row_for_each_positive():
    logits = info_nce_logits(QUERY, KEYS, QUEUE, 0.1)
    assert logits.shape == (12, 33)
    assert_close(logits[6 + 2, 0], (QUERY[2] * KEYS[1][2]).sum() / 0.1)
    assert_close(logits[6 + 2, 1:], logits[2, 1:])


def test_moco_ignores_the_order_of_the_queue_and_of_the_videos():
    loss = info_nce_loss(info_nce_logits(QUERY, KEYS, QUEUE, 0.1))
    assert_close(info_nce_loss(info_nce_logits(QUERY, KEYS, QUEUE.flip(0), 0.1)), loss)
    assert_close(info_nce_loss(info_nce_logits(QUERY.flip(0), [key.flip(0) for key in KEYS], QUEUE, 0.1)), loss)


def test_moco_of_equal_keys_is_the_logarithm_of_their_number():
    one = QUERY[:1].expand(6, -1)
    assert_close(info_nce_loss(info_nce_logits(one, [one], one[:1].expand(31, -1), 0.1)), torch.tensor(math.log(32)))


def test_byol_lies_between_minus_two_and_two():
    assert_close(byol_loss(QUERY, [QUERY, QUERY], 0.5), torch.tensor(-2.0))
    assert_close(byol_loss(QUERY, [-QUERY], 0.5), torch.tensor(2.0))
    assert -2 < byol_loss(QUERY, KEYS, 0.5) < 2


def test_simclr_of_equal_embeddings_is_the_logarithm_of_the_others():
    one = QUERY[:1].expand(6, -1)
    assert_close(nt_xent_loss(one, one, 0.1), torch.tensor(math.log(2 * 6 - 1)))


def test_simclr_against_the_plain_formula():
    both = torch.cat([QUERY, KEYS[0]])
    similar = (both @ both.T / 0.1).exp()
    similar.fill_diagonal_(0)
    positive = torch.cat([(QUERY * KEYS[0]).sum(1)] * 2) / 0.1
    assert_close(nt_xent_loss(QUERY, KEYS[0], 0.1), (similar.sum(1).log() - positive).mean())
    assert_close(nt_xent_loss(QUERY.flip(0), KEYS[0].flip(0), 0.1), nt_xent_loss(QUERY, KEYS[0], 0.1))


@pytest.mark.parametrize("workers", [2, 3])
def test_simclr_of_several_workers_is_that_of_their_batch(workers):
    whole = nt_xent_loss(QUERY, KEYS[0], 0.1)
    parts = list(zip(QUERY.chunk(workers), KEYS[0].chunk(workers)))
    known = {id(a): QUERY for a, _ in parts} | {id(b): KEYS[0] for _, b in parts}

    def gather(rows: Tensor) -> Tensor:
        return known[id(rows)] if id(rows) in known else rows.repeat(workers)  # flags are equal on all workers

    losses = [nt_xent_loss(a, b, 0.1, gather=gather, rank=rank) for rank, (a, b) in enumerate(parts)]
    assert_close(torch.stack(losses).mean(), whole)


def test_codes_are_shares_and_use_all_prototypes_alike():
    scores = unit(64, 16) @ unit(8, 16, seed=5).T
    codes = sinkhorn_codes(scores, iterations=20)
    assert_close(codes.sum(1), torch.ones(64))
    assert_close(codes.sum(0), torch.full((8,), 8.0), atol=0.05, rtol=0)
    few = sinkhorn_codes(scores)
    assert_close(few.sum(1), torch.ones(64))
    assert (few.sum(0) - 8).abs().max() < (functional.softmax(scores / 0.05, 1).sum(0) - 8).abs().max()


def test_codes_stay_finite_for_large_scores():
    assert sinkhorn_codes(unit(8, 4) * 1000).isfinite().all()


def test_codes_have_no_gradient_and_scores_have():
    scores = (unit(8, 4) @ unit(6, 4, seed=1).T).requires_grad_()
    codes = sinkhorn_codes(scores)
    assert not codes.requires_grad
    swav_loss([scores, scores * 2], [codes, codes], 0.1).backward()
    assert scores.grad is not None
    assert scores.grad.abs().sum() > 0


@pytest.mark.parametrize("name", ["moco", "byol", "simclr", "swav"])
def test_videos_that_do_not_count_change_nothing(name):
    valid = torch.tensor([True, True, False, True, True, True])
    scores = [part @ unit(7, 16, seed=8).T for part in (QUERY, KEYS[0])]

    def loss(rows: Tensor, mask: Tensor | None) -> Tensor:
        if name == "moco":
            return info_nce_loss(info_nce_logits(QUERY[rows], [key[rows] for key in KEYS], QUEUE, 0.1), mask)
        if name == "byol":
            return byol_loss(QUERY[rows], [key[rows] for key in KEYS], 0.5, mask)
        if name == "simclr":
            return nt_xent_loss(QUERY[rows], KEYS[0][rows], 0.1, mask)
        codes = [functional.softmax(part[rows], 1) for part in scores]
        return swav_loss([part[rows] for part in scores], codes, 0.1, mask)

    assert_close(loss(torch.arange(6), valid), loss(torch.arange(6)[valid], None))
