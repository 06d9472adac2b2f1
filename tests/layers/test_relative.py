"""Decomposed relative positions: indices, resized tables, the bias and the attention with it."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from vidmodels.layers import relative
from vidmodels.layers.relative import (
    RelativePositions,
    relative_attention,
    relative_bias,
    relative_index,
    relative_rows,
    resize_relative,
)

CPU = torch.device("cpu")
QUERIES, KEYS = (2, 6, 4), (2, 3, 2)


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def positions(space: bool = True, time: bool = True) -> RelativePositions:
    tables = RelativePositions(QUERIES, KEYS, 8, space, time)
    with torch.no_grad():
        for i, table in enumerate(tables.parameters()):
            table.copy_(numbers(*table.shape, seed=i))
    return tables


def inputs(first: int = 0, heads: int = 2) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return numbers(3, 48 + first, heads, 8, seed=1), numbers(3, 12 + first, heads, 8, seed=2), numbers(3, 12 + first, heads, 8)


def plain_bias(tables: RelativePositions, q: torch.Tensor) -> torch.Tensor:
    """[N, h, L, K] by the definition, pair by pair of places."""
    bias = torch.zeros(len(q), q.shape[2], 48, 12)
    for i, place in enumerate(torch.cartesian_prod(*map(torch.arange, QUERIES)).tolist()):
        for j, other in enumerate(torch.cartesian_prod(*map(torch.arange, KEYS)).tolist()):
            for axis, table in enumerate((tables.time, tables.height, tables.width)):
                if table is not None:
                    n, m = QUERIES[axis], KEYS[axis]
                    row = int(place[axis] * max(m / n, 1) - other[axis] * max(n / m, 1) + (m - 1) * max(n / m, 1))
                    bias[:, :, i, j] += q[:, i] @ table[row]
    return bias


class TestIndex:
    def test_equal_grids(self):
        index = relative_index(5, 5, CPU)
        expected = torch.arange(5).unsqueeze(1) - torch.arange(5) + 4
        assert torch.equal(index, expected)

    def test_56_queries_and_7_keys(self):
        index = relative_index(56, 7, CPU)
        assert (index[0, 0], index[55, 0], index[0, 6]) == (48, 103, 0)
        assert index.max() < 111

    def test_more_keys_than_queries(self):
        index = relative_index(7, 14, CPU)
        assert torch.equal(index, 2 * torch.arange(7).unsqueeze(1) - torch.arange(14) + 13)

    def test_quotients_are_cut(self):
        # 39 / 10 = 3.9: keys lie at 0, 3.9, 7.8 ..; from the last one, 35.1, place 0 is 0 rows away
        index = relative_index(39, 10, CPU)
        assert index[0].tolist() == [35, 31, 27, 23, 19, 15, 11, 7, 3, 0]
        assert index[38, 0] == int(38 + 35.1)

    def test_made_once_and_usable_in_training_after_inference(self):
        relative._index_once.cache_clear()
        tables = positions()
        with torch.inference_mode():
            tables.terms(inputs()[0], QUERIES, KEYS)
        made = relative._index_once.cache_info().misses
        q = inputs()[0].requires_grad_()
        (term, *_) = tables.terms(q, QUERIES, KEYS)
        assert term is not None
        term.sum().backward()
        assert relative._index_once.cache_info().misses == made == 3
        assert not relative_index(2, 2, CPU).is_inference()


class TestTables:
    def test_same_length_is_the_table_itself(self):
        table = numbers(13, 4)
        assert resize_relative(table, 13) is table

    def test_other_lengths_are_linear(self):
        table = torch.arange(5.0).unsqueeze(1).repeat(1, 3)
        assert resize_relative(table, 10)[:, 0].tolist() == pytest.approx(
            [0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3.25, 3.75, 4]
        )
        assert resize_relative(table, 9).shape == (9, 3)

    def test_rows_are_of_the_resized_table(self):
        table = numbers(13, 4)
        assert torch.equal(relative_rows(table, 10, 5), resize_relative(table, 19)[relative_index(10, 5, CPU)])

    def test_lengths(self):
        tables = RelativePositions((8, 56, 28), (8, 7, 7), 4)
        assert [len(table) for table in (tables.time, tables.height, tables.width) if table is not None] == [15, 111, 55]
        assert RelativePositions((8, 56, 56), (8, 7, 7), 4, time=False).time is None


@pytest.mark.parametrize(("space", "time"), [(True, True), (True, False), (False, True)])
@torch.no_grad()
def test_bias_is_that_of_the_pairs(space, time):
    tables, (q, _, _) = positions(space, time), inputs()
    bias = relative_bias(tables.terms(q, QUERIES, KEYS), KEYS)
    torch.testing.assert_close(bias, plain_bias(tables, q), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("heads", [1, 2])
@pytest.mark.parametrize("limit", [100, 1500, 2**20])
@torch.no_grad()
def test_attention_is_softmax_with_the_bias_of_the_unscaled_query(first, heads, limit, monkeypatch):
    """The class token's row and column get none; by queries (a small limit), by clips, or at once."""
    monkeypatch.setitem(relative.BIAS_ELEMENTS, "cpu", limit)
    tables, (q, k, v) = positions(), inputs(first, heads)
    out = relative_attention(q, k, v, tables.terms(q[:, first:], QUERIES, KEYS), KEYS, bool(first))
    logits = torch.einsum("nlad,nkad->nalk", q * 8**-0.5, k)
    logits[:, :, first:, first:] += plain_bias(tables, q[:, first:])
    torch.testing.assert_close(out, torch.einsum("nalk,nkad->nlad", logits.softmax(-1), v), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_tables_of_zeros_are_no_positions():
    tables, (q, k, v) = RelativePositions(QUERIES, KEYS, 8), inputs()
    for table in tables.parameters():
        table.zero_()
    out = relative_attention(q, k, v, tables.terms(q, QUERIES, KEYS), KEYS, False)
    plain = functional.scaled_dot_product_attention(*(x.transpose(1, 2) for x in (q, k, v))).transpose(1, 2)
    torch.testing.assert_close(out, plain, rtol=1e-5, atol=1e-6)


def test_gradients_are_those_of_the_definition():
    tables, (q, k, v) = positions(), [x.requires_grad_() for x in inputs(1)]
    weights = numbers(3, 49, 2, 8, seed=5)
    leaves = [q, k, v, *tables.parameters()]
    out = relative_attention(q, k, v, tables.terms(q[:, 1:], QUERIES, KEYS), KEYS, True)
    ours = torch.autograd.grad((out * weights).sum(), leaves)
    logits = torch.einsum("nlad,nkad->nalk", q * 8**-0.5, k)
    logits = logits + functional.pad(plain_bias(tables, q[:, 1:]), (1, 0, 1, 0))
    expected = torch.autograd.grad((torch.einsum("nalk,nkad->nlad", logits.softmax(-1), v) * weights).sum(), leaves)
    for a, b in zip(ours, expected):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_terms_stay_float32_under_autocast():
    tables, (q, k, v) = positions(), inputs(1)
    exact = tables.terms(q[:, 1:], QUERIES, KEYS)
    expected = relative_attention(q, k, v, exact, KEYS, True)
    with torch.autocast("cpu", torch.bfloat16):
        terms = tables.terms(q[:, 1:], QUERIES, KEYS)
        out = relative_attention(q.bfloat16(), k.bfloat16(), v.bfloat16(), terms, KEYS, True)
    for term, other in zip(terms, exact):
        assert term is not None
        assert torch.equal(term, other)  # type: ignore[arg-type]
    assert out.dtype == torch.bfloat16
    # what rounded q, k and v cost is 0.012; with the bias, or the softmax, in bfloat16 it would be 0.05
    torch.testing.assert_close(out.float(), expected, rtol=0, atol=0.02)
