"""Decomposed relative positions of pooled attention: one table for each axis, added to the logits (MViTv2, section 4.1).

N clips, L query tokens on a grid of T x H x W, K key tokens on their own grid, h heads, d channels of a head.
"""

from __future__ import annotations

import contextlib
import functools

import torch
from torch import Tensor, nn
from torch.nn import functional

from vidmodels.layers.positions import Grid

# without gradients the bias is made for some queries at a time: in a CPU's cache it costs a fifth of what it does in memory
BIAS_ELEMENTS = {"cpu": 2**20}
BIAS_ELEMENTS_ELSEWHERE = 2**26

Terms = tuple[Tensor | None, Tensor | None, Tensor | None]


class RelativePositions(nn.Module):
    """Tables of relative positions along height and width, and along time, shared by the heads of a block.

    query_grid, key_grid: (T, H, W) of the pooled tokens, which give the tables' lengths; other grids resize them.
    """

    def __init__(self, query_grid: Grid, key_grid: Grid, head_dim: int, space: bool = True, time: bool = True) -> None:
        super().__init__()
        lengths = [2 * max(q, k) - 1 for q, k in zip(query_grid, key_grid)]
        self.time = nn.Parameter(torch.zeros(lengths[0], head_dim)) if time else None
        self.height = nn.Parameter(torch.zeros(lengths[1], head_dim)) if space else None
        self.width = nn.Parameter(torch.zeros(lengths[2], head_dim)) if space else None
        for table in self.parameters():
            nn.init.trunc_normal_(table, std=0.02)

    def terms(self, q: Tensor, query_grid: Grid, key_grid: Grid) -> Terms:
        """For time, height and width the products of each query with the positions of the keys: float32 [N, h, L, K'].

        q: [N, L, h, d], pooled, normed and not scaled, without a class token; K' keys along the axis. None for an axis
        without a table. The products are made in float32 whatever the precision of q.
        """
        with _float32(q.device):
            tokens = q.float().unflatten(1, query_grid)
            return (
                _products("ntuvad,tkd->natuvk", tokens, self.time, query_grid[0], key_grid[0]),
                _products("ntuvad,ukd->natuvk", tokens, self.height, query_grid[1], key_grid[1]),
                _products("ntuvad,vkd->natuvk", tokens, self.width, query_grid[2], key_grid[2]),
            )


def _products(equation: str, tokens: Tensor, table: Tensor | None, queries: int, keys: int) -> Tensor | None:
    if table is None:
        return None
    return torch.einsum(equation, tokens, relative_rows(table.float(), queries, keys)).flatten(2, 4)


def relative_rows(table: Tensor, queries: int, keys: int) -> Tensor:
    """The table's row for each pair of a query and a key along one axis: [queries, keys, d]."""
    return resize_relative(table, 2 * max(queries, keys) - 1)[relative_index(queries, keys, table.device)]


def relative_index(queries: int, keys: int, device: torch.device) -> Tensor:
    """Rows of a table of 2 * max(queries, keys) - 1 places for all pairs along one axis, int64 [queries, keys]; made once.

    Where one side has fewer tokens, its steps are longer; quotients are cut to whole rows.
    """
    # while a model is compiled the index becomes part of its graph
    return (_index if torch.compiler.is_compiling() else _index_once)(queries, keys, device)


def _index(queries: int, keys: int, device: torch.device) -> Tensor:
    # tensors made in inference mode could not serve a later training step
    with torch.inference_mode(False):
        far, near = max(queries / keys, 1.0), max(keys / queries, 1.0)
        of_query = torch.arange(queries, device=device).unsqueeze(1) * near
        return (of_query - torch.arange(keys, device=device) * far + (keys - 1) * far).long()


_index_once = functools.lru_cache(maxsize=512)(_index)


def resize_relative(table: Tensor, length: int) -> Tensor:
    """A table [places, d] for another number of places, linear; the table itself where the number is the same."""
    if len(table) == length:
        return table
    line = functional.interpolate(table.float().T.unsqueeze(0), size=length, mode="linear", align_corners=False)
    return line.squeeze(0).T.to(table.dtype)


