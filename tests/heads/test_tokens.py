"""The head of transformers: which tokens it takes, and in which order it norms."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from vidmodels.heads.tokens import TokenHead


def tokens() -> torch.Tensor:
    return torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def test_class_token():
    head = TokenHead(8, 3).eval()
    x = tokens()
    assert torch.equal(head.pool(x), x[:, 0])
    other = x.clone()
    other[:, 1:] += 1
    assert torch.equal(head(other), head(x))
    torch.testing.assert_close(head(x), x[:, 0] @ head.projection.weight.T + head.projection.bias)


@pytest.mark.parametrize("class_token", [True, False])
@torch.no_grad()
def test_mean_leaves_out_the_class_token(class_token):
    head, x = TokenHead(8, 3, "mean", class_token).eval(), tokens()
    torch.testing.assert_close(head.pool(x), x[:, int(class_token) :].mean(1))


@torch.no_grad()
def test_norm_comes_after_the_mean():
    head, x = TokenHead(8, 3, "mean", norm=True).eval(), tokens()
    torch.testing.assert_close(head.pool(x), functional.layer_norm(x[:, 1:].mean(1), (8,), eps=1e-6))


def test_dropout_acts_in_training_only():
    head, x = TokenHead(8, 3, dropout=0.5), tokens()
    assert torch.equal(head.eval()(x), head(x))
    head.train()
    assert not torch.equal(head(x), head(x))


def test_bias_starts_as_asked():
    assert torch.equal(TokenHead(8, 3, bias=0.02).projection.bias.data, torch.full((3,), 0.02))


def test_a_class_token_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="needs a class token: choose pool 'mean'"):
        TokenHead(8, 3, "class", class_token=False)