def relative_bias(terms: Terms, key_grid: Grid, out: Tensor | None = None) -> Tensor:
    """What is added to the logits of grid tokens, float32 [N, h, L, K]: the sum of the terms (into `out` if given)."""
    time, height, width = terms
    places = key_grid[1] * key_grid[2]
    steps = None if time is None else time.unsqueeze(-1)
    space = None if height is None or width is None else (height.unsqueeze(-1) + width.unsqueeze(-2)).flatten(-2).unsqueeze(-2)
    if steps is None or space is None:
        some = steps if steps is not None else space
        assert some is not None, "relative positions without an axis"
        zeros = some.new_zeros(key_grid[0], places)
        steps, space = (some, zeros) if steps is not None else (zeros, some)
    if out is None:
        return (steps + space).flatten(-2)
    torch.add(steps, space, out=out.unflatten(-1, (key_grid[0], places)))
    return out


def relative_attention(q: Tensor, k: Tensor, v: Tensor, terms: Terms, key_grid: Grid, class_token: bool) -> Tensor:
    """softmax(q k^T / sqrt(d) + bias) v, [N, L, h, d], of q [N, L, h, d] and k, v [N, K, h, d].

    terms: what `RelativePositions.terms` gives. With a class token q, k and v have it first; its row and column of the bias
    are zero.
    """
    first = int(class_token)
    queries, keys, values = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
    if torch.is_grad_enabled():
        bias = functional.pad(relative_bias(terms, key_grid), (first, 0, first, 0))
        return _attend(queries, keys, values, bias).transpose(1, 2)
    limit = BIAS_ELEMENTS.get(q.device.type, BIAS_ELEMENTS_ELSEWHERE)
    n, heads, length, count = *queries.shape[:3], keys.shape[2]
    clips = max(1, limit // (heads * length * count))
    if clips < n:
        parts = [slice(i, i + clips) for i in range(0, n, clips)]
        return torch.cat([relative_attention(q[i], k[i], v[i], _cut(terms, 0, i), key_grid, class_token) for i in parts])
    rows = min(length, max(1, limit // (n * heads * count)))
    bias = torch.zeros(n, heads, rows, count, device=q.device)
    answers = [_attend(queries[:, :, :first], keys, values, bias[:, :, :first])] if first else []
    for i in range(0, length - first, rows):
        some = queries[:, :, first + i : first + i + rows]
        its_bias = bias[:, :, : some.shape[2]]
        relative_bias(_cut(terms, 2, slice(i, i + rows)), key_grid, its_bias[..., first:])
        answers.append(_attend(some, keys, values, its_bias))
    return torch.cat([answer.transpose(1, 2) for answer in answers], dim=1)


def _cut(terms: Terms, axis: int, part: slice) -> Terms:
    """The terms of some clips (axis 0) or of some queries (axis 2)."""
    at = (slice(None),) * axis + (part,)
    time, height, width = (None if term is None else term[at] for term in terms)
    return time, height, width


def _attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
    """Attention of [N, h, L, d] with a float32 bias. A GPU's kernels take the bias in the precision of the queries."""
    if q.device.type == "cpu" and (q.dtype in (torch.bfloat16, torch.float16) or torch.is_autocast_enabled("cpu")):
        # plain products: the fused kernel works through bfloat16 slowly (see vidmodels.layers.transformer.attend)
        logits = ((q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)).float() + bias
        return logits.softmax(-1).to(v.dtype) @ v
    return functional.scaled_dot_product_attention(q, k, v, bias.to(q.dtype))


def _float32(device: torch.device) -> contextlib.AbstractContextManager[None]:
    """A context without autocast."""
    known = torch.amp.is_autocast_available(device.type)
    return torch.autocast(device.type, enabled=False) if known else contextlib.nullcontext()
